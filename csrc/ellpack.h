// The mathematics of a product with a sparse matrix of small blocks in ELLPACK form (as many blocks
// in each row), shared by the CPU and the CUDA kernels. No include guard: the CPU kernels include
// this once for each instruction set, in a namespace of its own. Blocks may be single precision: a
// product takes as long as it takes to read them.

#include "inline.h"

// A entries of a row's product: the sum over its blocks of A×B, `stride` values apart, each times
// the B values of x (size, B) at its column. Columns outside x are empty.
template <int A, int B, typename S>
PYDPST_INLINE void ellpack_row(const S* blocks, int64_t stride, const int64_t* columns,
                               int64_t count, const double* x, int64_t size, double* out) {
  double sums[A * B] = {};
  for (int64_t k = 0; k < count; ++k) {
    if (columns[k] < 0 || columns[k] >= size) continue;
    const S* block = blocks + k * stride;
    const double* from = x + columns[k] * B;
    PYDPST_UNROLL for (int i = 0; i < A * B; ++i) { sums[i] += block[i] * from[i % B]; }
  }
  PYDPST_UNROLL for (int i = 0; i < A; ++i) {
    out[i] = sums[i * B];
    PYDPST_UNROLL for (int j = 1; j < B; ++j) { out[i] += sums[i * B + j]; }
  }
}
