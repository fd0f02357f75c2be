// What the mathematics shared by host and device is declared with.
#pragma once

#if defined(__CUDACC__)
#define PYDPST_INLINE __host__ __device__ __forceinline__
#define PYDPST_UNROLL _Pragma("unroll")
#else
#define PYDPST_INLINE inline __attribute__((always_inline))
#define PYDPST_UNROLL _Pragma("GCC unroll 32")
#endif
