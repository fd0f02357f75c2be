// The mathematics of one window, shared by the CPU and the CUDA kernels.
//
// T is a floating-point type or, on the CPU, a vector of them (then each lane is a window of its
// own). This header has no include guard and needs <cmath> before it: the CPU kernels include it
// once for each instruction set, in a namespace of its own.
//
// Colours are (green, red − green, blue − green) here. L is the same in any basis, and in photos
// this one is far from singular where red, green and blue are all but equal, which is where
// rounding W to float32 would cost most.

#include "inline.h"

// The number of entries of a lower triangle, packed by rows; also where row `side` starts.
PYDPST_INLINE constexpr int triangle(int side) { return side * (side + 1) / 2; }

// The opponent colours of red, green and blue, in place; one channel stays as it is.
template <int G, typename T>
PYDPST_INLINE void to_opponent(T* colour) {
  if constexpr (G == 3) {
    const T green = colour[1];
    colour[1] = colour[0] - green;
    colour[2] -= green;
    colour[0] = green;
  }
}

// A gradient in opponent colours as one in red, green and blue: the transpose of to_opponent.
template <int G, typename T>
PYDPST_INLINE void opponent_gradient(T* gradient) {
  if constexpr (G == 3) {
    const T green = gradient[0] - gradient[1] - gradient[2];
    gradient[0] = gradient[1];
    gradient[1] = green;
  }
}

// What the identity, in red, green and blue, is in opponent colours.
template <int G>
PYDPST_INLINE constexpr double opponent_identity(int entry) {
  constexpr double entries[] = {1, -1, 2, -1, 1, 2};
  return entries[entry];
}

PYDPST_INLINE double square_root(double value) { return std::sqrt(value); }

// W = R⁻¹ where R Rᵀ = cov(I) + ridge·Id (Cholesky), both lower triangular and packed by rows; T is
// double or a vector of doubles. The pivots are at least the ridge in exact arithmetic, and
// rounding must not take them below it.
template <int G, typename T>
PYDPST_INLINE void whiten(const T* covariance, double ridge, T* whitening) {
  T root[triangle(G)];
  PYDPST_UNROLL for (int row = 0; row < G; ++row) {
    PYDPST_UNROLL for (int col = 0; col <= row; ++col) {
      const int entry = triangle(row) + col;
      T sum = covariance[entry] + ridge * opponent_identity<G>(entry);
      PYDPST_UNROLL for (int m = 0; m < col; ++m) {
        sum -= root[triangle(row) + m] * root[triangle(col) + m];
      }
      if (row == col) {
        const T least = T{} + ridge;
        root[entry] = square_root(sum > least ? sum : least);
      } else {
        root[entry] = sum / root[triangle(col) + col];
      }
    }
  }
  PYDPST_UNROLL for (int row = 0; row < G; ++row) {
    const T inverse_pivot = 1.0 / root[triangle(row) + row];
    whitening[triangle(row) + row] = inverse_pivot;
    PYDPST_UNROLL for (int col = 0; col < row; ++col) {
      T sum = T{};
      PYDPST_UNROLL for (int m = col; m < row; ++m) {
        sum += root[triangle(row) + m] * whitening[triangle(m) + col];
      }
      whitening[triangle(row) + col] = -sum * inverse_pivot;
    }
  }
}

// The slope a = S⁻¹ cov(I, p) of a window's affine model, computed as Wᵀ W cov(I, p).
template <int G, typename T>
PYDPST_INLINE void solve(const T* whitening, const T* covariance, T* slope) {
  T projection[G];
  PYDPST_UNROLL for (int row = 0; row < G; ++row) {
    projection[row] = whitening[triangle(row)] * covariance[0];
    PYDPST_UNROLL for (int col = 1; col <= row; ++col) {
      projection[row] += whitening[triangle(row) + col] * covariance[col];
    }
  }
  PYDPST_UNROLL for (int col = 0; col < G; ++col) {
    slope[col] = whitening[triangle(col) + col] * projection[col];
    PYDPST_UNROLL for (int row = col + 1; row < G; ++row) {
      slope[col] += whitening[triangle(row) + col] * projection[row];
    }
  }
}

// A window's affine model of one channel of p, from the means and covariances of the window: the
// slope and the offset, which is the model at I = 0.
template <int G, typename T>
PYDPST_INLINE void affine_model(const T* whitening, const T* mean, T p_mean, const T* covariance,
                                T* slope, T* offset) {
  solve<G>(whitening, covariance, slope);
  *offset = p_mean;
  PYDPST_UNROLL for (int g = 0; g < G; ++g) { *offset -= slope[g] * mean[g]; }
}

// What a model, or a sum of models, leaves of p, or of as many times p.
template <int G, typename T>
PYDPST_INLINE T residual(T p, const T* slope, T offset, const T* colour) {
  T rest = p - offset;
  PYDPST_UNROLL for (int g = 0; g < G; ++g) { rest -= slope[g] * colour[g]; }
  return rest;
}
