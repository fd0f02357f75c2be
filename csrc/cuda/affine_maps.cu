// Affine colour maps, enlarged and applied to a strip of an image, on CUDA devices.

#include <cmath>

#include "affine_maps.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

struct CudaAffineMaps {
  using Device = CudaDevice;

  template <typename S>
  static void apply(const Tensor& maps, const Tensor& image, int64_t top, int64_t height,
                    Tensor& out) {
    const StripShape shape{image.size(0), top,          height,      image.size(2),
                           image.size(3), maps.size(2), maps.size(3)};
    affine_maps(Launch(image), shape, read<S>(maps, 0), read<S>(image, 0), write<S>(out, 0));
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("affine_maps_apply", TORCH_BOX(&pydpst::affine_maps_apply<pydpst::CudaAffineMaps>));
}
