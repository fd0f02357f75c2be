// A colour grade by region on CUDA devices.

#include "grade.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

GradeShape shape_of(const Tensor& masks, const Tensor& image, const Tensor& maps) {
  return {image.size(0), masks.size(1), maps.size(2), maps.size(3), image.size(2) * image.size(3)};
}

struct CudaGrade {
  using Device = CudaDevice;

  template <typename S>
  static void change(const Tensor& maps, const Tensor& masks, const Tensor& image, bool add,
                     Tensor& out) {
    launch_change(Launch(image), shape_of(masks, image, maps), read<S>(maps, 0), read<S>(masks, 0),
                  read<S>(image, 0), add, write<S>(out, 0));
  }

  template <typename S>
  static void maps_gradient(const Tensor& grad, const Tensor& masks, const Tensor& image,
                            Tensor& out) {
    const GradeShape shape = shape_of(masks, image, out);
    Tensor parts = torch::stable::new_empty(out, {grade_parts(shape) * out.numel()});
    launch_maps_gradient(Launch(image), shape, read<S>(grad, 0), read<S>(masks, 0),
                         read<S>(image, 0), write<S>(out, 0), write<S>(parts, 0));
  }

  template <typename S>
  static void pixel_gradients(const Tensor& grad, const Tensor& maps, const Tensor& masks,
                              const Tensor& image, bool add, Tensor& masks_out, Tensor& image_out) {
    launch_pixel_gradients(Launch(image), shape_of(masks, image, maps), read<S>(grad, 0),
                           read<S>(maps, 0), read<S>(masks, 0), read<S>(image, 0), add,
                           write<S>(masks_out, 0), write<S>(image_out, 0));
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("grade_change", TORCH_BOX(&pydpst::grade_change<pydpst::CudaGrade>));
  library.impl("grade_change_maps_gradient",
               TORCH_BOX(&pydpst::grade_change_maps_gradient<pydpst::CudaGrade>));
  library.impl("grade_change_pixel_gradients",
               TORCH_BOX(&pydpst::grade_change_pixel_gradients<pydpst::CudaGrade>));
}
