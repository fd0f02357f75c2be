// Windows of radius 1 in single precision, for one instruction set: from the differences of
// neighbouring pixels to the windows' models of p. See single_tile.h.

#include "../window.h"
#include "lanes.h"

using Single = Vector<float>;
constexpr int kSingles = Lanes<float>::count;

template <int Shift, int... Lane>
PYDPST_INLINE Single join(Single low, Single high, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(low, high, (Shift + Lane)...);
}

// The lanes from number Shift on of two vectors side by side.
template <int Shift>
PYDPST_INLINE Single join(Single low, Single high) {
  return join<Shift>(low, high, std::make_integer_sequence<int, kSingles>());
}

// Zeros from lane number count on.
PYDPST_INLINE Single first_lanes(Single value, int64_t count) {
  for (int lane = 0; lane < kSingles; ++lane)
    if (lane >= count) value[lane] = 0;
  return value;
}

// One channel of the pixels of a column or of a window: sums of it and of its products with the
// guide's channels.
template <int G>
struct Moments {
  Single product[G], sum;
};

constexpr float kInverseSize = 1.0f / 9;

// Rows of one quantity, long enough for a tile and a vector before and two behind it.
constexpr int64_t kRow = padded<float>(kSingleWidth + 4 + 4 * kSingles);

template <int Shift, int G>
PYDPST_INLINE Moments<G> join(const Moments<G>& low, const Moments<G>& high) {
  Moments<G> joined;
  joined.sum = join<Shift>(low.sum, high.sum);
  PYDPST_UNROLL for (int g = 0; g < G; ++g) {
    joined.product[g] = join<Shift>(low.product[g], high.product[g]);
  }
  return joined;
}

// What a row of windows reads, and the columns from x on.
template <int G>
struct Windows {
  const float *above, *below, *next, *sums, *means, *top, *middle, *bottom, *whitening;
  int64_t whitening_plane, whitening_row;

  PYDPST_INLINE Moments<G> columns(int c, int64_t x) const {
    const int64_t at = c * kRow + x;
    const Single here = load(middle + at);
    const Single up = here - load(top + at), on = load(bottom + at) - here;
    Moments<G> moments;
    moments.sum = on - up;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      moments.product[g] = load(above + g * kRow + x) * up + load(below + g * kRow + x) * on;
    }
    return moments;
  }

  // The same, relative to the middle pixels of the columns after them.
  PYDPST_INLINE Moments<G> to_the_right(const Moments<G>& own, int c, int64_t x) const {
    const Single step = load(middle + c * kRow + x + 1) - load(middle + c * kRow + x);
    Moments<G> moved;
    moved.sum = own.sum - 3 * step;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      moved.product[g] =
          own.product[g] - load(sums + g * kRow + x) * step - load(next + g * kRow + x) * moved.sum;
    }
    return moved;
  }

  // And the columns after those at x, relative to these.
  PYDPST_INLINE Moments<G> to_the_left(const Moments<G>& after, int c, int64_t x) const {
    const Single step = load(middle + c * kRow + x + 1) - load(middle + c * kRow + x);
    Moments<G> moved;
    moved.sum = after.sum + 3 * step;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      moved.product[g] = after.product[g] + load(sums + g * kRow + x + 1) * step +
                         load(next + g * kRow + x) * moved.sum;
    }
    return moved;
  }

  // The models of windows to one channel.
  PYDPST_INLINE void fit(const Moments<G>& left, const Moments<G>& own, const Moments<G>& right,
                         const Single* mean, const Single* matrix, Single* model) const {
    const Single sum = own.sum + left.sum + right.sum;
    Single covariance[G];
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      covariance[g] =
          (own.product[g] + left.product[g] + right.product[g] - mean[g] * sum) * kInverseSize;
    }
    affine_model<G>(matrix, mean, Single(sum * kInverseSize), covariance, model, model + G);
  }
};
