// A colour grade by region. A thread has a pixel and reads the maps around its mean, which the
// caches hold. The gradient in the maps is gathered: a block has a few knots of one region and
// hue, and a part of the image. No atomics, so results repeat bit for bit.
#pragma once

#include "sums.cuh"

namespace pydpst {
namespace {

#include "../grade.h"

// The shape of a call.
struct GradeShape {
  int64_t samples, regions, hues, knots, plane;
  __host__ __device__ int64_t pixels() const { return samples * plane; }
  __host__ __device__ int64_t coefficients() const {
    return samples * regions * hues * knots * kCoefficients;
  }
};

// Where a colour lies between two knots; of a single one, both are it.
template <typename S>
struct BetweenKnots {
  int64_t knot, next;
  S fraction;

  __device__ BetweenKnots(const S* colour, int64_t knots) {
    const S position = knot_position<S>(colour, knots);
    knot = smaller(int64_t(position), larger(knots - 2, 0));
    next = smaller(knot + 1, knots - 1);
    fraction = position - S(knot);
  }
};

template <typename S>
__device__ void load_colour(const S* planes, const GradeShape& shape, int64_t sample, int64_t pixel,
                            S* out) {
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
    out[c] = planes[(sample * 3 + c) * shape.plane + pixel];
  }
}

template <typename S>
__global__ void __launch_bounds__(kThreads)
    grade_kernel(const S* maps, const S* masks, const S* image, bool add, S* out,
                 GradeShape shape) {
  const int64_t i = item();
  if (i >= shape.pixels()) return;
  const int64_t sample = i / shape.plane, pixel = i % shape.plane;
  S colour[3], change[3], hues[kHues], matrix[kCoefficients] = {};
  load_colour(image, shape, sample, pixel, colour);
  hue_shares<S>(colour, shape.hues, hues);
  const BetweenKnots<S> at(colour, shape.knots);
  for (int64_t r = sample * shape.regions; r < (sample + 1) * shape.regions; ++r) {
    const S mask = masks[r * shape.plane + pixel];
    for (int64_t h = 0; h < shape.hues; ++h) {
      const S share = mask * hues[h], far = share * at.fraction, near = share - far;
      if (share == S(0)) continue;
      const S* map = maps + (r * shape.hues + h) * shape.knots * kCoefficients;
      PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
        matrix[c] +=
            near * map[at.knot * kCoefficients + c] + far * map[at.next * kCoefficients + c];
      }
    }
  }
  transform(matrix, colour, change);
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
    out[(sample * 3 + c) * shape.plane + pixel] = add ? colour[c] + change[c] : change[c];
  }
}

// The gradients in the masks and the image.
template <typename S>
__global__ void __launch_bounds__(kThreads)
    grade_pixel_gradients_kernel(const S* grad, const S* maps, const S* masks, const S* image,
                                 bool add, S* masks_out, S* image_out, GradeShape shape) {
  const int64_t i = item();
  if (i >= shape.pixels()) return;
  const int64_t sample = i / shape.plane, pixel = i % shape.plane;
  S colour[3], gradient[3], out[3], hues[kHues], of_hues[kHues] = {}, rise = 0;
  load_colour(image, shape, sample, pixel, colour);
  load_colour(grad, shape, sample, pixel, gradient);
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) { out[c] = add ? gradient[c] : S(0); }
  hue_shares<S>(colour, shape.hues, hues);
  const BetweenKnots<S> at(colour, shape.knots);
  for (int64_t r = sample * shape.regions; r < (sample + 1) * shape.regions; ++r) {
    const S mask = masks[r * shape.plane + pixel];
    S of_mask = 0;
    for (int64_t h = 0; h < shape.hues; ++h) {
      const S* map = maps + (r * shape.hues + h) * shape.knots * kCoefficients;
      const S share = mask * hues[h];
      S near[4], far[4];
      pull_back(map + at.knot * kCoefficients, gradient, near);
      pull_back(map + at.next * kCoefficients, gradient, far);
      S of_share = near[3] + at.fraction * (far[3] - near[3]), of_position = far[3] - near[3];
      PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
        const S along = near[c] + at.fraction * (far[c] - near[c]);
        of_share += along * colour[c];
        of_position += (far[c] - near[c]) * colour[c];
        out[c] += share * along;
      }
      rise += share * of_position;
      of_mask += hues[h] * of_share;
      of_hues[h] += mask * of_share;
    }
    masks_out[r * shape.plane + pixel] = of_mask;
  }
  add_hue_gradient<S>(colour, shape.hues, of_hues, out);
  const S of_mean = position_gradient<S>(colour, rise, shape.knots);
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
    image_out[(sample * 3 + c) * shape.plane + pixel] = out[c] + of_mean;
  }
}

