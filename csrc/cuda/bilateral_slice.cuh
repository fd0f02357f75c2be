// Slicing and applying a bilateral grid. A thread has a pixel and reads the cells around it, which
// the caches hold. The gradient in the grid is gathered: a block has one cell of the image plane
// and a few depths, and visits the pixels that the cell reaches. No atomics, so results repeat bit
// for bit.
#pragma once

#include "sums.cuh"

namespace pydpst {
namespace {

#include "../slice.h"

// A grid (rows, columns, depth, 12) of one sample.
template <typename S>
struct Cells {
  const S* data;
  int64_t depth, rows, columns;
};

// What is read at once.
template <typename S>
struct alignas(16) Quad {
  S values[4];
};

// Brings (samples, 12, depth, rows, columns) into the order (samples, rows, columns, depth, 12).
template <typename S>
__global__ void __launch_bounds__(kThreads)
    gather_transforms_kernel(const S* grid, S* out, int64_t samples, int64_t depth, int64_t plane) {
  const int64_t i = item();
  if (i >= samples * plane * depth * kCoefficients) return;
  const int64_t c = i % kCoefficients, z = i / kCoefficients % depth;
  const int64_t cell = i / (kCoefficients * depth) % plane;
  const int64_t sample = i / (kCoefficients * depth * plane);
  out[i] = grid[((sample * kCoefficients + c) * depth + z) * plane + cell];
}

// The transform at a pixel and a value of the guide, and its slope along the depth; whether the
// guide is within the range in which it matters.
template <typename S>
__device__ bool interpolate(const Cells<S>& cells, const Place& y, const Place& x, S guide,
                            S* matrix, S* slope) {
  const S at = depth_position<S>(guide, cells.depth);
  const int64_t below = smaller(int64_t(at), larger(cells.depth - 2, 0));
  const int64_t above = smaller(below + 1, cells.depth - 1);
  PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) { matrix[c] = slope[c] = 0; }
  PYDPST_UNROLL for (int corner = 0; corner < 4; ++corner) {
    const int64_t row = corner / 2 ? y.next : y.cell, column = corner % 2 ? x.next : x.cell;
    const S weight =
        S((corner / 2 ? y.fraction : 1 - y.fraction) * (corner % 2 ? x.fraction : 1 - x.fraction));
    const auto* cell = reinterpret_cast<const Quad<S>*>(
        cells.data + (row * cells.columns + column) * cells.depth * kCoefficients);
    PYDPST_UNROLL for (int q = 0; q < 3; ++q) {
      const Quad<S> near = cell[3 * below + q], far = cell[3 * above + q];
      PYDPST_UNROLL for (int i = 0; i < 4; ++i) {
        matrix[4 * q + i] += weight * near.values[i];
        slope[4 * q + i] += weight * (far.values[i] - near.values[i]);
      }
    }
  }
  const S fraction = at - S(below);
  PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) { matrix[c] += fraction * slope[c]; }
  return at > 0 && at < S(cells.depth - 1);
}

// The result; or, with the result's gradient given, the gradients in guide and image.
template <typename S, bool Backward>
__global__ void __launch_bounds__(kThreads)
    slice_kernel(const S* transforms, const S* guide, const S* image, const S* grad, S* out,
                 S* guide_grad, int64_t samples, int64_t height, int64_t width, int64_t depth,
                 int64_t rows, int64_t columns) {
  const int64_t i = item(), plane = height * width;
  if (i >= samples * plane) return;
  const int64_t sample = i / plane, pixel = i % plane;
  const Cells<S> cells{transforms + sample * rows * columns * depth * kCoefficients, depth, rows,
                       columns};
  const Place y = place(pixel / width, double(rows) / height, rows);
  const Place x = place(pixel % width, double(columns) / width, columns);
  S matrix[kCoefficients], slope[kCoefficients], colour[3], result[3];
  const bool inside = interpolate(cells, y, x, guide[i], matrix, slope);
  const int64_t first = sample * 3 * plane + pixel;
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) { colour[c] = image[first + c * plane]; }
  if constexpr (Backward) {
    S gradient[3];
    PYDPST_UNROLL for (int c = 0; c < 3; ++c) { gradient[c] = grad[first + c * plane]; }
    transform(slope, colour, result);
    const S along = result[0] * gradient[0] + result[1] * gradient[1] + result[2] * gradient[2];
    guide_grad[i] = inside ? along * S(depth) : S(0);
    colour_gradient(matrix, gradient, result);
  } else {
    transform(matrix, colour, result);
  }
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) { out[first + c * plane] = result[c]; }
}

// How much a cell counts at a place.
__device__ inline double weight_of(int64_t cell, const Place& at) {
  return (at.cell == cell ? 1 - at.fraction : 0) + (at.next == cell ? at.fraction : 0);
}

// The first pixel that a cell may reach, or the one after the last; the cells at the border reach
// to the border.
__device__ inline int64_t reach(int64_t cell, int64_t cells, int64_t pixels, bool end) {
  if (cell == (end ? cells - 1 : 0)) return end ? pixels : 0;
  const int64_t at = int64_t((cell + (end ? 1.5 : -0.5)) * pixels / cells);
  return end ? smaller(at + 1, pixels) : larger(at - 1, 0);
}

