// The computations of moments.h for windows of any radius, at a cost that does not depend on it.
// The sums are in double, down the columns by sliding and along the rows by differences of prefix
// sums. An image is done in bands of rows, so the sums take little memory.
#pragma once

#include "grid.cuh"

namespace pydpst {
namespace {

constexpr int64_t kBandRows = 256, kSegmentRows = 32;

// One band of one sample: pixel rows [top, bottom), and the rows [first, last) of windows (by their
// top pixels) that touch them.
struct Band {
  int64_t height, width, radius, top, bottom, first, last;
  __host__ __device__ int64_t rows() const { return height - 2 * radius; }
  __host__ __device__ int64_t columns() const { return width - 2 * radius; }
};

// An Op's inputs: planes of the guide and of p, or of p and q.
template <typename Op, typename S>
struct InputPlanes {
  const S *image, *p, *q;

  // The inputs at a pixel, relative to the band's first one, in opponent colours.
  __device__ void at(const Band& band, int64_t y, int64_t x, double* out) const {
    PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) {
      const S* plane = i < Op::guide ? image + i * band.height * band.width : p;
      if (i > Op::guide) plane = q;
      out[i] = double(plane[y * band.width + x]) - double(plane[band.first * band.width]);
    }
    to_opponent<Op::guide>(out);
  }
};

// sums[feature][window row][pixel column]: features summed over a window's rows. A thread slides
// down one segment of a column.
template <typename Op, typename S>
__global__ void __launch_bounds__(kThreads)
    feature_columns_kernel(InputPlanes<Op, S> inputs, Band band, int64_t segment, double* sums) {
  const int64_t x = item() % band.width, begin = band.first + item() / band.width * segment;
  if (begin >= band.last) return;
  const int64_t end = smaller(begin + segment, band.last);
  double sum[Op::features] = {}, input[Op::inputs], feature[Op::features];
  for (int64_t row = begin; row < end + 2 * band.radius; ++row) {
    inputs.at(band, row, x, input);
    Op::feature(input, feature);
    PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) { sum[i] += feature[i]; }
    const int64_t y = row - 2 * band.radius;
    if (y < begin) continue;
    PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) {
      sums[(i * (band.last - band.first) + y - band.first) * band.width + x] = sum[i];
    }
    inputs.at(band, y, x, input);
    Op::feature(input, feature);
    PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) { sum[i] -= feature[i]; }
  }
}

// Prefix sums of rows, in place; a block for each row.
__global__ void __launch_bounds__(kThreads) prefix_rows_kernel(double* rows, int64_t length) {
  __shared__ double parts[2][kThreads];
  const int lane = threadIdx.x;
  double* row = rows + blockIdx.x * length;
  double before = 0;
  for (int64_t x = 0; x < length; x += kThreads) {
    int now = 0;
    parts[now][lane] = x + lane < length ? row[x + lane] : 0;
    __syncthreads();
    for (int step = 1; step < kThreads; step *= 2) {
      parts[1 - now][lane] = parts[now][lane] + (lane >= step ? parts[now][lane - step] : 0);
      now = 1 - now;
      __syncthreads();
    }
    if (x + lane < length) row[x + lane] = before + parts[now][lane];
    before += parts[now][kThreads - 1];
    __syncthreads();
  }
}

// The sum from first to last of a row of prefix sums.
__device__ inline double between(const double* prefix, int64_t first, int64_t last) {
  return prefix[last] - (first > 0 ? prefix[first - 1] : 0);
}

template <typename Op>
__device__ void window_features(const Band& band, const double* sums, int64_t y, int64_t x,
                                double* out) {
  PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) {
    out[i] = between(sums + (i * (band.last - band.first) + y - band.first) * band.width, x,
                     x + 2 * band.radius);
  }
}

__device__ inline double inverse_size(const Band& band) {
  const double side = double(2 * band.radius + 1);
  return 1 / (side * side);
}

template <typename S, int G>
__global__ void __launch_bounds__(kThreads)
    whitening_kernel(Band band, const double* sums, double eps, S* out) {
  const int64_t y = band.first + item() / band.columns(), x = item() % band.columns();
  if (y >= band.last) return;
  using Op = Whitening<G>;
  double feature[Op::features], whitening[Op::models];
  window_features<Op>(band, sums, y, x, feature);
  Op::fit(feature, inverse_size(band), eps * inverse_size(band), whitening);
  PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
    out[(i * band.rows() + y) * band.columns() + x] = S(whitening[i]);
  }
}

// models[model][window row][window column].
template <typename Op, typename S>
__global__ void __launch_bounds__(kThreads)
    fit_kernel(Band band, const double* sums, const S* whitening, double* models) {
  const int64_t y = band.first + item() / band.columns(), x = item() % band.columns();
  if (y >= band.last) return;
  double feature[Op::features], window[triangle(Op::guide)], model[Op::models];
  window_features<Op>(band, sums, y, x, feature);
  for (int i = 0; i < triangle(Op::guide); ++i)
    window[i] = double(whitening[(i * band.rows() + y) * band.columns() + x]);
  Op::fit(feature, window, inverse_size(band), model);
  PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
    models[(i * (band.last - band.first) + y - band.first) * band.columns() + x] = model[i];
  }
}

