// How kernels find their work: one thread for each of so many items.
#pragma once

#include <cmath>
#include <cstdint>

namespace pydpst {
namespace {

#include "../moments.h"

// A power of two, which the sums by halves of sums.cuh need, and whole warps. The tests, which run
// the threads one by one, set fewer.
#ifndef PYDPST_THREADS
#define PYDPST_THREADS 256
#endif
constexpr int kThreads = PYDPST_THREADS;
static_assert(kThreads >= 32 && (kThreads & (kThreads - 1)) == 0);

// The item of this thread.
__device__ inline int64_t item() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }

// How many blocks hold so many items.
inline int64_t blocks_for(int64_t items) { return (items + kThreads - 1) / kThreads; }

__host__ __device__ inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
__host__ __device__ inline int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }

}  // namespace
}  // namespace pydpst
