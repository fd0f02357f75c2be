// Affine colour maps, enlarged and applied to a strip of an image. A thread has a pixel and reads
// the maps around it, which the caches hold.
#pragma once

#include "grid.cuh"

namespace pydpst {
namespace {

#include "../slice.h"

// The shape of a call: strips of images of so many rows and columns, and their maps.
struct StripShape {
  int64_t samples, top, height, strip, width, rows, columns;
  __host__ __device__ int64_t pixels() const { return samples * strip * width; }
  int64_t cells() const { return samples * kCoefficients * rows * columns; }
};

template <typename S>
__global__ void __launch_bounds__(kThreads)
    affine_maps_kernel(const S* maps, const S* image, S* out, StripShape shape) {
  const int64_t i = item(), plane = shape.strip * shape.width;
  if (i >= shape.pixels()) return;
  const int64_t sample = i / plane, pixel = i % plane;
  const Place y =
      place(shape.top + pixel / shape.width, double(shape.rows) / shape.height, shape.rows);
  const Place x = place(pixel % shape.width, double(shape.columns) / shape.width, shape.columns);
  const S down = S(y.fraction), across = S(x.fraction);
  S matrix[kCoefficients], colour[3], result[3];
  PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
    const S* map = maps + (sample * kCoefficients + c) * shape.rows * shape.columns;
    const S *above = map + y.cell * shape.columns, *below = map + y.next * shape.columns;
    const S left = above[x.cell] + down * (below[x.cell] - above[x.cell]);
    const S right = above[x.next] + down * (below[x.next] - above[x.next]);
    matrix[c] = left + across * (right - left);
  }
  const int64_t first = sample * 3 * plane + pixel;
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) { colour[c] = image[first + c * plane]; }
  transform(matrix, colour, result);
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) { out[first + c * plane] = result[c]; }
}

template <typename S, typename Launch>
void affine_maps(const Launch& launch, const StripShape& shape, const S* maps, const S* image,
                 S* out) {
  launch(affine_maps_kernel<S>, blocks_for(shape.pixels()), maps, image, out, shape);
}

}  // namespace
}  // namespace pydpst
