// The mathematics of a colour grade by region, shared by the CPU and the CUDA kernels:
//
//     out = c + Σ_r mask_r · D_r(t) [c; 1]
//
// where t is the mean of the colour's channels and D_r(t) lies linearly between the maps at evenly
// spaced knots.
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
