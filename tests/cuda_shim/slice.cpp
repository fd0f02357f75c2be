// Runs the CUDA kernels of bilateral_slice_apply under cuda_shim.h.

// clang-format off: the kernels need the shim before them
#include "cuda_shim.h"
#include "bilateral_slice.cuh"
// clang-format on

using namespace pydpst;

template <typename S>
void run(const Launch& launch, const SliceShape& shape) {
  const auto grid = read_array<S>(shape.cells());
  const auto guide = read_array<S>(shape.pixels()), image = read_array<S>(3 * shape.pixels());
  const auto grad = read_array<S>(3 * shape.pixels());
  std::vector<S> out(image.size()), transforms(grid.size());
  slice_apply(launch, shape, grid.data(), guide.data(), image.data(), out.data(),
              transforms.data());
  std::vector<S> grid_grad(grid.size()), guide_grad(guide.size()), image_grad(image.size());
  std::vector<S> parts(kParts * grid.size());
  slice_apply_backward(launch, shape, grad.data(), grid.data(), guide.data(), image.data(),
                       grid_grad.data(), guide_grad.data(), image_grad.data(), parts.data());
  write_array(out);
  write_array(grid_grad);
  write_array(guide_grad);
  write_array(image_grad);
}

int main() {
  return answer<SliceShape>(
      kThreads,
      []<typename S>(const Launch& launch, const SliceShape& shape) { run<S>(launch, shape); });
}
