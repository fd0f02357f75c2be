// The operators around their kernels, the same for both back ends: arguments are checked, made
// contiguous and given to the kernels for their type, with memory for the result.
//
// A Backend has the kernels of the operators that it is used for, each beside its operator here as
// Backend::name<S>, S float or double, or name<S, G> for guide images of G channels; and
// Backend::Device(tensor), which makes a tensor's device the current one.
#pragma once

#include <tuple>

#include "checks.h"

namespace pydpst {

using torch::stable::contiguous;

inline Tensor new_like(const Tensor& tensor) {
  return torch::stable::new_empty(tensor, tensor.sizes());
}

// Calls body<S>() for the type of a tensor that was checked.
template <typename Body>
void for_type(const Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == ScalarType::Float)
    body.template operator()<float>();
  else
    body.template operator()<double>();
}

// Calls body<S, G>() for the type and the channels of a guide image that was checked.
template <typename Body>
void for_guide(const Tensor& image, const Body& body) {
  for_type(image, [&]<typename S>() {
    if (image.size(1) == 1)
      body.template operator()<S, 1>();
    else
      body.template operator()<S, 3>();
  });
}

template <typename Backend>
Tensor matting_whitening(const Tensor& image, double eps, int64_t radius) {
  check_guide(image, radius);
  const typename Backend::Device device(image);
  const Tensor guide = contiguous(image);
  Tensor out = new_whitening(guide, radius);
  for_guide(guide, [&]<typename S, int G>() {
    Backend::template whitening<S, G>(guide, eps, radius, out);
  });
  return out;
}

template <typename Backend>
Tensor matting_matvec(const Tensor& image, const Tensor& whitening, const Tensor& p,
                      int64_t radius) {
  check_matvec(image, whitening, p, radius);
  const typename Backend::Device device(image);
  const Tensor guide = contiguous(image), signal = contiguous(p);
  Tensor out = new_like(signal);
  for_guide(guide, [&]<typename S, int G>() {
    Backend::template matvec<S, G>(guide, contiguous(whitening), signal, radius, out);
  });
  return out;
}

// The kernel writes the free pixels that a tile holds, and nothing else.
template <typename Backend>
Tensor matting_free_matvec(const Tensor& image, const Tensor& whitening, const Tensor& slots,
                           const Tensor& tiles, const Tensor& x, int64_t radius) {
  check_free_matvec(image, whitening, slots, tiles, x, radius);
  const typename Backend::Device device(image);
  Tensor out = torch::stable::new_zeros(x, x.sizes());
  for_guide(image, [&]<typename S, int G>() {
    Backend::template free_matvec<S, G>(contiguous(image), contiguous(whitening), contiguous(slots),
                                        contiguous(tiles), contiguous(x), radius, out);
  });
  return out;
}

template <typename Backend>
Tensor matting_diagonal(const Tensor& image, const Tensor& whitening, int64_t radius) {
  check_whitening(image, whitening, radius);
  const typename Backend::Device device(image);
  const Tensor guide = contiguous(image);
  Tensor out = torch::stable::new_empty(guide, {guide.size(0), 1, guide.size(2), guide.size(3)});
  for_guide(guide, [&]<typename S, int G>() {
    Backend::template diagonal<S, G>(guide, contiguous(whitening), radius, out);
  });
  return out;
}

template <typename Backend>
Tensor matting_image_gradient(const Tensor& image, const Tensor& whitening, const Tensor& p,
                              const Tensor& q, int64_t radius) {
  check_image_gradient(image, whitening, p, q, radius);
  const typename Backend::Device device(image);
  const Tensor guide = contiguous(image);
  Tensor out = torch::stable::new_zeros(guide, guide.sizes());
  for_guide(guide, [&]<typename S, int G>() {
    Backend::template image_gradient<S, G>(guide, contiguous(whitening), contiguous(p),
                                           contiguous(q), radius, out);
  });
  return out;
}

