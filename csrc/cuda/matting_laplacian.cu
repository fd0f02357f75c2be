// The matting Laplacian on CUDA devices. A block fits the affine models of all windows that touch
// its tile, keeps them in shared memory, and each thread gathers one pixel of L p from them: no
// atomics, so results repeat bit for bit.

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include <cmath>

#include "../checks.h"

namespace pydpst {
namespace {

#include "../window.h"

constexpr int G = kGuideChannels, R = kRadius;

// A tile in double has half the rows, so that it too fits the 48 KiB of shared memory of any
// device.
constexpr int kTileWidth = 32;
template <typename S>
constexpr int kTileHeight = 32 / sizeof(S);
template <typename S>
constexpr int kThreads = kTileWidth * kTileHeight<S>;

// Which pixels a block works on; blocks count tiles along x, then y, then the batch.
template <typename S>
struct Tile {
  int64_t sample, y, x;
  __device__ Tile(int64_t height, int64_t width) {
    const int64_t across = (width + kTileWidth - 1) / kTileWidth;
    const int64_t down = (height + kTileHeight<S> - 1) / kTileHeight<S>;
    const int64_t index = blockIdx.x;
    sample = index / (across * down);
    y = index / across % down * kTileHeight<S>;
    x = index % across * kTileWidth;
  }
};

template <typename S>
int64_t tiles(int64_t batch, int64_t height, int64_t width) {
  const int64_t across = (width + kTileWidth - 1) / kTileWidth;
  const int64_t count = batch * across * ((height + kTileHeight<S> - 1) / kTileHeight<S>);
  STD_TORCH_CHECK(count <= 0x7fffffff, "the image has too many pixels for one launch: ", count,
                  " tiles");
  return count;
}

__device__ int64_t clamp(int64_t value, int64_t end) {
  return value < 0 ? 0 : value < end ? value : end - 1;
}

template <typename S>
__global__ void __launch_bounds__(kThreads<S>)
    whitening_kernel(const S* image, S* out, double eps, int64_t height, int64_t width) {
  const int64_t rows = height - 2 * R, columns = width - 2 * R;
  const Tile<S> tile(rows, columns);
  const int64_t y = tile.y + threadIdx.x / kTileWidth, x = tile.x + threadIdx.x % kTileWidth;
  if (y >= rows || x >= columns) return;
  double difference[Window<R>::size][G], whitening[triangle(G)];
  PYDPST_UNROLL for (int g = 0; g < G; ++g) {
    const S* plane = image + ((tile.sample * G + g) * height + y) * width + x;
    const double middle = plane[R * width + R];
    PYDPST_UNROLL for (int i = 0; i < Window<R>::size; ++i) {
      const int64_t at = i / Window<R>::side * width + i % Window<R>::side;
      difference[i][g] = plane[at] - middle;
    }
  }
  window_whitening<G, R>(difference, eps, whitening);
  PYDPST_UNROLL for (int plane = 0; plane < triangle(G); ++plane)
      out[((tile.sample * triangle(G) + plane) * rows + y) * columns + x] = S(whitening[plane]);
}

template <typename S, int Channels>
__global__ void __launch_bounds__(kThreads<S>)
    matvec_kernel(const S* image, const S* whitening, const S* p, S* out, int64_t channels,
                  int64_t first_channel, int64_t height, int64_t width) {
  // Tiles with halos: of pixels by 2r, of windows (counted by their middle pixels) by r.
  constexpr int pixels_wide = kTileWidth + 4 * R, pixels_high = kTileHeight<S> + 4 * R;
  constexpr int windows_wide = kTileWidth + 2 * R, windows_high = kTileHeight<S> + 2 * R;
  constexpr int size = Window<R>::size, side = Window<R>::side;
  __shared__ S guide_tile[G][pixels_high][pixels_wide];
  __shared__ S p_tile[Channels][pixels_high][pixels_wide];
  __shared__ S models[Channels][G + 1][windows_high][windows_wide];

  const Tile<S> tile(height, width);
  for (int i = threadIdx.x; i < pixels_high * pixels_wide; i += kThreads<S>) {
    const int row = i / pixels_wide, column = i % pixels_wide;
    const int64_t at =
        clamp(tile.y + row - 2 * R, height) * width + clamp(tile.x + column - 2 * R, width);
    PYDPST_UNROLL for (int g = 0; g < G; ++g) guide_tile[g][row][column] =
        image[(tile.sample * G + g) * height * width + at];
    PYDPST_UNROLL for (int c = 0; c < Channels; ++c) p_tile[c][row][column] =
        p[(tile.sample * channels + first_channel + c) * height * width + at];
  }
  __syncthreads();

  const int64_t rows = height - 2 * R, columns = width - 2 * R;
  for (int i = threadIdx.x; i < windows_high * windows_wide; i += kThreads<S>) {
    const int row = i / windows_wide, column = i % windows_wide;
    const int64_t y = tile.y + row - 2 * R, x = tile.x + column - 2 * R;
    if (y < 0 || x < 0 || y >= rows || x >= columns) continue;
    S difference[size][G], mean[G], window[triangle(G)];
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      const S middle = guide_tile[g][row + R][column + R];
      mean[g] = S(0);
      PYDPST_UNROLL for (int j = 0; j < size; ++j) {
        difference[j][g] = guide_tile[g][row + j / side][column + j % side] - middle;
        mean[g] += difference[j][g];
      }
      mean[g] *= S(1) / S(size);
    }
    PYDPST_UNROLL for (int plane = 0; plane < triangle(G); ++plane) window[plane] =
        whitening[((tile.sample * triangle(G) + plane) * rows + y) * columns + x];
    PYDPST_UNROLL for (int c = 0; c < Channels; ++c) {
      const S middle = p_tile[c][row + R][column + R];
      S deviation[size], slope[G], offset;
      PYDPST_UNROLL for (int j = 0; j < size; ++j) deviation[j] =
          p_tile[c][row + j / side][column + j % side] - middle;
      window_fit<S, G, R>(difference, mean, deviation, window, slope, offset);
      PYDPST_UNROLL for (int g = 0; g < G; ++g) models[c][g][row][column] = slope[g];
      models[c][G][row][column] = offset;
    }
  }
  __syncthreads();