// sums[model][pixel row][window column]: models summed over the rows of windows that hold a pixel.
// A thread slides down one segment of a column.
__global__ void __launch_bounds__(kThreads)
    model_columns_kernel(Band band, int64_t segment, int planes, const double* models,
                         double* sums) {
  const int64_t x = item() % band.columns(), segments = item() / band.columns();
  const int64_t across = (band.bottom - band.top + segment - 1) / segment;
  const int64_t plane = segments / across, begin = band.top + segments % across * segment;
  if (plane >= planes) return;
  const double* from = models + plane * (band.last - band.first) * band.columns() + x;
  double* to = sums + plane * (band.bottom - band.top) * band.columns() + x;
  double sum = 0;
  for (int64_t y = larger(begin - 2 * band.radius, band.first); y < smaller(begin, band.last); ++y)
    sum += from[(y - band.first) * band.columns()];
  for (int64_t y = begin; y < smaller(begin + segment, band.bottom); ++y) {
    if (y < band.last) sum += from[(y - band.first) * band.columns()];
    to[(y - band.top) * band.columns()] = sum;
    const int64_t leaves = y - 2 * band.radius;
    if (leaves >= band.first) sum -= from[(leaves - band.first) * band.columns()];
  }
}

template <typename Op, typename S>
__global__ void __launch_bounds__(kThreads)
    gather_kernel(InputPlanes<Op, S> inputs, Band band, const double* models, bool add, S* out) {
  const int64_t y = band.top + item() / band.width, x = item() % band.width;
  if (y >= band.bottom) return;
  const int64_t left = larger(x - 2 * band.radius, 0), right = smaller(x, band.columns() - 1);
  const int64_t above = larger(y - 2 * band.radius, 0), below = smaller(y, band.rows() - 1);
  double sums[Op::models], input[Op::inputs], value[Op::outputs];
  PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
    sums[i] = between(models + (i * (band.bottom - band.top) + y - band.top) * band.columns(), left,
                      right);
  }
  inputs.at(band, y, x, input);
  Op::gather(sums, input, double((right - left + 1) * (below - above + 1)), value);
  PYDPST_UNROLL for (int i = 0; i < Op::outputs; ++i) {
    S* to = out + (i * band.height + y) * band.width + x;
    *to = S(add ? double(*to) + value[i] : value[i]);
  }
}

// The height of a band: windows reach 2r rows beyond it, so bands grow with the radius.
inline int64_t band_rows(int64_t radius) { return larger(kBandRows, 4 * radius); }

// Calls body for the bands of output rows [0, height).
template <typename Body>
void for_bands(int64_t height, int64_t width, int64_t radius, int64_t output_rows,
               const Body& body) {
  for (int64_t top = 0; top < output_rows; top += band_rows(radius)) {
    Band band{height, width, radius, top, smaller(top + band_rows(radius), output_rows), 0, 0};
    band.first = larger(top - 2 * radius, 0);
    band.last = smaller(band.bottom, band.rows());
    body(band);
  }
}

// How many doubles of workspace one band takes.
inline int64_t workspace_size(int64_t planes, int64_t height, int64_t width, int64_t radius) {
  return planes * smaller(band_rows(radius) + 2 * radius, height) * width;
}

template <typename Op>
constexpr int kWorkspacePlanes =
    Op::models + (Op::features > Op::models ? Op::features : Op::models);

template <typename Op, typename S, typename Launch>
void feature_sums(const Launch& launch, const InputPlanes<Op, S>& inputs, const Band& band,
                  double* sums) {
  const int64_t windows = band.last - band.first, segment = larger(kSegmentRows, 2 * band.radius);
  launch(feature_columns_kernel<Op, S>, blocks_for((windows + segment - 1) / segment * band.width),
         inputs, band, segment, sums);
  launch(prefix_rows_kernel, Op::features * windows, sums, band.width);
}

// The whitening matrices of one sample.
template <typename S, int G, typename Launch>
void whitening_sums(const Launch& launch, const S* image, double eps, S* out, int64_t height,
                    int64_t width, int64_t radius, double* workspace) {
  for_bands(height, width, radius, height - 2 * radius, [&](Band band) {
    band.first = band.top;
    feature_sums(launch, InputPlanes<Whitening<G>, S>{image, nullptr, nullptr}, band, workspace);
    launch(whitening_kernel<S, G>, blocks_for((band.last - band.first) * band.columns()), band,
           workspace, eps, out);
  });
}

// An Op on one sample.
template <typename Op, typename S, typename Launch>
void window_sums(const Launch& launch, const InputPlanes<Op, S>& inputs, const S* whitening,
                 bool add, S* out, int64_t height, int64_t width, int64_t radius,
                 double* workspace) {
  for_bands(height, width, radius, height, [&](const Band& band) {
    const int64_t windows = band.last - band.first, pixels = band.bottom - band.top;
    double *models = workspace, *sums = workspace + Op::models * windows * band.columns();
    feature_sums(launch, inputs, band, sums);
    launch(fit_kernel<Op, S>, blocks_for(windows * band.columns()), band, sums, whitening, models);
    const int64_t segment = larger(kSegmentRows, 2 * radius);
    const int64_t segments = (pixels + segment - 1) / segment;
    launch(model_columns_kernel, blocks_for(Op::models * segments * band.columns()), band, segment,
           int(Op::models), models, sums);
    launch(prefix_rows_kernel, Op::models * pixels, sums, band.columns());
    launch(gather_kernel<Op, S>, blocks_for(pixels * band.width), inputs, band, sums, add, out);
  });
}

}  // namespace
}  // namespace pydpst
