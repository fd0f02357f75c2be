// What the processor at hand can do, fresh memory for large results, and where data is.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <torch/csrc/stable/tensor.h>

namespace pydpst {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
// Whether the environment forbids what PYDPST_CPU does not name: it may be avx2 or baseline, for
// tests and measurements.
inline bool limited_to(const char* set) {
  const char* named = std::getenv("PYDPST_CPU");
  return named && std::strcmp(named, set) == 0;
}

inline bool has_avx512() {
  static const bool has = !limited_to("avx2") && !limited_to("baseline") &&
                          __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  return has;
}

inline bool has_avx2() {
  static const bool has =
      !limited_to("baseline") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}

inline const char* instruction_set() {
  return has_avx512() ? "avx512" : has_avx2() ? "avx2" : "baseline";
}
#else
inline const char* instruction_set() { return "baseline"; }
#endif

// What operators.h asks of a back end.
struct HostDevice {
  explicit HostDevice(const torch::stable::Tensor&) {}
};

// A tensor's data, from one sample on.
template <typename S>
const S* read(const torch::stable::Tensor& tensor, int64_t sample) {
  return tensor.const_data_ptr<S>() + sample * tensor.stride(0);
}

template <typename S>
S* write(torch::stable::Tensor& tensor, int64_t sample) {
  return tensor.mutable_data_ptr<S>() + sample * tensor.stride(0);
}

// Asks for huge pages: a large tensor's memory is fresh, and its page faults, one for every 4 KiB,
// would take about as long as filling it.
inline void use_huge_pages(torch::stable::Tensor& out) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t huge = 1 << 21;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(out.mutable_data_ptr());
  const uintptr_t end = begin + out.numel() * out.element_size();
  const uintptr_t first = (begin + huge - 1) / huge * huge, last = end / huge * huge;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace pydpst
