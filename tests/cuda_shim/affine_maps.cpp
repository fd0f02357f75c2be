// Runs the CUDA kernel of affine_maps_apply under cuda_shim.h.

// clang-format off: the kernel needs the shim before it
#include "cuda_shim.h"
#include "affine_maps.cuh"
// clang-format on

using namespace pydpst;

template <typename S>
void run(const Launch& launch, const StripShape& shape) {
  const auto maps = read_array<S>(shape.cells());
  const auto image = read_array<S>(3 * shape.pixels());
  std::vector<S> out(image.size());
  affine_maps(launch, shape, maps.data(), image.data(), out.data());
  write_array(out);
}

int main() {
  return answer<StripShape>(
      kThreads,
      []<typename S>(const Launch& launch, const StripShape& shape) { run<S>(launch, shape); });
}
