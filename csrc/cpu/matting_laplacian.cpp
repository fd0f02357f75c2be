// The matting Laplacian on the CPU. Planes are walked row by row, a vector of pixels at a time; on
// x86-64 the row loops are compiled for three instruction sets and chosen at run time, so the build
// needs no -march. Threads take strips of rows, and every pixel's sum has one fixed order, so the
// result does not depend on how many threads there are.

#include <algorithm>
#include <cmath>
#include <vector>

#include "../checks.h"

namespace pydpst {
namespace {

// A strip refits the 2r window rows that it shares with its neighbours: make it long enough.
constexpr int64_t kRowsPerStrip = 32;

// The planes (channels) of one sample of a batch.
template <typename S>
struct Planes {
  S* data;
  int64_t height, width;
  S* row(int64_t plane, int64_t y) const { return data + (plane * height + y) * width; }
};

// One row of each of Channels planes.
template <typename S, int Channels>
struct Row {
  S* channel[Channels];
  Row() = default;
  Row(const Planes<S>& planes, int64_t first, int64_t y) {
    for (int c = 0; c < Channels; ++c) channel[c] = planes.row(first + c, y);
  }
};

// The row loops of one instruction set.
template <typename S>
struct Kernels {
  void (*whitening_rows)(Planes<const S> image, Planes<S> out, double eps, int64_t begin,
                         int64_t end);
  // For one and for three channels of p at once.
  void (*matvec_rows[2])(Planes<const S> image, Planes<const S> whitening, Planes<const S> p,
                         Planes<S> out, int64_t first_channel, int64_t begin, int64_t end);
};

namespace baseline {
#define PYDPST_VECTOR_BYTES 16
#include "matting_rows.h"
#undef PYDPST_VECTOR_BYTES
}  // namespace baseline

// clang has no such pragma; it gets the baseline.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PYDPST_X86 1
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define PYDPST_VECTOR_BYTES 32
#include "matting_rows.h"
#undef PYDPST_VECTOR_BYTES
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")
namespace avx512 {
#define PYDPST_VECTOR_BYTES 64
#include "matting_rows.h"
#undef PYDPST_VECTOR_BYTES
}  // namespace avx512
#pragma GCC pop_options
#endif

template <typename S>
const Kernels<S>& kernels() {
#if PYDPST_X86
  static const bool has_avx512 =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_avx512) return avx512::kernels<S>;
  if (has_avx2) return avx2::kernels<S>;
#endif
  return baseline::kernels<S>;
}

template <typename S>
Planes<const S> read(const Tensor& tensor, int64_t b) {
  return {tensor.const_data_ptr<S>() + b * tensor.stride(0), tensor.size(2), tensor.size(3)};
}

template <typename S>
Planes<S> write(Tensor& tensor, int64_t b) {
  return {tensor.mutable_data_ptr<S>() + b * tensor.stride(0), tensor.size(2), tensor.size(3)};
}

// Calls work(sample, begin, end) for strips of rows of a batch, in parallel.
template <typename Work>
void for_strips(int64_t batch, int64_t height, const Work& work) {
  const int64_t strips = (height + kRowsPerStrip - 1) / kRowsPerStrip;
  torch::stable::parallel_for(0, batch * strips, 1, [&](int64_t first, int64_t last) {
    for (int64_t strip = first; strip < last; ++strip) {
      const int64_t begin = strip % strips * kRowsPerStrip;
      work(strip / strips, begin, std::min(begin + kRowsPerStrip, height));
    }
  });
}

template <typename S>
void whitening(const Tensor& image, Tensor& out, double eps) {
  for_strips(out.size(0), out.size(2), [&](int64_t b, int64_t begin, int64_t end) {
    kernels<S>().whitening_rows(read<S>(image, b), write<S>(out, b), eps, begin, end);
  });
}

template <typename S>
void matvec(const Tensor& image, const Tensor& whitening, const Tensor& p, Tensor& out) {
  for_strips(out.size(0), out.size(2), [&](int64_t b, int64_t begin, int64_t end) {
    int64_t channels = 0;
    for (int64_t c = 0; c < p.size(1); c += channels) {
      channels = p.size(1) - c >= 3 ? 3 : 1;
      kernels<S>().matvec_rows[channels == 3](read<S>(image, b), read<S>(whitening, b),
                                              read<S>(p, b), write<S>(out, b), c, begin, end);
    }
  });
}

Tensor matting_whitening(const Tensor& image, double eps, int64_t radius) {
  check_guide(image, radius);
  const Tensor guide = torch::stable::contiguous(image);
  Tensor out = new_whitening(guide, radius);
  if (image.scalar_type() == ScalarType::Float)
    whitening<float>(guide, out, eps);
  else
    whitening<double>(guide, out, eps);
  return out;
}

Tensor matting_matvec(const Tensor& image, const Tensor& whitening, const Tensor& p,
                      int64_t radius) {
  check_matvec(image, whitening, p, radius);
  const Tensor guide = torch::stable::contiguous(image);
  const Tensor matrices = torch::stable::contiguous(whitening);
  const Tensor signal = torch::stable::contiguous(p);
  Tensor out = torch::stable::new_empty(signal, signal.sizes());
  if (image.scalar_type() == ScalarType::Float)
    matvec<float>(guide, matrices, signal, out);
  else
    matvec<double>(guide, matrices, signal, out);
  return out;
}

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("matting_whitening", TORCH_BOX(&pydpst::matting_whitening));
  library.impl("matting_matvec", TORCH_BOX(&pydpst::matting_matvec));
}
