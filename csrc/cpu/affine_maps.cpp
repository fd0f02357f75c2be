// Affine colour maps, enlarged and applied to a strip of an image, on the CPU.

#include <cmath>
#include <cstdint>
#include <vector>

#include "../operators.h"
#include "processor.h"

namespace pydpst {
namespace {

#include "../slice.h"

// A row of the image lies at one height in the maps, so these are interpolated to it once.
template <typename S>
void blend_row(const S* maps, const Place& at, int64_t rows, int64_t columns, S* row) {
  const S fraction = S(at.fraction);
  for (int64_t c = 0; c < kCoefficients; ++c) {
    const S* above = maps + (c * rows + at.cell) * columns;
    const S* below = maps + (c * rows + at.next) * columns;
    for (int64_t x = 0; x < columns; ++x)
      row[x * kCoefficients + c] = above[x] + fraction * (below[x] - above[x]);
  }
}

struct CpuAffineMaps {
  using Device = HostDevice;

  template <typename S>
  static void apply(const Tensor& maps, const Tensor& image, int64_t top, int64_t height,
                    Tensor& out) {
    const int64_t rows = maps.size(2), columns = maps.size(3);
    const int64_t strip = image.size(2), width = image.size(3), plane = strip * width;
    std::vector<Place> across;
    for (int64_t x = 0; x < width; ++x)
      across.push_back(place(x, double(columns) / width, columns));
    torch::stable::parallel_for(0, image.size(0) * strip, 1, [&](int64_t begin, int64_t end) {
      std::vector<S> row(columns * kCoefficients);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t sample = i / strip, y = i % strip;
        blend_row(maps.const_data_ptr<S>() + sample * kCoefficients * rows * columns,
                  place(top + y, double(rows) / height, rows), rows, columns, row.data());
        const S* from = image.const_data_ptr<S>() + sample * 3 * plane + y * width;
        S* to = out.mutable_data_ptr<S>() + sample * 3 * plane + y * width;
        for (int64_t x = 0; x < width; ++x) {
          const S* left = &row[across[x].cell * kCoefficients];
          const S* right = &row[across[x].next * kCoefficients];
          const S fraction = S(across[x].fraction);
          S matrix[kCoefficients], result[3];
          for (int c = 0; c < kCoefficients; ++c)
            matrix[c] = left[c] + fraction * (right[c] - left[c]);
          const S colour[3] = {from[x], from[plane + x], from[2 * plane + x]};
          transform(matrix, colour, result);
          for (int c = 0; c < 3; ++c) to[c * plane + x] = result[c];
        }
      }
    });
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("affine_maps_apply", TORCH_BOX(&pydpst::affine_maps_apply<pydpst::CpuAffineMaps>));
}
