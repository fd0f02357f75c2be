// Slicing and applying a bilateral grid on the CPU, for three instruction sets, chosen at run time.
// The gradient in the grid is summed over groups of rows that do not depend on the number of
// threads, in one fixed order.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "../operators.h"
#include "processor.h"

namespace pydpst {
namespace {

// The pixels of a row that lie between the same two columns of cells.
struct Run {
  int64_t begin, end, cell, next;
};

// One sample of a batch. The grid is (rows, columns, 12, padded depth).
template <typename S>
struct Slice {
  const S *grid, *guide, *image, *grad, *fractions;
  S *out, *guide_grad, *image_grad;
  int64_t height, width, depth, padded_depth, rows, columns;
  const std::vector<Run>* runs;
};

// Rows between the same two rows of cells, and how many at most, so that sums stay short.
struct CellRows {
  int64_t sample, begin, end, cell, next;
};
constexpr int64_t kMostRows = 64;

// The loops over rows for one instruction set; the second of each is for depths of one vector.
template <typename S>
struct SliceKernels {
  int64_t lanes;
  void (*rows[2])(const Slice<S>&, int64_t begin, int64_t end);
  void (*rows_gradients[2])(const Slice<S>&, int64_t begin, int64_t end, double* parts);
};

#define PYDPST_KERNELS "slice_rows.h"
#include "instruction_sets.h"

using baseline::kCoefficients;
using baseline::place;
using baseline::Place;

template <typename S>
const SliceKernels<S>& slice_kernels() {
#if PYDPST_X86
  // Doubles are for checks.
  if constexpr (std::is_same_v<S, float>) {
    if (has_avx512()) return avx512::slice_kernels<S>;
    if (has_avx2()) return avx2::slice_kernels<S>;
  }
#endif
  return baseline::slice_kernels<S>;
}

// What the samples of a batch share.
template <typename S>
class SliceBatch {
 public:
  SliceBatch(const Tensor& grid, const Tensor& guide, const Tensor& image)
      : guide_(guide),
        image_(image),
        width_(image.size(3)),
        depth_(grid.size(2)),
        rows_(grid.size(3)),
        columns_(grid.size(4)) {
    const int64_t lanes = kernels.lanes;
    padded_depth_ = (depth_ + lanes - 1) / lanes * lanes;
    for (int64_t x = 0; x < width_; ++x) {
      const Place at = place(x, double(columns_) / width_, columns_);
      if (runs_.empty() || runs_.back().cell != at.cell) runs_.push_back({x, x, at.cell, at.next});
      ++runs_.back().end;
      fractions_.push_back(S(at.fraction));
    }
    tables_.resize(grid.size(0) * cells() * kCoefficients * padded_depth_);
    const S* from = grid.template const_data_ptr<S>();
    for (int64_t sample = 0; sample < grid.size(0); ++sample)
      for (int64_t c = 0; c < kCoefficients; ++c)
        for (int64_t z = 0; z < depth_; ++z)
          for (int64_t cell = 0; cell < cells(); ++cell)
            tables_[((sample * cells() + cell) * kCoefficients + c) * padded_depth_ + z] = *from++;
  }

  // Whether a table of all depths is as long as one vector.
  bool fits() const { return padded_depth_ == kernels.lanes; }
  int64_t cells() const { return rows_ * columns_; }

  Slice<S> sample(int64_t b) const {
    Slice<S> slice{};
    slice.grid = &tables_[b * cells() * kCoefficients * padded_depth_];
    slice.guide = read<S>(guide_, b);
    slice.image = read<S>(image_, b);
    slice.fractions = fractions_.data();
    slice.height = image_.size(2);
    slice.width = width_;
    slice.depth = depth_;
    slice.padded_depth = padded_depth_;
    slice.rows = rows_;
    slice.columns = columns_;
    slice.runs = &runs_;
    return slice;
  }

  const SliceKernels<S>& kernels = slice_kernels<S>();

 private:
  const Tensor &guide_, &image_;
  int64_t width_, depth_, rows_, columns_, padded_depth_;
  std::vector<S> tables_, fractions_;
  std::vector<Run> runs_;
};

std::vector<CellRows> cell_rows(int64_t samples, int64_t height, int64_t rows) {
  std::vector<CellRows> result;
  for (int64_t b = 0; b < samples; ++b) {
    for (int64_t y = 0; y < height; ++y) {
      const Place at = place(y, double(rows) / height, rows);
      const bool same =
          y > 0 && result.back().cell == at.cell && y - result.back().begin < kMostRows;
      if (!same) result.push_back({b, y, y, at.cell, at.next});
      ++result.back().end;
    }
  }
  return result;
}

struct CpuSlice {
  using Device = HostDevice;

  template <typename S>
  static void apply(const Tensor& grid, const Tensor& guide, const Tensor& image, Tensor& out) {
    const SliceBatch<S> batch(grid, guide, image);
    const int64_t height = image.size(2);
    torch::stable::parallel_for(0, image.size(0) * height, 1, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t b = begin / height, stop = std::min(end, (b + 1) * height);
        Slice<S> slice = batch.sample(b);
        slice.out = write<S>(out, b);
        batch.kernels.rows[batch.fits()](slice, begin - b * height, stop - b * height);
        begin = stop;
      }
    });
  }

  template <typename S>
  static void gradients(const Tensor& grad, const Tensor& grid, const Tensor& guide,
                        const Tensor& image, Tensor& grid_out, Tensor& guide_out,
                        Tensor& image_out) {
    const SliceBatch<S> batch(grid, guide, image);
    const int64_t depth = grid.size(2), rows = grid.size(3), columns = grid.size(4);
    const std::vector<CellRows> all = cell_rows(image.size(0), image.size(2), rows);
    const int64_t part = columns * kCoefficients * depth;
    std::vector<double> parts(all.size() * 2 * part);
    torch::stable::parallel_for(0, all.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const CellRows& one = all[i];
        Slice<S> slice = batch.sample(one.sample);
        slice.grad = read<S>(grad, one.sample);
        slice.guide_grad = write<S>(guide_out, one.sample);
        slice.image_grad = write<S>(image_out, one.sample);
        batch.kernels.rows_gradients[batch.fits()](slice, one.begin, one.end, &parts[i * 2 * part]);
      }
    });

    std::vector<double> sums(grid.numel());
    for (size_t i = 0; i < all.size(); ++i)
      for (const auto& [row, half] : {std::pair(all[i].cell, 0), std::pair(all[i].next, 1)})
        for (int64_t column = 0; column < columns; ++column)
          for (int64_t entry = 0; entry < kCoefficients * depth; ++entry)
            sums[((all[i].sample * kCoefficients * depth + entry) * rows + row) * columns +
                 column] += parts[(2 * i + half) * part + column * kCoefficients * depth + entry];
    std::copy(sums.begin(), sums.end(), grid_out.mutable_data_ptr<S>());
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("bilateral_slice_apply",
               TORCH_BOX(&pydpst::bilateral_slice_apply<pydpst::CpuSlice>));
  library.impl("bilateral_slice_apply_backward",
               TORCH_BOX(&pydpst::bilateral_slice_apply_backward<pydpst::CpuSlice>));
}
