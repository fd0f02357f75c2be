// The loops over rows of bilateral_slice_apply for one instruction set. bilateral_slice.cpp
// includes this file once for each, in a namespace of its own, with PYDPST_VECTOR_BYTES set.
//
// A row lies at one height in the grid, so the grid is interpolated to it once; and between two
// cells the pixels of a row share their transforms, each a table over the depth. What is left for a
// pixel is to look up four values for each coefficient. A vector holds neighbouring pixels.

#include "../slice.h"
#include "lanes.h"

// The grid interpolated to a row of the image.
template <typename S>
PYDPST_INLINE Place blend_row(const Slice<S>& slice, int64_t y, S* row) {
  const Place at = place(y, double(slice.rows) / slice.height, slice.rows);
  const int64_t size = slice.columns * kCoefficients * slice.padded_depth;
  const S *above = slice.grid + at.cell * size, *below = slice.grid + at.next * size;
  const S fraction = S(at.fraction);
  for (int64_t i = 0; i < size; i += Lanes<S>::count) {
    const Vector<S> value = load(above + i);
    store(row + i, value + fraction * (load(below + i) - value));
  }
  return at;
}

// Where a vector of pixels lies in the depth, and how far between two columns of cells.
template <typename S>
struct Position {
  typename Lanes<S>::Index cell;
  Vector<S> depth, across;

  PYDPST_INLINE Position(const Slice<S>& slice, Vector<S> guide, int64_t x, int64_t lanes)
      : depth(depth_position<S>(guide, slice.depth)), across(load(slice.fractions + x, lanes)) {
    using Index = typename Lanes<S>::Index;
    const Index last = Index{} + typename Lanes<S>::Integer(slice.depth > 1 ? slice.depth - 2 : 0);
    cell = __builtin_convertvector(depth, Index);
    cell = cell < last ? cell : last;
  }
};

// The transforms of a vector of pixels, and their slopes along the depth.
template <bool Fits, typename S>
PYDPST_INLINE void interpolate(const Slice<S>& slice, const S* left, const S* right,
                               const Position<S>& at, Vector<S>* matrix, Vector<S>* slope) {
  const Vector<S> fraction = at.depth - __builtin_convertvector(at.cell, Vector<S>);
  PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
    const S *l = left + c * slice.padded_depth, *r = right + c * slice.padded_depth;
    const Vector<S> near = look_up<Fits>(l, at.cell), far = look_up<Fits>(l, at.cell + 1);
    const Vector<S> value = near + at.across * (look_up<Fits>(r, at.cell) - near);
    slope[c] = far + at.across * (look_up<Fits>(r, at.cell + 1) - far) - value;
    matrix[c] = value + fraction * slope[c];
  }
}

template <bool Fits, typename S>
void slice_rows(const Slice<S>& slice, int64_t begin, int64_t end) {
  constexpr int lanes = Lanes<S>::count;
  const int64_t plane = slice.height * slice.width, cell = kCoefficients * slice.padded_depth;
  std::vector<S> row(slice.columns * cell);
  for (int64_t y = begin; y < end; ++y) {
    blend_row(slice, y, row.data());
    for (const Run& run : *slice.runs) {
      const S *left = &row[run.cell * cell], *right = &row[run.next * cell];
      for (int64_t x = run.begin; x < run.end; x += lanes) {
        const int64_t count = std::min<int64_t>(lanes, run.end - x), i = y * slice.width + x;
        const Position<S> at(slice, load(slice.guide + i, count), x, count);
        Vector<S> matrix[kCoefficients], slope[kCoefficients], colour[3], out[3];
        interpolate<Fits>(slice, left, right, at, matrix, slope);
        PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
          colour[c] = load(slice.image + c * plane + i, count);
        }
        transform(matrix, colour, out);
        PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
          store(slice.out + c * plane + i, out[c], count);
        }
      }
    }
  }
}

// Sums over the pixels of some rows, for each run and coefficient and for groups of kGroup
// depths: of the gradient times the weight of the depth, and of that times how far the pixel is
// across. Each lane has a sum of its own.
constexpr int kGroup = 4, kSums = 2 * kGroup;

// Vectors of pixels that are worked on together: what they share stays in the first-level cache.
constexpr int kVectors = 8;

template <typename S>
struct SlicePixels {
  Vector<S> colour[kVectors][3], gradient[kVectors][3], across[kVectors];
  int size = 0;
};

