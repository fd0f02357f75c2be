// Sums over the threads of a block and over parts of a result, in one fixed order.
#pragma once

#include "grid.cuh"

namespace pydpst {
namespace {

// Adds up the threads' entries of each row, by halves; the sums are then the rows' first entries.
template <int Rows, typename S>
__device__ void add_threads(S (&rows)[Rows][kThreads]) {
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    for (int i = threadIdx.x; i < Rows * half; i += kThreads)
      rows[i / half][i % half] += rows[i / half][i % half + half];
    __syncthreads();
  }
}

// Sums of parts (count, size).
template <typename S>
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(const S* parts, S* out, int64_t size, int64_t count) {
  const int64_t i = item();
  if (i >= size) return;
  S sum = 0;
  for (int64_t part = 0; part < count; ++part) sum += parts[part * size + i];
  out[i] = sum;
}

}  // namespace
}  // namespace pydpst
