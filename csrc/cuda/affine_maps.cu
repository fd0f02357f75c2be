// Affine colour maps, enlarged and applied to a strip of an image, on CUDA devices.

#include <cmath>

#include "affine_maps.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

template <typename S>
Tensor apply(const Tensor& maps, const Tensor& image, int64_t top, int64_t height) {
  Tensor out = torch::stable::new_empty(image, image.sizes());
  const StripShape shape{image.size(0), top,          height,      image.size(2),
                         image.size(3), maps.size(2), maps.size(3)};
  affine_maps(Launch(image), shape, read<S>(maps, 0), read<S>(image, 0), write<S>(out, 0));
  return out;
}

Tensor affine_maps_apply(const Tensor& maps, const Tensor& image, int64_t top, int64_t height) {
  check_affine_maps(maps, image, top, height);
  const torch::stable::accelerator::DeviceGuard device(image.get_device_index());
  const auto run = image.scalar_type() == ScalarType::Float ? apply<float> : apply<double>;
  return run(torch::stable::contiguous(maps), torch::stable::contiguous(image), top, height);
}

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("affine_maps_apply", TORCH_BOX(&pydpst::affine_maps_apply));
}
