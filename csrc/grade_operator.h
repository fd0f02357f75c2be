// The operators of a colour grade by region, for either back end. Kernels has, for S float and
// double and contiguous tensors,
//   Device(tensor)                                              makes its device the current one
//   grade_change<S>(maps, masks, image, add, out)
//   grade_maps_gradient<S>(grad, masks, image, out)
//   grade_pixel_gradients<S>(grad, maps, masks, image, add, masks_out, image_out)
#pragma once

#include <tuple>

#include "checks.h"
#include "operator.h"

namespace pydpst {

template <typename Kernels>
Tensor grade_change(const Tensor& maps, const Tensor& masks, const Tensor& image, bool add) {
  check_grade(maps, masks, image);
  const typename Kernels::Device device(image);
  Tensor out = new_like(contiguous(image));
  for_type(image, [&]<typename S>() {
    Kernels::template grade_change<S>(contiguous(maps), contiguous(masks), contiguous(image), add,
                                      out);
  });
  return out;
}

template <typename Kernels>
Tensor grade_change_maps_gradient(const Tensor& grad, const Tensor& masks, const Tensor& image,
                                  int64_t knots) {
  check_grade_maps_gradient(grad, masks, image, knots);
  const typename Kernels::Device device(image);
  Tensor out = torch::stable::new_empty(image, {image.size(0), masks.size(1), knots, 12});
  for_type(image, [&]<typename S>() {
    Kernels::template grade_maps_gradient<S>(contiguous(grad), contiguous(masks), contiguous(image),
                                             out);
  });
  return out;
}

template <typename Kernels>
std::tuple<Tensor, Tensor> grade_change_pixel_gradients(const Tensor& grad, const Tensor& maps,
                                                        const Tensor& masks, const Tensor& image,
                                                        bool add) {
  check_grade_pixel_gradients(grad, maps, masks, image);
  const typename Kernels::Device device(image);
  Tensor masks_out = new_like(contiguous(masks)), image_out = new_like(contiguous(image));
  for_type(image, [&]<typename S>() {
    Kernels::template grade_pixel_gradients<S>(contiguous(grad), contiguous(maps),
                                               contiguous(masks), contiguous(image), add, masks_out,
                                               image_out);
  });
  return {masks_out, image_out};
}

}  // namespace pydpst
