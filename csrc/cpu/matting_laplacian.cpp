// The matting Laplacian on the CPU. Images are cut into tiles whose sums stay in a core's cache
// (tile_loops.h). Tiles do not depend on the number of threads, and every sum has one fixed order,
// so neither does the result.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "../operators.h"
#include "processor.h"
#include "tile.h"

namespace pydpst {
namespace {

// Calls work(sample, tile) for all tiles of a batch of planes, in parallel.
template <typename Work>
void for_tiles(int64_t batch, int64_t height, int64_t width, int64_t tile_height,
               int64_t tile_width, const Work& work) {
  const int64_t down = (height + tile_height - 1) / tile_height;
  const int64_t across = (width + tile_width - 1) / tile_width;
  torch::stable::parallel_for(0, batch * down * across, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t top = i / across % down * tile_height, left = i % across * tile_width;
      work(i / (down * across), Tile{top, std::min(top + tile_height, height), left,
                                     std::min(left + tile_width, width)});
    }
  });
}

// A tile visits windows 2r beyond its pixels, so tiles grow with the radius.
template <typename Work>
void for_tiles(int64_t batch, int64_t height, int64_t width, int64_t radius, const Work& work) {
  const int64_t side = std::max<int64_t>(256, 16 * radius);
  for_tiles(batch, height, width, side, side, work);
}

template <typename S>
Call<S> call_for(const Tensor& image, int64_t sample, int64_t radius) {
  Call<S> call{};
  call.image = read<S>(image, sample);
  call.height = image.size(2);
  call.width = image.size(3);
  call.plane = call.height * call.width;
  call.radius = radius;
  return call;
}

// Calls work(c, kernel) for the channels, three at a time while there are as many; for a grey
// guide, which is rare, one by one.
template <int G, typename S, typename Work>
void for_channels(const TileLoops<S>& run, int64_t channels, int64_t radius, const Work& work) {
  const auto* products = radius == kSmallRadius ? run.small_product : run.product;
  for (int64_t c = 0, count = 0; c < channels; c += count) {
    count = G == 3 && channels - c >= 3 ? 3 : 1;
    work(c, products[count == 3]);
  }
}

struct CpuMatting {
  using Device = HostDevice;

  template <typename S, int G>
  static void whitening(const Tensor& image, double eps, int64_t radius, Tensor& out) {
    use_huge_pages(out);
    for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
      Call<S> call = call_for<S>(image, b, radius);
      call.out = write<S>(out, b);
      call.eps = eps;
      tile_loops<S, G>().whitening(call, tile);
    });
  }

  template <typename S, int G>
  static void matvec(const Tensor& image, const Tensor& whitening, const Tensor& p, int64_t radius,
                     Tensor& out) {
    use_huge_pages(out);
    if constexpr (std::is_same_v<S, float>) {
      if (radius == kSmallRadius) {
        const auto product = [&](int64_t b, const Tile& tile) {
          Call<S> call = call_for<S>(image, b, radius);
          call.whitening = read<S>(whitening, b);
          for (int64_t c = 0, count = 0; c < p.size(1); c += count) {
            count = p.size(1) - c >= 3 ? 3 : 1;
            call.p = read<S>(p, b) + c * call.plane;
            call.out = write<S>(out, b) + c * call.plane;
            single_product(call, tile, count, G);
          }
        };
        for_tiles(out.size(0), out.size(2), out.size(3), kSingleHeight, kSingleWidth, product);
        return;
      }
    }
    for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
      Call<S> call = call_for<S>(image, b, radius);
      call.whitening = read<S>(whitening, b);
      for_channels<G>(tile_loops<S, G>(), p.size(1), radius, [&](int64_t c, auto product) {
        call.p = read<S>(p, b) + c * call.plane;
        call.out = write<S>(out, b) + c * call.plane;
        product(call, tile);
      });
    });
  }

  template <typename S, int G>
  static void free_matvec(const Tensor& image, const Tensor& whitening, const Tensor& slots,
                          const Tensor& tiles, const Tensor& x, int64_t radius, Tensor& out) {
    torch::stable::parallel_for(0, tiles.size(0), 1, [&](int64_t begin, int64_t end) {
      Call<S> call = call_for<S>(image, 0, radius);
      call.whitening = read<S>(whitening, 0);
      call.slots = read<int64_t>(slots, 0);
      call.count = x.size(1);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t* side = read<int64_t>(tiles, i);
        const Tile tile{std::max<int64_t>(side[0], 0), std::min(side[1], call.height),
                        std::max<int64_t>(side[2], 0), std::min(side[3], call.width)};
        if (tile.top >= tile.bottom || tile.left >= tile.right) continue;
        for_channels<G>(tile_loops<S, G>(), x.size(0), radius, [&](int64_t c, auto product) {
          call.p = read<S>(x, c);
          call.out = write<S>(out, c);
          product(call, tile);
        });
      }
    });
  }

  template <typename S, int G>
  static void diagonal(const Tensor& image, const Tensor& whitening, int64_t radius, Tensor& out) {
    for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
      Call<S> call = call_for<S>(image, b, radius);
      call.whitening = read<S>(whitening, b);
      call.out = write<S>(out, b);
      tile_loops<S, G>().diagonal(call, tile);
    });
  }

  template <typename S, int G>
  static void image_gradient(const Tensor& image, const Tensor& whitening, const Tensor& p,
                             const Tensor& q, int64_t radius, Tensor& out) {
    for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
      Call<S> call = call_for<S>(image, b, radius);
      call.whitening = read<S>(whitening, b);
      call.out = write<S>(out, b);
      for (int64_t c = 0; c < p.size(1); ++c) {
        call.p = read<S>(p, b) + c * call.plane;
        call.q = read<S>(q, b) + c * call.plane;
        call.add = c > 0;
        tile_loops<S, G>().image_gradient(call, tile);
      }
    });
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("matting_whitening", TORCH_BOX(&pydpst::matting_whitening<pydpst::CpuMatting>));
  library.impl("matting_matvec", TORCH_BOX(&pydpst::matting_matvec<pydpst::CpuMatting>));
  library.impl("matting_free_matvec", TORCH_BOX(&pydpst::matting_free_matvec<pydpst::CpuMatting>));
  library.impl("matting_diagonal", TORCH_BOX(&pydpst::matting_diagonal<pydpst::CpuMatting>));
  library.impl("matting_image_gradient",
               TORCH_BOX(&pydpst::matting_image_gradient<pydpst::CpuMatting>));
}
