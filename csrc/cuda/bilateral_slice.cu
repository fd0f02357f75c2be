// Slicing and applying a bilateral grid on CUDA devices.

#include <cmath>

#include "bilateral_slice.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

SliceShape shape_of(const Tensor& grid, const Tensor& image) {
  return {image.size(0), image.size(2), image.size(3), grid.size(2), grid.size(3), grid.size(4)};
}

struct CudaSlice {
  using Device = CudaDevice;

  template <typename S>
  static void apply(const Tensor& grid, const Tensor& guide, const Tensor& image, Tensor& out) {
    Tensor transforms = torch::stable::new_empty(grid, {grid.numel()});
    slice_apply(Launch(image), shape_of(grid, image), read<S>(grid, 0), read<S>(guide, 0),
                read<S>(image, 0), write<S>(out, 0), write<S>(transforms, 0));
  }

  template <typename S>
  static void gradients(const Tensor& grad, const Tensor& grid, const Tensor& guide,
                        const Tensor& image, Tensor& grid_out, Tensor& guide_out,
                        Tensor& image_out) {
    Tensor parts = torch::stable::new_empty(grid, {kParts * grid.numel()});
    slice_apply_backward(Launch(image), shape_of(grid, image), read<S>(grad, 0), read<S>(grid, 0),
                         read<S>(guide, 0), read<S>(image, 0), write<S>(grid_out, 0),
                         write<S>(guide_out, 0), write<S>(image_out, 0), write<S>(parts, 0));
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("bilateral_slice_apply",
               TORCH_BOX(&pydpst::bilateral_slice_apply<pydpst::CudaSlice>));
  library.impl("bilateral_slice_apply_backward",
               TORCH_BOX(&pydpst::bilateral_slice_apply_backward<pydpst::CudaSlice>));
}