// A block gathers this many knots, from a part of the pixels; parts are short enough for sums in
// single precision.
constexpr int kKnots = 4;
constexpr int64_t kPartPixels = 64 * kThreads;

inline int64_t grade_parts(const GradeShape& shape) {
  return (shape.plane + kPartPixels - 1) / kPartPixels;
}

// A part of the gradient in the maps; out is (parts, samples, regions, hues, knots, 12).
template <typename S>
__global__ void __launch_bounds__(kThreads)
    grade_maps_gradient_kernel(const S* grad, const S* masks, const S* image, S* out,
                               GradeShape shape) {
  __shared__ S sums[kCoefficients][kThreads];
  const int64_t groups = (shape.knots + kKnots - 1) / kKnots, index = blockIdx.x;
  const int64_t first_knot = index % groups * kKnots;
  const int64_t maps = shape.samples * shape.regions * shape.hues;
  const int64_t map = index / groups % maps, part = index / (groups * maps);
  const int64_t region = map / shape.hues, sample = region / shape.regions;
  const int64_t end = smaller((part + 1) * kPartPixels, shape.plane);
  S own[kKnots][kCoefficients] = {};
  for (int64_t pixel = part * kPartPixels + threadIdx.x; pixel < end; pixel += kThreads) {
    S colour[3], gradient[3], hues[kHues];
    load_colour(image, shape, sample, pixel, colour);
    load_colour(grad, shape, sample, pixel, gradient);
    hue_shares<S>(colour, shape.hues, hues);
    const S position = knot_position<S>(colour, shape.knots);
    const S mask = masks[region * shape.plane + pixel] * hues[map % shape.hues];
    if (mask == S(0)) continue;
    PYDPST_UNROLL for (int k = 0; k < kKnots; ++k) {
      const S share = mask * knot_weight<S>(position, first_knot + k);
      PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
        own[k][c] += share * entry_gradient(c, colour, gradient);
      }
    }
  }
  PYDPST_UNROLL for (int k = 0; k < kKnots; ++k) {
    PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) { sums[c][threadIdx.x] = own[k][c]; }
    add_threads(sums);
    if (threadIdx.x < kCoefficients && first_knot + k < shape.knots)
      out[part * shape.coefficients() + (map * shape.knots + first_knot + k) * kCoefficients +
          threadIdx.x] = sums[threadIdx.x][0];
    __syncthreads();
  }
}

template <typename S, typename Launch>
void launch_change(const Launch& launch, const GradeShape& shape, const S* maps, const S* masks,
                   const S* image, bool add, S* out) {
  launch(grade_kernel<S>, blocks_for(shape.pixels()), maps, masks, image, add, out, shape);
}

template <typename S, typename Launch>
void launch_pixel_gradients(const Launch& launch, const GradeShape& shape, const S* grad,
                            const S* maps, const S* masks, const S* image, bool add, S* masks_out,
                            S* image_out) {
  launch(grade_pixel_gradients_kernel<S>, blocks_for(shape.pixels()), grad, maps, masks, image, add,
         masks_out, image_out, shape);
}

// parts is a workspace of grade_parts times the maps' size.
template <typename S, typename Launch>
void launch_maps_gradient(const Launch& launch, const GradeShape& shape, const S* grad,
                          const S* masks, const S* image, S* out, S* parts) {
  const int64_t groups = (shape.knots + kKnots - 1) / kKnots, count = grade_parts(shape);
  launch(grade_maps_gradient_kernel<S>, count * shape.samples * shape.regions * shape.hues * groups,
         grad, masks, image, parts, shape);
  launch(add_parts_kernel<S>, blocks_for(shape.coefficients()), parts, out, shape.coefficients(),
         count);
}

}  // namespace
}  // namespace pydpst
