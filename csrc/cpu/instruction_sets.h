// Compiles the file PYDPST_KERNELS once for each instruction set, in a namespace of its own, with
// PYDPST_VECTOR_BYTES set; the build needs no -march.

namespace baseline {
#define PYDPST_VECTOR_BYTES 16
#include PYDPST_KERNELS
#undef PYDPST_VECTOR_BYTES
}  // namespace baseline

// clang has no such pragma; it gets the baseline.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PYDPST_X86 1
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define PYDPST_VECTOR_BYTES 32
#include PYDPST_KERNELS
#undef PYDPST_VECTOR_BYTES
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")
namespace avx512 {
#define PYDPST_VECTOR_BYTES 64
#include PYDPST_KERNELS
#undef PYDPST_VECTOR_BYTES
}  // namespace avx512
#pragma GCC pop_options
#endif
