// L p for windows of a small radius, known at compile time. A block fits the affine models of all
// windows that touch its pixels, keeps them in shared memory, and each thread gathers one pixel of
// L p from them: no atomics, so results repeat bit for bit. The sums are in the type of the image,
// so they are of differences of neighbouring pixels, which are (nearly) exact in floating point:
// what is lost to rounding is relative to the contrast within the window.
#pragma once

#include "grid.cuh"

namespace pydpst {
namespace {

constexpr int kBlockWidth = 32, kBlockHeight = kThreads / kBlockWidth;

// The first of a block's pixels; blocks go along x, then y, then the batch.
struct Corner {
  int64_t sample, y, x;
  __device__ Corner(int64_t height, int64_t width) {
    const int64_t across = (width + kBlockWidth - 1) / kBlockWidth;
    const int64_t down = (height + kBlockHeight - 1) / kBlockHeight;
    const int64_t index = blockIdx.x;
    sample = index / (across * down);
    y = index / across % down * kBlockHeight;
    x = index % across * kBlockWidth;
  }
};

inline int64_t blocks_over(int64_t batch, int64_t height, int64_t width) {
  const int64_t across = (width + kBlockWidth - 1) / kBlockWidth;
  return batch * across * ((height + kBlockHeight - 1) / kBlockHeight);
}

// A block's pixels of the guide and of p, with a halo of 2r pixels.
template <typename S, int G, int C, int R>
struct Pixels {
  static constexpr int wide = kBlockWidth + 4 * R, high = kBlockHeight + 4 * R;
  S guide[G][high][wide], p[C][high][wide];

  __device__ static S difference(const S (&plane)[high][wide], int row, int column, int from_row,
                                 int from_column) {
    return plane[row][column] - plane[from_row][from_column];
  }

  // The guide at one pixel less the guide at another, in opponent colours.
  __device__ void guide_difference(int row, int column, int from_row, int from_column,
                                   S* out) const {
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      out[g] = difference(guide[g], row, column, from_row, from_column);
    }
    to_opponent<G>(out);
  }
};

// The models of the window whose first pixel is at (row, column): of each channel of p the slope,
// and the offset, which is what the model says of the window's middle pixel, less p there.
template <typename S, int G, int C, int R>
__device__ void fit_window(const Pixels<S, G, C, R>& pixels, int row, int column,
                           const S* whitening, S (&slope)[C][G], S (&offset)[C]) {
  constexpr int side = 2 * R + 1, size = side * side;
  constexpr S inverse_size = S(1) / S(size);
  S mean[G] = {}, p_mean[C] = {}, covariance[C][G] = {};
  PYDPST_UNROLL for (int i = 0; i < size; ++i) {
    S difference[G];
    pixels.guide_difference(row + i / side, column + i % side, row + R, column + R, difference);
    PYDPST_UNROLL for (int g = 0; g < G; ++g) { mean[g] += difference[g] * inverse_size; }
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      p_mean[c] +=
          pixels.difference(pixels.p[c], row + i / side, column + i % side, row + R, column + R) *
          inverse_size;
    }
  }
  PYDPST_UNROLL for (int i = 0; i < size; ++i) {
    S difference[G];
    pixels.guide_difference(row + i / side, column + i % side, row + R, column + R, difference);
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      const S centred =
          pixels.difference(pixels.p[c], row + i / side, column + i % side, row + R, column + R) -
          p_mean[c];
      PYDPST_UNROLL for (int g = 0; g < G; ++g) {
        covariance[c][g] += centred * (difference[g] - mean[g]);
      }
    }
  }
  PYDPST_UNROLL for (int c = 0; c < C; ++c) {
    PYDPST_UNROLL for (int g = 0; g < G; ++g) { covariance[c][g] *= inverse_size; }
    affine_model<G>(whitening, mean, p_mean[c], covariance[c], slope[c], &offset[c]);
  }
}

