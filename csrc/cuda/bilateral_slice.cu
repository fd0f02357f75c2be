// Slicing and applying a bilateral grid on CUDA devices.

#include <cmath>
#include <tuple>

#include "bilateral_slice.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

SliceShape shape_of(const Tensor& grid, const Tensor& image) {
  return {image.size(0), image.size(2), image.size(3), grid.size(2), grid.size(3), grid.size(4)};
}

template <typename S>
Tensor apply(const Tensor& grid, const Tensor& guide, const Tensor& image) {
  Tensor out = torch::stable::new_empty(image, image.sizes());
  Tensor transforms = torch::stable::new_empty(grid, {grid.numel()});
  slice_apply(Launch(image), shape_of(grid, image), read<S>(grid, 0), read<S>(guide, 0),
              read<S>(image, 0), write<S>(out, 0), write<S>(transforms, 0));
  return out;
}

template <typename S>
std::tuple<Tensor, Tensor, Tensor> gradients(const Tensor& grad, const Tensor& grid,
                                             const Tensor& guide, const Tensor& image) {
  Tensor grid_grad = torch::stable::new_empty(grid, grid.sizes());
  Tensor guide_grad = torch::stable::new_empty(guide, guide.sizes());
  Tensor image_grad = torch::stable::new_empty(image, image.sizes());
  Tensor parts = torch::stable::new_empty(grid, {kParts * grid.numel()});
  slice_apply_backward(Launch(image), shape_of(grid, image), read<S>(grad, 0), read<S>(grid, 0),
                       read<S>(guide, 0), read<S>(image, 0), write<S>(grid_grad, 0),
                       write<S>(guide_grad, 0), write<S>(image_grad, 0), write<S>(parts, 0));
  return {grid_grad, guide_grad, image_grad};
}

Tensor bilateral_slice_apply(const Tensor& grid, const Tensor& guide, const Tensor& image) {
  check_slice(grid, guide, image);
  const torch::stable::accelerator::DeviceGuard device(image.get_device_index());
  const auto run = image.scalar_type() == ScalarType::Float ? apply<float> : apply<double>;
  return run(torch::stable::contiguous(grid), torch::stable::contiguous(guide),
             torch::stable::contiguous(image));
}

std::tuple<Tensor, Tensor, Tensor> bilateral_slice_apply_backward(const Tensor& grad,
                                                                  const Tensor& grid,
                                                                  const Tensor& guide,
                                                                  const Tensor& image) {
  check_slice_backward(grad, grid, guide, image);
  const torch::stable::accelerator::DeviceGuard device(image.get_device_index());
  const auto run = image.scalar_type() == ScalarType::Float ? gradients<float> : gradients<double>;
  return run(torch::stable::contiguous(grad), torch::stable::contiguous(grid),
             torch::stable::contiguous(guide), torch::stable::contiguous(image));
}

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("bilateral_slice_apply", TORCH_BOX(&pydpst::bilateral_slice_apply));
  library.impl("bilateral_slice_apply_backward",
               TORCH_BOX(&pydpst::bilateral_slice_apply_backward));
}
