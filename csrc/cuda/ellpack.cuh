// Products with sparse matrices of small blocks. A thread has one entry of the result.
#pragma once

#include "grid.cuh"

namespace pydpst {
namespace {

#include "../ellpack.h"

// x is (vectors, size, B) and out (vectors, rows, a).
template <typename S, int B>
__global__ void __launch_bounds__(kThreads)
    ellpack_kernel(const S* blocks, const int64_t* columns, const double* x, double* out, int64_t a,
                   int64_t rows, int64_t count, int64_t vectors, int64_t size) {
  const int64_t i = item();
  if (i >= vectors * rows * a) return;
  const int64_t row = i / a % rows, vector = i / (a * rows);
  ellpack_row<1, B>(blocks + (row * count * a + i % a) * B, a * B, columns + row * count, count,
                    x + vector * size * B, size, out + i);
}

template <typename S, typename Launch>
void ellpack_product(const Launch& launch, const S* blocks, const int64_t* columns, const double* x,
                     double* out, int64_t a, int64_t b, int64_t rows, int64_t count,
                     int64_t vectors, int64_t size) {
  const auto kernel = b == 1   ? ellpack_kernel<S, 1>
                      : b == 2 ? ellpack_kernel<S, 2>
                               : ellpack_kernel<S, 4>;
  launch(kernel, blocks_for(vectors * rows * a), blocks, columns, x, out, a, rows, count, vectors,
         size);
}

}  // namespace
}  // namespace pydpst
