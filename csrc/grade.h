// The mathematics of a colour grade by region, shared by the CPU and the CUDA kernels:
//
//     out = c + Σ_r mask_r · Σ_h share_h(c) · D_rh(t) [c; 1]
//
// where t is the mean of the colour's channels, D_rh(t) lies linearly between the maps at evenly
// spaced knots, and share_h is how much the colour has of a hue.
//
// T is a floating-point type or, on the CPU, a vector of them, and S the type of one value. No
// include guard: the CPU kernels include this once for each instruction set, in a namespace of its
// own.

#include "colour_matrix.h"

template <typename S, typename T>
PYDPST_INLINE T mean_channel(const T* colour) {
  return (colour[0] + colour[1] + colour[2]) * S(1.0 / 3);
}

// Where a colour lies along the knots: 0 to knots − 1, and NaN at 0.
template <typename S, typename T>
PYDPST_INLINE T knot_position(const T* colour, int64_t knots) {
  const T least = T{}, most = T{} + S(1);
  const T mean = mean_channel<S>(colour);
  const T positive = mean > least ? mean : least;
  return (positive < most ? positive : most) * S(knots - 1);
}

// How much a knot counts at a position.
template <typename S, typename T>
PYDPST_INLINE T knot_weight(T position, int64_t knot) {
  const T zero = T{}, distance = position - S(knot);
  const T weight = S(1) - (distance < zero ? -distance : distance);
  return weight > zero ? weight : zero;
}

// The gradient, in each of a colour's channels, of what rises by so much from knot to knot. At the
// ends of the range it is that of the inside, as torch.clamp has it.
template <typename S, typename T>
PYDPST_INLINE T position_gradient(const T* colour, T rise, int64_t knots) {
  const T least = T{}, most = T{} + S(1);
  const T mean = mean_channel<S>(colour);
  return mean >= least && mean <= most ? rise * S(double(knots - 1) / 3) : least;
}

// Maps may differ by hue: there is one for all colours, or there are those of red, yellow, green,
// cyan, blue and magenta, and last that of greys.
constexpr int kHues = 7;
// From this difference of its channels on a colour has nothing of a grey.
constexpr double kSaturated = 0.5;

template <typename T>
PYDPST_INLINE T larger_of(T a, T b) {
  return a > b ? a : b;
}

template <typename T>
PYDPST_INLINE T smaller_of(T a, T b) {
  return a < b ? a : b;
}

// A colour is grey, and to that as much of its primary hue as its largest channel is above the
// next, and of its secondary one as that is above the smallest. Of the six all but two are 0.
template <typename T>
PYDPST_INLINE void hues_of(const T* colour, T* out) {
  const T zero = T{};
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
    const T own = colour[c], one = colour[(c + 1) % 3], other = colour[(c + 2) % 3];
    out[2 * c] = larger_of(own - larger_of(one, other), zero);
    out[(2 * c + 3) % 6] = larger_of(smaller_of(one, other) - own, zero);
  }
}

template <typename T>
PYDPST_INLINE T saturation(const T* hues) {
  return ((hues[0] + hues[1]) + (hues[2] + hues[3])) + (hues[4] + hues[5]);
}

// How much each of so many maps, 1 or kHues, counts for a colour; they sum to 1.
template <typename S, typename T>
PYDPST_INLINE void hue_shares(const T* colour, int64_t hues, T* out) {
  const T one = T{} + S(1);
  out[0] = one;
  if (hues == 1) return;
  hues_of(colour, out);
  const T all = saturation(out);
  const T scale = one / larger_of(all, T{} + S(kSaturated));
  PYDPST_UNROLL for (int h = 0; h < kHues - 1; ++h) { out[h] = out[h] * scale; }
  out[kHues - 1] = one - all * scale;
}

// Adds the gradient in the colour, from that in its shares.
template <typename S, typename T>
PYDPST_INLINE void add_hue_gradient(const T* colour, int64_t hues, const T* gradient, T* out) {
  if (hues == 1) return;
  const T zero = T{}, least = T{} + S(kSaturated);
  T own[kHues - 1], sum = zero;
  hues_of(colour, own);
  const T all = saturation(own);
  const T scale = (zero + S(1)) / larger_of(all, least);
  PYDPST_UNROLL for (int h = 0; h < kHues - 1; ++h) {
    sum += own[h] * (gradient[h] - gradient[kHues - 1]);
  }
  const T shrink = all > least ? sum * scale * scale : zero;
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
    const int d = (c + 1) % 3, e = (c + 2) % 3, second = (2 * c + 3) % 6;
    const T primary = scale * (gradient[2 * c] - gradient[kHues - 1]) - shrink;
    const T secondary = scale * (gradient[second] - gradient[kHues - 1]) - shrink;
    const T up = own[2 * c] > zero ? primary : zero, down = own[second] > zero ? secondary : zero;
    const T above = colour[d] > colour[e] ? zero + S(1) : zero;
    out[c] += up - down;
    out[d] += (zero + S(1) - above) * down - above * up;
    out[e] += above * down - (zero + S(1) - above) * up;
  }
}