template <typename S, int G, int C, int R>
__global__ void __launch_bounds__(kThreads)
    small_windows_kernel(const S* image, const S* whitening, const S* p, S* out, int64_t channels,
                         int64_t first_channel, int64_t height, int64_t width) {
  using Halo = Pixels<S, G, C, R>;
  constexpr int windows_wide = kBlockWidth + 2 * R, windows_high = kBlockHeight + 2 * R;
  __shared__ Halo pixels;
  __shared__ S models[C][G + 1][windows_high][windows_wide];

  const Corner corner(height, width);
  const S* guide_planes = image + corner.sample * G * height * width;
  const int64_t p_at = (corner.sample * channels + first_channel) * height * width;
  for (int i = threadIdx.x; i < Halo::high * Halo::wide; i += kThreads) {
    const int row = i / Halo::wide, column = i % Halo::wide;
    const int64_t y = smaller(larger(corner.y + row - 2 * R, 0), height - 1);
    const int64_t x = smaller(larger(corner.x + column - 2 * R, 0), width - 1);
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      pixels.guide[g][row][column] = guide_planes[(g * height + y) * width + x];
    }
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      pixels.p[c][row][column] = p[p_at + (c * height + y) * width + x];
    }
  }
  __syncthreads();

  const int64_t rows = height - 2 * R, columns = width - 2 * R;
  for (int i = threadIdx.x; i < windows_high * windows_wide; i += kThreads) {
    const int row = i / windows_wide, column = i % windows_wide;
    const int64_t y = corner.y + row - 2 * R, x = corner.x + column - 2 * R;
    if (y < 0 || x < 0 || y >= rows || x >= columns) continue;
    S window[triangle(G)], slope[C][G], offset[C];
    for (int entry = 0; entry < triangle(G); ++entry)
      window[entry] = whitening[((corner.sample * triangle(G) + entry) * rows + y) * columns + x];
    fit_window(pixels, row, column, window, slope, offset);
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      PYDPST_UNROLL for (int g = 0; g < G; ++g) { models[c][g][row][column] = slope[c][g]; }
      models[c][G][row][column] = offset[c];
    }
  }
  __syncthreads();

  const int row = threadIdx.x / kBlockWidth, column = threadIdx.x % kBlockWidth;
  const int64_t y = corner.y + row, x = corner.x + column;
  if (y >= height || x >= width) return;
  S sum[C] = {};
  PYDPST_UNROLL for (int dy = 0; dy <= 2 * R; ++dy) {
    PYDPST_UNROLL for (int dx = 0; dx <= 2 * R; ++dx) {
      const int64_t window_y = y + dy - 2 * R, window_x = x + dx - 2 * R;
      if (window_y < 0 || window_y >= rows || window_x < 0 || window_x >= columns) continue;
      const int at_row = row + 2 * R, at_column = column + 2 * R;
      const int middle_row = row + dy + R, middle_column = column + dx + R;
      S difference[G];
      pixels.guide_difference(at_row, at_column, middle_row, middle_column, difference);
      PYDPST_UNROLL for (int c = 0; c < C; ++c) {
        S slope[G];
        PYDPST_UNROLL for (int g = 0; g < G; ++g) {
          slope[g] = models[c][g][row + dy][column + dx];
        }
        const S here = pixels.difference(pixels.p[c], at_row, at_column, middle_row, middle_column);
        sum[c] += residual<G>(here, slope, models[c][G][row + dy][column + dx], difference);
      }
    }
  }
  PYDPST_UNROLL for (int c = 0; c < C; ++c) { out[p_at + (c * height + y) * width + x] = sum[c]; }
}

// L p for p and out (batch, channels, height, width). In float three channels share a window's
// work; in double they would not fit the 48 KiB of shared memory of any device.
template <typename S, int G, int R, typename Launch>
void small_windows(const Launch& launch, const S* image, const S* whitening, const S* p, S* out,
                   int64_t batch, int64_t channels, int64_t height, int64_t width) {
  constexpr int most = sizeof(S) == sizeof(float) ? 3 : 1;
  int64_t at_once = 0;
  for (int64_t c = 0; c < channels; c += at_once) {
    at_once = channels - c >= most ? most : 1;
    const auto kernel =
        at_once == most ? small_windows_kernel<S, G, most, R> : small_windows_kernel<S, G, 1, R>;
    launch(kernel, blocks_over(batch, height, width), image, whitening, p, out, channels, c, height,
           width);
  }
}

}  // namespace
}  // namespace pydpst
