// The matting Laplacian on the CPU. Images are cut into tiles whose sums stay in a core's cache; on
// x86-64 the loops over a tile are compiled for three instruction sets and chosen at run time, so
// the build needs no -march. Tiles do not depend on the number of threads, and every sum has one
// fixed order, so neither does the result.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "../checks.h"
#include "processor.h"

#define PYDPST_INLINE_LAMBDA __attribute__((always_inline))

namespace pydpst {
namespace {

// One sample of a batch: where its planes are. With slots, p and out are not planes but vectors of
// so many numbers, and slots say which of them a pixel is; any other is 0.
template <typename S>
struct Call {
  const S *image, *whitening, *p, *q;
  S* out;
  int64_t height, width, plane, radius;
  double eps;
  bool add;  // to what is in out
  const int64_t* slots;
  int64_t count;

  bool has(int64_t slot) const { return slot >= 0 && slot < count; }
};

// Windows of this radius have loops of their own.
constexpr int kSmallRadius = 1;

struct Tile {
  int64_t top, bottom, left, right;
};

// The loops over a tile for one instruction set and number of guide channels.
template <typename S>
struct Kernels {
  using Kernel = void (*)(const Call<S>&, const Tile&);
  // The products are for one channel of p and for three at once.
  Kernel whitening, product[2], small_product[2];
  Kernel diagonal[2];  // for any radius and for the small one
  Kernel image_gradient;
};

// Zeros, aligned to cache lines.
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<double*>(operator new(size * sizeof(double), kAlignment))) {
    std::memset(data_.get(), 0, size * sizeof(double));
  }
  double* data() { return data_.get(); }
  const double* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(double* data) const { operator delete(data, kAlignment); }
  };
  std::unique_ptr<double, Delete> data_;
};

// A row length of whole cache lines, and an odd number of them: then the rows of several quantities
// do not compete for the same places in the cache.
constexpr int64_t padded(int64_t length) { return ((length + 7) / 8 | 1) * 8; }

#define PYDPST_KERNELS "kernels.h"
#include "instruction_sets.h"

template <typename S, int G>
const Kernels<S>& kernels_for_this_processor() {
#if PYDPST_X86
  if (has_avx512()) return avx512::kernels<S, G>;
  if (has_avx2()) return avx2::kernels<S, G>;
#endif
  return baseline::kernels<S, G>;
}

template <typename S>
const Kernels<S>& kernels(const Tensor& image) {
  return image.size(1) == 1 ? kernels_for_this_processor<S, 1>()
                            : kernels_for_this_processor<S, 3>();
}

// Calls work(sample, tile) for all tiles of a batch of planes, in parallel.
template <typename Work>
void for_tiles(int64_t batch, int64_t height, int64_t width, int64_t radius, const Work& work) {
  // A tile visits windows 2r beyond its pixels, so tiles grow with the radius.
  const int64_t side = std::max<int64_t>(256, 16 * radius);
  const int64_t down = (height + side - 1) / side, across = (width + side - 1) / side;
  torch::stable::parallel_for(0, batch * down * across, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t top = i / across % down * side, left = i % across * side;
      work(i / (down * across),
           Tile{top, std::min(top + side, height), left, std::min(left + side, width)});
    }
  });
}

// A tensor's data, from one sample on.
template <typename S>
const S* read(const Tensor& tensor, int64_t sample) {
  return tensor.const_data_ptr<S>() + sample * tensor.stride(0);
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

template <typename S>
void whitening(const Tensor& image, Tensor& out, double eps, int64_t radius) {
  const auto& run = kernels<S>(image);
  for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
    Call<S> call = call_for<S>(image, b, radius);
    call.out = out.mutable_data_ptr<S>() + b * out.stride(0);
    call.eps = eps;
    run.whitening(call, tile);
  });
}

// Calls work(c, kernel) for the channels, three at a time while there are as many.
template <typename S, typename Work>
void for_channels(const Kernels<S>& run, int64_t channels, int64_t radius, const Work& work) {
  const auto* products = radius == kSmallRadius ? run.small_product : run.product;
  for (int64_t c = 0, count = 0; c < channels; c += count) {
    count = channels - c >= 3 ? 3 : 1;
    work(c, products[count == 3]);
  }
}

template <typename S>
void matvec(const Tensor& image, const Tensor& whitening, const Tensor& p, Tensor& out,
            int64_t radius) {
  const auto& run = kernels<S>(image);
  for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
    Call<S> call = call_for<S>(image, b, radius);
    call.whitening = read<S>(whitening, b);
    for_channels(run, p.size(1), radius, [&](int64_t c, auto product) {
      call.p = read<S>(p, b) + c * call.plane;
      call.out = out.mutable_data_ptr<S>() + b * out.stride(0) + c * call.plane;
      product(call, tile);
    });
  });
}