  const int row = threadIdx.x / kTileWidth, column = threadIdx.x % kTileWidth;
  const int64_t y = tile.y + row, x = tile.x + column;
  if (y >= height || x >= width) return;
  S sum[Channels] = {};
  PYDPST_UNROLL for (int j = 0; j < size; ++j) {
    const int dy = j / side - R, dx = j % side - R;
    if (y + dy < R || y + dy >= height - R || x + dx < R || x + dx >= width - R) continue;
    S difference[G];
    PYDPST_UNROLL for (int g = 0; g < G; ++g) difference[g] =
        guide_tile[g][row + 2 * R][column + 2 * R] -
        guide_tile[g][row + 2 * R + dy][column + 2 * R + dx];
    PYDPST_UNROLL for (int c = 0; c < Channels; ++c) {
      const S deviation =
          p_tile[c][row + 2 * R][column + 2 * R] - p_tile[c][row + 2 * R + dy][column + 2 * R + dx];
      S slope[G];
      PYDPST_UNROLL for (int g = 0; g < G; ++g) slope[g] =
          models[c][g][row + R + dy][column + R + dx];
      sum[c] += window_residual<G>(deviation, difference, slope,
                                   models[c][G][row + R + dy][column + R + dx]);
    }
  }
  PYDPST_UNROLL for (int c = 0; c < Channels; ++c)
      out[((tile.sample * channels + first_channel + c) * height + y) * width + x] = sum[c];
}

cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

template <typename S>
void whitening(const Tensor& image, Tensor& out, double eps) {
  const int64_t blocks = tiles<S>(out.size(0), out.size(2), out.size(3));
  if (blocks == 0) return;
  whitening_kernel<S><<<blocks, kThreads<S>, 0, current_stream(image)>>>(
      image.const_data_ptr<S>(), out.mutable_data_ptr<S>(), eps, image.size(2), image.size(3));
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

template <typename S>
void matvec(const Tensor& image, const Tensor& whitening, const Tensor& p, Tensor& out) {
  const int64_t blocks = tiles<S>(p.size(0), p.size(2), p.size(3));
  if (blocks == 0) return;
  int64_t channels = 0;
  for (int64_t c = 0; c < p.size(1); c += channels) {
    channels = p.size(1) - c >= 3 ? 3 : 1;
    const auto kernel = channels == 3 ? matvec_kernel<S, 3> : matvec_kernel<S, 1>;
    kernel<<<blocks, kThreads<S>, 0, current_stream(image)>>>(
        image.const_data_ptr<S>(), whitening.const_data_ptr<S>(), p.const_data_ptr<S>(),
        out.mutable_data_ptr<S>(), p.size(1), c, p.size(2), p.size(3));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

Tensor matting_whitening(const Tensor& image, double eps, int64_t radius) {
  check_guide(image, radius);
  const torch::stable::accelerator::DeviceGuard device(image.get_device_index());
  const Tensor guide = torch::stable::contiguous(image);
  Tensor out = new_whitening(guide, radius);
  if (image.scalar_type() == ScalarType::Float)
    whitening<float>(guide, out, eps);
  else
    whitening<double>(guide, out, eps);
  return out;
}

Tensor matting_matvec(const Tensor& image, const Tensor& whitening, const Tensor& p,
                      int64_t radius) {
  check_matvec(image, whitening, p, radius);
  const torch::stable::accelerator::DeviceGuard device(image.get_device_index());
  const Tensor guide = torch::stable::contiguous(image);
  const Tensor matrices = torch::stable::contiguous(whitening);
  const Tensor signal = torch::stable::contiguous(p);
  Tensor out = torch::stable::new_empty(signal, signal.sizes());
  if (image.scalar_type() == ScalarType::Float)
    matvec<float>(guide, matrices, signal, out);
  else
    matvec<double>(guide, matrices, signal, out);
  return out;
}

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("matting_whitening", TORCH_BOX(&pydpst::matting_whitening));
  library.impl("matting_matvec", TORCH_BOX(&pydpst::matting_matvec));
}

#define PYDPST_TEXT(...) #__VA_ARGS__
#define PYDPST_EXPANDED_TEXT(...) PYDPST_TEXT(__VA_ARGS__)

// For `pydpst info`: the toolkit and the architectures of this build.
extern "C" __attribute__((visibility("default"))) const char* pydpst_cuda_contents() {
  return "CUDA " PYDPST_EXPANDED_TEXT(__CUDACC_VER_MAJOR__) "." PYDPST_EXPANDED_TEXT(
      __CUDACC_VER_MINOR__) ", architectures " PYDPST_EXPANDED_TEXT(__CUDA_ARCH_LIST__);
}
