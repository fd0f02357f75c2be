// What the kernels rely on, checked once for both back ends.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

namespace pydpst {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline void check_guide(const Tensor& image, int64_t radius) {
  STD_TORCH_CHECK(image.dim() == 4 && (image.size(1) == 1 || image.size(1) == 3),
                  "the guide image must have the shape (B, 1, H, W) or (B, 3, H, W)");
  STD_TORCH_CHECK(
      image.scalar_type() == ScalarType::Float || image.scalar_type() == ScalarType::Double,
      "the guide image must be float32 or float64");
  STD_TORCH_CHECK(radius >= 1, "radius must be at least 1, got ", radius);
  STD_TORCH_CHECK((image.size(2) - 1) / 2 >= radius && (image.size(3) - 1) / 2 >= radius,
                  "the guide image must hold one window of radius ", radius, ", got ",
                  image.size(3), "×", image.size(2));
}

// The lower triangle of a matrix for each window.
inline int64_t whitening_planes(const Tensor& image) {
  return image.size(1) * (image.size(1) + 1) / 2;
}

inline Tensor new_whitening(const Tensor& image, int64_t radius) {
  return torch::stable::new_empty(image, {image.size(0), whitening_planes(image),
                                          image.size(2) - 2 * radius, image.size(3) - 2 * radius});
}

inline void check_same(const Tensor& image, const Tensor& other, const char* name) {
  STD_TORCH_CHECK(other.dim() == 4 && other.size(0) == image.size(0), name,
                  " must have four dimensions and the guide image's batch size");
  STD_TORCH_CHECK(other.scalar_type() == image.scalar_type(), name,
                  " must have the guide image's dtype");
  STD_TORCH_CHECK(
      other.is_cuda() == image.is_cuda() && other.get_device_index() == image.get_device_index(),
      name, " must be on the guide image's device");
}

inline void check_whitening(const Tensor& image, const Tensor& whitening, int64_t radius) {
  check_guide(image, radius);
  check_same(image, whitening, "whitening");
  STD_TORCH_CHECK(whitening.size(1) == whitening_planes(image) &&
                      whitening.size(2) == image.size(2) - 2 * radius &&
                      whitening.size(3) == image.size(3) - 2 * radius,
                  "whitening must come from the same guide image and radius");
}

inline void check_matvec(const Tensor& image, const Tensor& whitening, const Tensor& p,
                         int64_t radius) {
  check_whitening(image, whitening, radius);
  check_same(image, p, "p");
  STD_TORCH_CHECK(p.size(2) == image.size(2) && p.size(3) == image.size(3),
                  "p must have the guide image's height and width");
}

inline void check_free_matvec(const Tensor& image, const Tensor& whitening, const Tensor& slots,
                              const Tensor& tiles, const Tensor& x, int64_t radius) {
  check_whitening(image, whitening, radius);
  STD_TORCH_CHECK(image.size(0) == 1, "the guide image must be one, got a batch of ",
                  image.size(0));
  STD_TORCH_CHECK(
      slots.dim() == 2 && slots.size(0) == image.size(2) && slots.size(1) == image.size(3),
      "slots must have the guide image's height and width");
  STD_TORCH_CHECK(tiles.dim() == 2 && tiles.size(1) == 4, "tiles must have the shape (T, 4)");
  STD_TORCH_CHECK(
      slots.scalar_type() == ScalarType::Long && tiles.scalar_type() == ScalarType::Long,
      "slots and tiles must be int64");
  STD_TORCH_CHECK(x.dim() == 2 && x.scalar_type() == image.scalar_type(),
                  "x must have the shape (C, N) and the guide image's dtype");
  for (const Tensor* other : {&slots, &tiles, &x})
    STD_TORCH_CHECK(other->is_cuda() == image.is_cuda() &&
                        other->get_device_index() == image.get_device_index(),
                    "slots, tiles and x must be on the guide image's device");
}

inline void check_image_gradient(const Tensor& image, const Tensor& whitening, const Tensor& p,
                                 const Tensor& q, int64_t radius) {
  check_matvec(image, whitening, p, radius);
  check_matvec(image, whitening, q, radius);
  STD_TORCH_CHECK(p.size(1) == q.size(1), "p and q must have the same number of channels");
}

inline void check_grad(const Tensor& grad, const Tensor& image) {
  STD_TORCH_CHECK(grad.dim() == 4 && grad.size(0) == image.size(0) && grad.size(1) == 3 &&
                      grad.size(2) == image.size(2) && grad.size(3) == image.size(3) &&
                      grad.scalar_type() == image.scalar_type() &&
                      grad.is_cuda() == image.is_cuda() &&
                      grad.get_device_index() == image.get_device_index(),
                  "grad must have the image's shape, dtype and device");
}

inline void check_slice(const Tensor& grid, const Tensor& guide, const Tensor& image) {
  STD_TORCH_CHECK(image.dim() == 4 && image.size(1) == 3, "image must have the shape (B, 3, H, W)");
  STD_TORCH_CHECK(
      image.scalar_type() == ScalarType::Float || image.scalar_type() == ScalarType::Double,
      "image must be float32 or float64");
  STD_TORCH_CHECK(grid.dim() == 5 && grid.size(0) == image.size(0) && grid.size(1) == 12 &&
                      grid.size(2) > 0 && grid.size(3) > 0 && grid.size(4) > 0,
                  "grid must have the shape (B, 12, D, Gh, Gw), the image's batch size and cells");
  STD_TORCH_CHECK(guide.dim() == 3 && guide.size(0) == image.size(0) &&
                      guide.size(1) == image.size(2) && guide.size(2) == image.size(3),
                  "guide must have the shape (B, H, W) of the image");
  for (const Tensor* other : {&grid, &guide}) {
    STD_TORCH_CHECK(other->scalar_type() == image.scalar_type(),
                    "grid, guide and image must have the same dtype");
    STD_TORCH_CHECK(other->is_cuda() == image.is_cuda() &&
                        other->get_device_index() == image.get_device_index(),
                    "grid, guide and image must be on the same device");
  }
}

inline void check_slice_backward(const Tensor& grad, const Tensor& grid, const Tensor& guide,
                                 const Tensor& image) {
  check_slice(grid, guide, image);
  check_grad(grad, image);
}

inline void check_affine_maps(const Tensor& maps, const Tensor& image, int64_t top,
                              int64_t height) {
  STD_TORCH_CHECK(image.dim() == 4 && image.size(1) == 3, "image must have the shape (B, 3, H, W)");
  STD_TORCH_CHECK(
      image.scalar_type() == ScalarType::Float || image.scalar_type() == ScalarType::Double,
      "image must be float32 or float64");
  STD_TORCH_CHECK(maps.dim() == 4 && maps.size(0) == image.size(0) && maps.size(1) == 12 &&
                      maps.size(2) > 0 && maps.size(3) > 0,
                  "maps must have the shape (B, 12, h, w), the image's batch size and pixels");
  STD_TORCH_CHECK(maps.scalar_type() == image.scalar_type() && maps.is_cuda() == image.is_cuda() &&
                      maps.get_device_index() == image.get_device_index(),
                  "maps must have the image's dtype and device");
  STD_TORCH_CHECK(top >= 0 && image.size(2) <= height - top, "the image's ", image.size(2),
                  " rows from ", top, " on must lie within height, got ", height);
}

inline void check_grade_pixels(const Tensor& masks, const Tensor& image) {
  STD_TORCH_CHECK(image.dim() == 4 && image.size(1) == 3, "image must have the shape (B, 3, H, W)");
  STD_TORCH_CHECK(
      image.scalar_type() == ScalarType::Float || image.scalar_type() == ScalarType::Double,
      "image must be float32 or float64");
  STD_TORCH_CHECK(masks.dim() == 4 && masks.size(0) == image.size(0) &&
                      masks.size(2) == image.size(2) && masks.size(3) == image.size(3),
                  "masks must have the shape (B, R, H, W), the image's but for R");
  STD_TORCH_CHECK(masks.scalar_type() == image.scalar_type() &&
                      masks.is_cuda() == image.is_cuda() &&
                      masks.get_device_index() == image.get_device_index(),
                  "masks must have the image's dtype and device");
}

inline void check_grade(const Tensor& maps, const Tensor& masks, const Tensor& image) {
  check_grade_pixels(masks, image);
  STD_TORCH_CHECK(
      maps.dim() == 5 && maps.size(0) == image.size(0) && maps.size(1) == masks.size(1) &&
          (maps.size(2) == 1 || maps.size(2) == 7) && maps.size(3) > 0 && maps.size(4) == 12,
      "maps must have the shape (B, R, 1 or 7, K, 12), B and R those of masks and K at least 1");
  STD_TORCH_CHECK(maps.scalar_type() == image.scalar_type() && maps.is_cuda() == image.is_cuda() &&
                      maps.get_device_index() == image.get_device_index(),
                  "maps must have the image's dtype and device");
}

inline void check_grade_maps_gradient(const Tensor& grad, const Tensor& masks, const Tensor& image,
                                      int64_t hues, int64_t knots) {
  check_grade_pixels(masks, image);
  check_grad(grad, image);
  STD_TORCH_CHECK(hues == 1 || hues == 7, "hues must be 1 or 7, got ", hues);
  STD_TORCH_CHECK(knots >= 1, "knots must be at least 1, got ", knots);
}

inline void check_grade_pixel_gradients(const Tensor& grad, const Tensor& maps, const Tensor& masks,
                                        const Tensor& image) {
  check_grade(maps, masks, image);
  check_grad(grad, image);
}

inline void check_ellpack(const Tensor& blocks, const Tensor& columns, const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 3 && x.scalar_type() == ScalarType::Double,
                  "x must have the shape (C, M, b) and be float64");
  const auto is_side = [](int64_t size) { return size == 1 || size == 2 || size == 4; };
  STD_TORCH_CHECK(blocks.dim() == 4 && is_side(blocks.size(2)) && is_side(blocks.size(3)) &&
                      blocks.size(3) == x.size(2),
                  "blocks must have the shape (N, K, a, b) with a and b of 1, 2 or 4, b as in x");
  STD_TORCH_CHECK(
      columns.dim() == 2 && columns.size(0) == blocks.size(0) && columns.size(1) == blocks.size(1),
      "columns must have the shape (N, K) of the blocks");
  STD_TORCH_CHECK(
      blocks.scalar_type() == ScalarType::Float || blocks.scalar_type() == ScalarType::Double,
      "blocks must be float32 or float64");
  STD_TORCH_CHECK(columns.scalar_type() == ScalarType::Long, "columns must be int64");
  for (const Tensor* other : {&blocks, &columns})
    STD_TORCH_CHECK(
        other->is_cuda() == x.is_cuda() && other->get_device_index() == x.get_device_index(),
        "blocks, columns and x must be on the same device");
}

}  // namespace pydpst