template <typename S>
void free_matvec(const Tensor& image, const Tensor& whitening, const Tensor& slots,
                 const Tensor& tiles, const Tensor& x, Tensor& out, int64_t radius) {
  const auto& run = kernels<S>(image);
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
      for_channels(run, x.size(0), radius, [&](int64_t c, auto product) {
        call.p = read<S>(x, c);
        call.out = out.mutable_data_ptr<S>() + c * call.count;
        product(call, tile);
      });
    }
  });
}

template <typename S>
void diagonal(const Tensor& image, const Tensor& whitening, Tensor& out, int64_t radius) {
  const auto run = kernels<S>(image).diagonal[radius == kSmallRadius];
  for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
    Call<S> call = call_for<S>(image, b, radius);
    call.whitening = read<S>(whitening, b);
    call.out = out.mutable_data_ptr<S>() + b * out.stride(0);
    run(call, tile);
  });
}

template <typename S>
void image_gradient(const Tensor& image, const Tensor& whitening, const Tensor& p, const Tensor& q,
                    Tensor& out, int64_t radius) {
  const auto& run = kernels<S>(image);
  for_tiles(out.size(0), out.size(2), out.size(3), radius, [&](int64_t b, const Tile& tile) {
    Call<S> call = call_for<S>(image, b, radius);
    call.whitening = read<S>(whitening, b);
    call.out = out.mutable_data_ptr<S>() + b * out.stride(0);
    for (int64_t c = 0; c < p.size(1); ++c) {
      call.p = read<S>(p, b) + c * call.plane;
      call.q = read<S>(q, b) + c * call.plane;
      call.add = c > 0;
      run.image_gradient(call, tile);
    }
  });
}

Tensor matting_whitening(const Tensor& image, double eps, int64_t radius) {
  check_guide(image, radius);
  const Tensor guide = torch::stable::contiguous(image);
  Tensor out = new_whitening(guide, radius);
  use_huge_pages(out);
  if (image.scalar_type() == ScalarType::Float)
    whitening<float>(guide, out, eps, radius);
  else
    whitening<double>(guide, out, eps, radius);
  return out;
}

Tensor matting_matvec(const Tensor& image, const Tensor& whitening, const Tensor& p,
                      int64_t radius) {
  check_matvec(image, whitening, p, radius);
  const Tensor guide = torch::stable::contiguous(image);
  const Tensor matrices = torch::stable::contiguous(whitening);
  const Tensor signal = torch::stable::contiguous(p);
  Tensor out = torch::stable::new_empty(signal, signal.sizes());
  use_huge_pages(out);
  if (image.scalar_type() == ScalarType::Float)
    matvec<float>(guide, matrices, signal, out, radius);
  else
    matvec<double>(guide, matrices, signal, out, radius);
  return out;
}

Tensor matting_free_matvec(const Tensor& image, const Tensor& whitening, const Tensor& slots,
                           const Tensor& tiles, const Tensor& x, int64_t radius) {
  check_free_matvec(image, whitening, slots, tiles, x, radius);
  Tensor out = torch::stable::new_zeros(x, x.sizes());
  const auto run =
      image.scalar_type() == ScalarType::Float ? free_matvec<float> : free_matvec<double>;
  run(torch::stable::contiguous(image), torch::stable::contiguous(whitening),
      torch::stable::contiguous(slots), torch::stable::contiguous(tiles),
      torch::stable::contiguous(x), out, radius);
  return out;
}

Tensor matting_diagonal(const Tensor& image, const Tensor& whitening, int64_t radius) {
  check_whitening(image, whitening, radius);
  const Tensor guide = torch::stable::contiguous(image);
  const Tensor matrices = torch::stable::contiguous(whitening);
  Tensor out = torch::stable::new_empty(guide, {guide.size(0), 1, guide.size(2), guide.size(3)});
  if (image.scalar_type() == ScalarType::Float)
    diagonal<float>(guide, matrices, out, radius);
  else
    diagonal<double>(guide, matrices, out, radius);
  return out;
}

Tensor matting_image_gradient(const Tensor& image, const Tensor& whitening, const Tensor& p,
                              const Tensor& q, int64_t radius) {
  check_image_gradient(image, whitening, p, q, radius);
  const Tensor guide = torch::stable::contiguous(image);
  const Tensor matrices = torch::stable::contiguous(whitening);
  const Tensor left = torch::stable::contiguous(p);
  const Tensor right = torch::stable::contiguous(q);
  Tensor out = torch::stable::new_zeros(guide, guide.sizes());
  if (image.scalar_type() == ScalarType::Float)
    image_gradient<float>(guide, matrices, left, right, out, radius);
  else
    image_gradient<double>(guide, matrices, left, right, out, radius);
  return out;
}

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("matting_whitening", TORCH_BOX(&pydpst::matting_whitening));
  library.impl("matting_matvec", TORCH_BOX(&pydpst::matting_matvec));
  library.impl("matting_free_matvec", TORCH_BOX(&pydpst::matting_free_matvec));
  library.impl("matting_diagonal", TORCH_BOX(&pydpst::matting_diagonal));
  library.impl("matting_image_gradient", TORCH_BOX(&pydpst::matting_image_gradient));
}