template <typename Backend>
Tensor ellpack_matvec(const Tensor& blocks, const Tensor& columns, const Tensor& x) {
  check_ellpack(blocks, columns, x);
  const typename Backend::Device device(x);
  Tensor out = torch::stable::new_empty(x, {x.size(0), blocks.size(0), blocks.size(2)});
  for_type(blocks, [&]<typename S>() {
    Backend::template product<S>(contiguous(blocks), contiguous(columns), contiguous(x), out);
  });
  return out;
}

template <typename Backend>
Tensor bilateral_slice_apply(const Tensor& grid, const Tensor& guide, const Tensor& image) {
  check_slice(grid, guide, image);
  const typename Backend::Device device(image);
  const Tensor photo = contiguous(image);
  Tensor out = new_like(photo);
  for_type(photo, [&]<typename S>() {
    Backend::template apply<S>(contiguous(grid), contiguous(guide), photo, out);
  });
  return out;
}

template <typename Backend>
std::tuple<Tensor, Tensor, Tensor> bilateral_slice_apply_backward(const Tensor& grad,
                                                                  const Tensor& grid,
                                                                  const Tensor& guide,
                                                                  const Tensor& image) {
  check_slice_backward(grad, grid, guide, image);
  const typename Backend::Device device(image);
  const Tensor cells = contiguous(grid), values = contiguous(guide), photo = contiguous(image);
  Tensor grid_out = new_like(cells), guide_out = new_like(values), image_out = new_like(photo);
  for_type(photo, [&]<typename S>() {
    Backend::template gradients<S>(contiguous(grad), cells, values, photo, grid_out, guide_out,
                                   image_out);
  });
  return {grid_out, guide_out, image_out};
}

template <typename Backend>
Tensor affine_maps_apply(const Tensor& maps, const Tensor& image, int64_t top, int64_t height) {
  check_affine_maps(maps, image, top, height);
  const typename Backend::Device device(image);
  const Tensor strip = contiguous(image);
  Tensor out = new_like(strip);
  for_type(strip, [&]<typename S>() {
    Backend::template apply<S>(contiguous(maps), strip, top, height, out);
  });
  return out;
}

template <typename Backend>
Tensor grade_change(const Tensor& maps, const Tensor& masks, const Tensor& image, bool add) {
  check_grade(maps, masks, image);
  const typename Backend::Device device(image);
  const Tensor photo = contiguous(image);
  Tensor out = new_like(photo);
  for_type(photo, [&]<typename S>() {
    Backend::template change<S>(contiguous(maps), contiguous(masks), photo, add, out);
  });
  return out;
}

template <typename Backend>
Tensor grade_change_maps_gradient(const Tensor& grad, const Tensor& masks, const Tensor& image,
                                  int64_t hues, int64_t knots) {
  check_grade_maps_gradient(grad, masks, image, hues, knots);
  const typename Backend::Device device(image);
  Tensor out = torch::stable::new_empty(image, {image.size(0), masks.size(1), hues, knots, 12});
  for_type(image, [&]<typename S>() {
    Backend::template maps_gradient<S>(contiguous(grad), contiguous(masks), contiguous(image), out);
  });
  return out;
}

template <typename Backend>
std::tuple<Tensor, Tensor> grade_change_pixel_gradients(const Tensor& grad, const Tensor& maps,
                                                        const Tensor& masks, const Tensor& image,
                                                        bool add) {
  check_grade_pixel_gradients(grad, maps, masks, image);
  const typename Backend::Device device(image);
  const Tensor shares = contiguous(masks), photo = contiguous(image);
  Tensor masks_out = new_like(shares), image_out = new_like(photo);
  for_type(photo, [&]<typename S>() {
    Backend::template pixel_gradients<S>(contiguous(grad), contiguous(maps), shares, photo, add,
                                         masks_out, image_out);
  });
  return {masks_out, image_out};
}

}  // namespace pydpst