// A block gathers this many depths of a cell, and so many blocks share its rows.
constexpr int kDepths = 4, kParts = 8;

// A part of the gradient in the grid; out is (kParts, samples, 12, depth, rows, columns).
template <typename S>
__global__ void __launch_bounds__(kThreads)
    grid_gradient_kernel(const S* guide, const S* image, const S* grad, S* out, int64_t samples,
                         int64_t height, int64_t width, int64_t depth, int64_t rows,
                         int64_t columns) {
  __shared__ S sums[kCoefficients][kThreads];
  const int64_t groups = (depth + kDepths - 1) / kDepths, index = blockIdx.x;
  const int64_t column = index % columns, row = index / columns % rows;
  const int64_t first_depth = index / (columns * rows) % groups * kDepths;
  const int64_t sample = index / (columns * rows * groups) % samples;
  const int64_t part = index / (columns * rows * groups * samples);

  const int64_t top = reach(row, rows, height, false), bottom = reach(row, rows, height, true);
  const int64_t begin = top + (bottom - top) * part / kParts;
  const int64_t end = top + (bottom - top) * (part + 1) / kParts;
  const int64_t left = reach(column, columns, width, false);
  const int64_t right = reach(column, columns, width, true);
  const double row_scale = double(rows) / height, column_scale = double(columns) / width;
  const int64_t plane = height * width;
  S own[kDepths][kCoefficients] = {};
  for (int64_t y = begin; y < end; ++y) {
    const double row_weight = weight_of(row, place(y, row_scale, rows));
    for (int64_t x = left + threadIdx.x; x < right; x += kThreads) {
      const S weight = S(row_weight * weight_of(column, place(x, column_scale, columns)));
      const int64_t pixel = y * width + x;
      const S at = depth_position<S>(guide[sample * plane + pixel], depth);
      S colour[3], gradient[3];
      PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
        colour[c] = image[(sample * 3 + c) * plane + pixel];
        gradient[c] = weight * grad[(sample * 3 + c) * plane + pixel];
      }
      PYDPST_UNROLL for (int z = 0; z < kDepths; ++z) {
        const S distance = at - S(first_depth + z);
        const S near = S(1) - (distance < 0 ? -distance : distance);
        const S share = near > 0 ? near : S(0);
        PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
          own[z][c] += share * entry_gradient(c, colour, gradient);
        }
      }
    }
  }
  PYDPST_UNROLL for (int z = 0; z < kDepths; ++z) {
    PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) { sums[c][threadIdx.x] = own[z][c]; }
    add_threads(sums);
    if (threadIdx.x < kCoefficients && first_depth + z < depth)
      out[((((part * samples + sample) * kCoefficients + threadIdx.x) * depth + first_depth + z) *
               rows +
           row) *
              columns +
          column] = sums[threadIdx.x][0];
    __syncthreads();
  }
}

// The shape of a call.
struct SliceShape {
  int64_t samples, height, width, depth, rows, columns;
  int64_t pixels() const { return samples * height * width; }
  int64_t cells() const { return samples * kCoefficients * depth * rows * columns; }
};

// transforms is a workspace of the grid's size.
template <typename S, typename Launch>
void gather_transforms(const Launch& launch, const SliceShape& shape, const S* grid,
                       S* transforms) {
  launch(gather_transforms_kernel<S>, blocks_for(shape.cells()), grid, transforms, shape.samples,
         shape.depth, shape.rows * shape.columns);
}

template <typename S, typename Launch>
void slice_apply(const Launch& launch, const SliceShape& shape, const S* grid, const S* guide,
                 const S* image, S* out, S* transforms) {
  gather_transforms(launch, shape, grid, transforms);
  const S* no_grad = nullptr;
  S* no_guide_grad = nullptr;
  launch(slice_kernel<S, false>, blocks_for(shape.pixels()), transforms, guide, image, no_grad, out,
         no_guide_grad, shape.samples, shape.height, shape.width, shape.depth, shape.rows,
         shape.columns);
}

// parts is a workspace of kParts times the grid's size.
template <typename S, typename Launch>
void slice_apply_backward(const Launch& launch, const SliceShape& shape, const S* grad,
                          const S* grid, const S* guide, const S* image, S* grid_grad,
                          S* guide_grad, S* image_grad, S* parts) {
  gather_transforms(launch, shape, grid, parts);
  launch(slice_kernel<S, true>, blocks_for(shape.pixels()), parts, guide, image, grad, image_grad,
         guide_grad, shape.samples, shape.height, shape.width, shape.depth, shape.rows,
         shape.columns);
  const int64_t groups = (shape.depth + kDepths - 1) / kDepths;
  launch(grid_gradient_kernel<S>, kParts * shape.samples * groups * shape.rows * shape.columns,
         guide, image, grad, parts, shape.samples, shape.height, shape.width, shape.depth,
         shape.rows, shape.columns);
  launch(add_parts_kernel<S>, blocks_for(shape.cells()), parts, grid_grad, shape.cells(),
         int64_t(kParts));
}

}  // namespace
}  // namespace pydpst