// Adds pixels of one run to its sums, of the rows above and below.
template <typename S>
void add_pixels(const SlicePixels<S>& pixels, const S* weights, int64_t groups, S fraction,
                S* above, S* below) {
  constexpr int lanes = Lanes<S>::count;
  for (int c = 0; c < kCoefficients; ++c) {
    for (int64_t group = 0; group < groups; ++group) {
      Vector<S> sums[kSums] = {};
      for (int i = 0; i < pixels.size; ++i) {
        const Vector<S> value = entry_gradient(c, pixels.colour[i], pixels.gradient[i]);
        const Vector<S> across = value * pixels.across[i];
        const S* weight = weights + (i * groups + group) * kGroup * lanes;
        PYDPST_UNROLL for (int z = 0; z < kGroup; ++z) {
          const Vector<S> w = load(weight + z * lanes);
          sums[z] += value * w;
          sums[kGroup + z] += across * w;
        }
      }
      PYDPST_UNROLL for (int s = 0; s < kSums; ++s) {
        store(below, load(below) + fraction * sums[s]);
        store(above, load(above) + (1 - fraction) * sums[s]);
        above += lanes, below += lanes;
      }
    }
  }
}

// Adds up the lanes: the gradient of the grid's cells (columns, 12, depth), for one row of cells.
template <typename S>
void add_lanes(const Slice<S>& slice, const S* sums, int64_t groups, double* out) {
  constexpr int lanes = Lanes<S>::count;
  for (const Run& run : *slice.runs) {
    for (int c = 0; c < kCoefficients; ++c) {
      for (int64_t z = 0; z < groups * kGroup; ++z) {
        const S* all = sums + (z / kGroup * kSums + z % kGroup) * lanes;
        double total = 0, across = 0;
        for (int lane = 0; lane < lanes; ++lane) {
          total += all[lane];
          across += all[kGroup * lanes + lane];
        }
        if (z >= slice.depth) continue;
        out[(run.cell * kCoefficients + c) * slice.depth + z] += total - across;
        out[(run.next * kCoefficients + c) * slice.depth + z] += across;
      }
      sums += groups * kSums * lanes;
    }
  }
}

// The gradients in guide and image of some rows between the same two rows of cells, and their
// part of the gradients in those: parts is (2, columns, 12, depth), of zeros.
template <bool Fits, typename S>
void slice_rows_gradients(const Slice<S>& slice, int64_t begin, int64_t end, double* parts) {
  constexpr int lanes = Lanes<S>::count;
  const int64_t plane = slice.height * slice.width, cell = kCoefficients * slice.padded_depth;
  const int64_t groups = (slice.depth + kGroup - 1) / kGroup;
  const int64_t run_sums = kCoefficients * groups * kSums * lanes;
  std::vector<S> row(slice.columns * cell), weights(kVectors * groups * kGroup * lanes);
  std::vector<S> above(slice.runs->size() * run_sums), below(above.size());
  const Vector<S> zero = {}, last = zero + S(slice.depth - 1);
  for (int64_t y = begin; y < end; ++y) {
    const S fraction = S(blend_row(slice, y, row.data()).fraction);
    for (size_t r = 0; r < slice.runs->size(); ++r) {
      const Run& run = (*slice.runs)[r];
      const S *left = &row[run.cell * cell], *right = &row[run.next * cell];
      SlicePixels<S> pixels;
      for (int64_t x = run.begin; x < run.end; x += lanes) {
        const int64_t count = std::min<int64_t>(lanes, run.end - x), i = y * slice.width + x;
        const Position<S> at(slice, load(slice.guide + i, count), x, count);
        Vector<S> matrix[kCoefficients], slope[kCoefficients], out[3];
        interpolate<Fits>(slice, left, right, at, matrix, slope);
        Vector<S>*colour = pixels.colour[pixels.size], *gradient = pixels.gradient[pixels.size];
        PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
          colour[c] = load(slice.image + c * plane + i, count);
          gradient[c] = load(slice.grad + c * plane + i, count);
        }
        colour_gradient(matrix, gradient, out);
        PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
          store(slice.image_grad + c * plane + i, out[c], count);
        }
        transform(slope, colour, out);
        const Vector<S> along = out[0] * gradient[0] + out[1] * gradient[1] + out[2] * gradient[2];
        const auto inside = at.depth > zero && at.depth < last;
        store(slice.guide_grad + i, inside ? along * S(slice.depth) : zero, count);

        pixels.across[pixels.size] = at.across;
        for (int64_t z = 0; z < groups * kGroup; ++z) {
          const Vector<S> distance = at.depth - S(z);
          const Vector<S> weight = S(1) - (distance < zero ? -distance : distance);
          store(&weights[(pixels.size * groups * kGroup + z) * lanes],
                weight > zero ? weight : zero);
        }
        if (++pixels.size == kVectors || x + lanes >= run.end) {
          add_pixels(pixels, weights.data(), groups, fraction, &above[r * run_sums],
                     &below[r * run_sums]);
          pixels.size = 0;
        }
      }
    }
  }
  add_lanes(slice, above.data(), groups, parts);
  add_lanes(slice, below.data(), groups, parts + slice.columns * kCoefficients * slice.depth);
}

template <typename S>
constexpr SliceKernels<S> slice_kernels{
    Lanes<S>::count,
    {slice_rows<false, S>, slice_rows<true, S>},
    {slice_rows_gradients<false, S>, slice_rows_gradients<true, S>}};
