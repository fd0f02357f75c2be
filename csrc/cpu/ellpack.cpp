// Products with sparse matrices of small blocks on the CPU, for three instruction sets, chosen at
// run time.

#include <algorithm>
#include <cstdint>

#include "../operators.h"
#include "processor.h"

namespace pydpst {
namespace {

// A matrix (rows, count, A, B), the columns of its blocks, and x (vectors, size, B).
template <typename S>
struct Ellpack {
  const S* blocks;
  const int64_t* columns;
  const double* x;
  double* out;
  int64_t rows, count, vectors, size;
};

template <typename S>
using EllpackKernel = void (*)(const Ellpack<S>&, int64_t begin, int64_t end);

#define PYDPST_KERNELS "ellpack_rows.h"
#include "instruction_sets.h"

template <typename S>
EllpackKernel<S> ellpack_kernel(int64_t a, int64_t b) {
#if PYDPST_X86
  if (has_avx512()) return avx512::ellpack_kernels<S>[a / 2][b / 2];
  if (has_avx2()) return avx2::ellpack_kernels<S>[a / 2][b / 2];
#endif
  return baseline::ellpack_kernels<S>[a / 2][b / 2];
}

// Fewer multiplications than this are not worth another thread.
constexpr int64_t kWorthAThread = 1 << 16;

struct CpuEllpack {
  using Device = HostDevice;

  template <typename S>
  static void product(const Tensor& blocks, const Tensor& columns, const Tensor& x, Tensor& out) {
    const int64_t a = blocks.size(2), b = blocks.size(3);
    const Ellpack<S> matrix{blocks.const_data_ptr<S>(),
                            columns.const_data_ptr<int64_t>(),
                            x.const_data_ptr<double>(),
                            out.mutable_data_ptr<double>(),
                            blocks.size(0),
                            blocks.size(1),
                            x.size(0),
                            x.size(1)};
    const auto kernel = ellpack_kernel<S>(a, b);
    const int64_t row = std::max<int64_t>(1, matrix.vectors * matrix.count * a * b);
    torch::stable::parallel_for(0, matrix.rows, std::max<int64_t>(1, kWorthAThread / row),
                                [&](int64_t begin, int64_t end) { kernel(matrix, begin, end); });
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("ellpack_matvec", TORCH_BOX(&pydpst::ellpack_matvec<pydpst::CpuEllpack>));
}
