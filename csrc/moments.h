// The four computations on windows, each as three steps around window sums of doubles:
//   features  of a pixel, whose sums over a window are all that the window needs to know;
//   fit       what a window makes of those sums: the numbers of its affine models;
//   gather    what a pixel makes of the sums of those numbers over all windows that hold it.
// Sums over windows of any size cost the same, and in double they lose nothing that matters.
//
// Shared by the CPU and the CUDA kernels, and like window.h without an include guard. Every value
// is relative to one fixed pixel nearby, which spares the sums their largest terms and changes no
// covariance. Colours are opponent colours.

#include "window.h"

// The whitening matrix of a window. It has no gather.
template <int G>
struct Whitening {
  static constexpr int inputs = G, guide = G, features = G + triangle(G), models = triangle(G);

  template <typename T>
  static PYDPST_INLINE void feature(const T* input, T* out) {
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      out[g] = input[g];
      PYDPST_UNROLL for (int h = 0; h <= g; ++h) { out[G + triangle(g) + h] = input[g] * input[h]; }
    }
  }

  template <typename T>
  static PYDPST_INLINE void fit(const T* sums, double inverse_size, double ridge, T* whitening) {
    T covariance[triangle(G)];
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      const T mean = sums[g] * inverse_size;
      PYDPST_UNROLL for (int h = 0; h <= g; ++h) {
        covariance[triangle(g) + h] = (sums[G + triangle(g) + h] - mean * sums[h]) * inverse_size;
      }
    }
    whiten<G>(covariance, ridge, whitening);
  }
};

// L p for C channels of p: each window's model of channel c is aᵀ I + b.
template <int G, int C>
struct Product {
  static constexpr int inputs = G + C, guide = G, outputs = C;
  static constexpr int features = G + C * (G + 1), models = C * (G + 1);

  template <typename T>
  static PYDPST_INLINE void feature(const T* input, T* out) {
    PYDPST_UNROLL for (int g = 0; g < G; ++g) { out[g] = input[g]; }
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      PYDPST_UNROLL for (int g = 0; g < G; ++g) {
        out[G + c * (G + 1) + g] = input[g] * input[G + c];
      }
      out[G + c * (G + 1) + G] = input[G + c];
    }
  }

  template <typename T>
  static PYDPST_INLINE void fit(const T* sums, const T* whitening, double inverse_size, T* model) {
    T mean[G];
    PYDPST_UNROLL for (int g = 0; g < G; ++g) { mean[g] = sums[g] * inverse_size; }
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      const T* sum = sums + G + c * (G + 1);
      T covariance[G], *slope = model + c * (G + 1);
      PYDPST_UNROLL for (int g = 0; g < G; ++g) {
        covariance[g] = (sum[g] - mean[g] * sum[G]) * inverse_size;
      }
      affine_model<G>(whitening, mean, T(sum[G] * inverse_size), covariance, slope, slope + G);
    }
  }

  template <typename T>
  static PYDPST_INLINE void gather(const T* sums, const T* input, T windows, T* out) {
    PYDPST_UNROLL for (int c = 0; c < C; ++c) {
      const T* slope = sums + c * (G + 1);
      out[c] = residual<G>(T(windows * input[G + c]), slope, slope[G], input);
    }
  }
};

// The diagonal of L: the sum over windows of 1 − (1 + |W (I_i − μ)|²) / n, the square multiplied
// out.
template <int G>
struct Diagonal {
  static constexpr int inputs = G, guide = G, outputs = 1;
  static constexpr int features = G, models = triangle(G) + G + 1;

  template <typename T>
  static PYDPST_INLINE void feature(const T* input, T* out) {
    PYDPST_UNROLL for (int g = 0; g < G; ++g) { out[g] = input[g]; }
  }

  // The models: the lower triangle of M = WᵀW, M μ and 1 + μᵀM μ, each divided by n.
  template <typename T>
  static PYDPST_INLINE void fit(const T* sums, const T* whitening, double inverse_size, T* model) {
    T *shifted = model + triangle(G), *constant = shifted + G;
    *constant = T{} + inverse_size;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      shifted[g] = T{};
      PYDPST_UNROLL for (int h = 0; h <= g; ++h) {
        T sum = T{};
        PYDPST_UNROLL for (int k = g; k < G; ++k) {
          sum += whitening[triangle(k) + g] * whitening[triangle(k) + h];
        }
        model[triangle(g) + h] = sum * inverse_size;
      }
    }
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      PYDPST_UNROLL for (int h = 0; h < G; ++h) {
        shifted[g] += model[h <= g ? triangle(g) + h : triangle(h) + g] * sums[h] * inverse_size;
      }
      *constant += shifted[g] * sums[g] * inverse_size;
    }
  }

  template <typename T>
  static PYDPST_INLINE void gather(const T* sums, const T* input, T windows, T* out) {
    const T *shifted = sums + triangle(G), *constant = shifted + G;
    out[0] = windows - *constant;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      out[0] += 2 * shifted[g] * input[g];
      PYDPST_UNROLL for (int h = 0; h <= g; ++h) {
        out[0] -= (h < g ? 2 : 1) * sums[triangle(g) + h] * input[g] * input[h];
      }
    }
  }
};

// The gradient of qᵀ L p in the guide image, for one channel: at pixel i, less the sum over the
// windows of  a_p (q_i − a_qᵀ I_i − b_q) + a_q (p_i − a_pᵀ I_i − b_p).
template <int G>
struct ImageGradient {
  using Fit = Product<G, 2>;
  static constexpr int inputs = G + 2, guide = G, outputs = G;
  static constexpr int features = Fit::features, models = 3 * G + triangle(G);

  template <typename T>
  static PYDPST_INLINE void feature(const T* input, T* out) {
    Fit::feature(input, out);
  }

  // The models: a_p, a_q, a_p b_q + a_q b_p, and the lower triangle of a_p a_qᵀ + a_q a_pᵀ.
  template <typename T>
  static PYDPST_INLINE void fit(const T* sums, const T* whitening, double inverse_size, T* model) {
    T fits[Fit::models];
    Fit::fit(sums, whitening, inverse_size, fits);
    const T *p = fits, *q = fits + G + 1;
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      model[g] = p[g];
      model[G + g] = q[g];
      model[2 * G + g] = p[g] * q[G] + q[g] * p[G];
      PYDPST_UNROLL for (int h = 0; h <= g; ++h) {
        model[3 * G + triangle(g) + h] = p[g] * q[h] + q[g] * p[h];
      }
    }
  }

  template <typename T>
  static PYDPST_INLINE void gather(const T* sums, const T* input, T, T* out) {
    PYDPST_UNROLL for (int g = 0; g < G; ++g) {
      out[g] = sums[2 * G + g] - sums[g] * input[G + 1] - sums[G + g] * input[G];
      PYDPST_UNROLL for (int h = 0; h < G; ++h) {
        out[g] += sums[3 * G + (h <= g ? triangle(g) + h : triangle(h) + g)] * input[h];
      }
    }
    opponent_gradient<G>(out);
  }
};
