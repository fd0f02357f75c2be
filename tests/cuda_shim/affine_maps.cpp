// Runs the CUDA kernel of affine_maps_apply under cuda_shim.h, as main.cpp does the others'.

#include <cstdio>

// clang-format off: the kernel needs the shim before it
#include "cuda_shim.h"
#include "affine_maps.cuh"
// clang-format on

using namespace pydpst;

struct Request {
  StripShape shape;
  int64_t is_double, falling;
};

template <typename S>
void run(const Request& request) {
  const Launch launch{kThreads, request.falling != 0};
  const auto maps = read_array<S>(request.shape.cells());
  const auto image = read_array<S>(3 * request.shape.pixels());
  std::vector<S> out(image.size());
  affine_maps(launch, request.shape, maps.data(), image.data(), out.data());
  std::fwrite(out.data(), sizeof(S), out.size(), stdout);
}

int main() {
  const Request request = read_array<Request>(1)[0];
  request.is_double ? run<double>(request) : run<float>(request);
}
