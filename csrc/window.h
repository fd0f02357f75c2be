// The mathematics of one window, shared by the CPU and the CUDA kernels.
//
// A scalar S is float or double; T is S itself or, on the CPU, a vector of them (then each lane is
// a window of its own). This header has no include guard and needs <cmath> before it: the CPU
// kernels include it once for each instruction set, in a namespace of its own.
//
// Everything is centred on the window's middle pixel: the differences of neighbouring pixels are
// (nearly) exact in floating point, so what is lost to rounding is relative to the contrast within
// the window and not to the brightness of the photo.

#ifndef PYDPST_INLINE
#if defined(__CUDACC__)
#define PYDPST_INLINE __host__ __device__ __forceinline__
#define PYDPST_UNROLL _Pragma("unroll")
#else
#define PYDPST_INLINE inline __attribute__((always_inline))
#define PYDPST_UNROLL _Pragma("GCC unroll 32")
#endif
#endif

// The number of entries of a lower triangle, packed by rows; also where row `side` starts.
PYDPST_INLINE constexpr int triangle(int side) { return side * (side + 1) / 2; }

template <int Radius>
struct Window {
  static constexpr int side = 2 * Radius + 1;
  static constexpr int size = side * side;
};

PYDPST_INLINE double square_root(double value) { return std::sqrt(value); }

// W = R⁻¹ where R Rᵀ = cov(I) + ridge·Id (Cholesky), both lower triangular and packed by rows; T is
// double or a vector of doubles. The pivots are at least the ridge in exact arithmetic, and
// rounding must not take them below it.
template <int G, typename T>
PYDPST_INLINE void whiten(const T* covariance, double ridge, T* whitening) {
  T root[triangle(G)];
  PYDPST_UNROLL for (int row = 0; row < G; ++row) {
    PYDPST_UNROLL for (int col = 0; col <= row; ++col) {
      T sum = covariance[triangle(row) + col];
      PYDPST_UNROLL for (int m = 0; m < col; ++m) sum -=
          root[triangle(row) + m] * root[triangle(col) + m];
      if (row == col) {
        const T least = T{} + ridge;
        sum += ridge;
        root[triangle(row) + col] = square_root(sum > least ? sum : least);
      } else {
        root[triangle(row) + col] = sum / root[triangle(col) + col];
      }
    }
  }
  PYDPST_UNROLL for (int row = 0; row < G; ++row) {
    const T inverse_pivot = 1.0 / root[triangle(row) + row];
    whitening[triangle(row) + row] = inverse_pivot;
    PYDPST_UNROLL for (int col = 0; col < row; ++col) {
      T sum = T{};
      PYDPST_UNROLL for (int m = col; m < row; ++m) sum +=
          root[triangle(row) + m] * whitening[triangle(m) + col];
      whitening[triangle(row) + col] = -sum * inverse_pivot;
    }
  }
}

// The whitening matrix of a window, in double. difference[size][G] are its guide values less those
// of the middle pixel.
template <int G, int Radius, typename T>
PYDPST_INLINE void window_whitening(const T (*difference)[G], double eps, T* whitening) {
  constexpr int size = Window<Radius>::size;
  constexpr double inverse_size = 1.0 / size;
  T mean[G], covariance[triangle(G)];
  PYDPST_UNROLL for (int g = 0; g < G; ++g) {
    mean[g] = T{};
    PYDPST_UNROLL for (int i = 0; i < size; ++i) mean[g] += difference[i][g];
    mean[g] *= inverse_size;
  }
  PYDPST_UNROLL for (int g = 0; g < G; ++g) {
    PYDPST_UNROLL for (int h = 0; h <= g; ++h) {
      T sum = T{};
      PYDPST_UNROLL for (int i = 0; i < size; ++i) sum +=
          (difference[i][g] - mean[g]) * (difference[i][h] - mean[h]);
      covariance[triangle(g) + h] = sum * inverse_size;
    }
  }
  whiten<G>(covariance, eps * inverse_size, whitening);
}

// The local affine model of one channel p of a window: slope[G] is a = S⁻¹ cov(I, p), computed as
// Wᵀ W cov(I, p); offset is what the model predicts for p at the middle pixel, less p there.
// difference[size][G] and deviation[size] are the window's guide and p values less those of the
// middle pixel; mean[G] is the mean of difference.
template <typename S, int G, int Radius, typename T>
PYDPST_INLINE void window_fit(const T (*difference)[G], const T* mean, const T* deviation,
                              const T* whitening, T* slope, T& offset) {
  constexpr int size = Window<Radius>::size;
  constexpr S inverse_size = S(1) / S(size);
  T deviation_mean = T{};
  PYDPST_UNROLL for (int i = 0; i < size; ++i) deviation_mean += deviation[i];
  deviation_mean *= inverse_size;
  T covariance[G], projection[G];
  PYDPST_UNROLL for (int g = 0; g < G; ++g) covariance[g] = T{};
  PYDPST_UNROLL for (int i = 0; i < size; ++i) {
    const T centred = deviation[i] - deviation_mean;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) covariance[g] +=
        centred * (difference[i][g] - mean[g]);
  }
  PYDPST_UNROLL for (int row = 0; row < G; ++row) {
    projection[row] = T{};
    PYDPST_UNROLL for (int col = 0; col <= row; ++col) projection[row] +=
        whitening[triangle(row) + col] * covariance[col];
    projection[row] *= inverse_size;
  }
  offset = deviation_mean;
  PYDPST_UNROLL for (int col = 0; col < G; ++col) {
    slope[col] = T{};
    PYDPST_UNROLL for (int row = col; row < G; ++row) slope[col] +=
        whitening[triangle(row) + col] * projection[row];
    offset -= slope[col] * mean[col];
  }
}

// What one window adds to (L p)_i: p_i less the window's affine model at i. The differences of p
// and of the guide are pixel i's values less those of the window's middle pixel.
template <int G, typename T>
PYDPST_INLINE T window_residual(T deviation, const T* difference, const T* slope, T offset) {
  T residual = deviation - offset;
  PYDPST_UNROLL for (int g = 0; g < G; ++g) residual -= slope[g] * difference[g];
  return residual;
}
