// The mathematics of one affine colour map, a 3×4 matrix by rows, shared by the CPU and the CUDA
// kernels.
//
// T is a floating-point type or, on the CPU, a vector of them. No include guard: the CPU kernels
// include this once for each instruction set, in a namespace of its own.

#include "inline.h"

constexpr int kCoefficients = 12;

// A matrix times the colour (r, g, b, 1).
template <typename T>
PYDPST_INLINE void transform(const T* matrix, const T* colour, T* out) {
  PYDPST_UNROLL for (int row = 0; row < 3; ++row) {
    const T* m = matrix + 4 * row;
    out[row] = m[0] * colour[0] + m[1] * colour[1] + m[2] * colour[2] + m[3];
  }
}

// The gradient of gradientᵀ (matrix · colour) in the colour.
template <typename T>
PYDPST_INLINE void colour_gradient(const T* matrix, const T* gradient, T* out) {
  PYDPST_UNROLL for (int column = 0; column < 3; ++column) {
    out[column] = matrix[column] * gradient[0] + matrix[4 + column] * gradient[1] +
                  matrix[8 + column] * gradient[2];
  }
}

// gradientᵀ · matrix, all four entries.
template <typename T>
PYDPST_INLINE void pull_back(const T* matrix, const T* gradient, T* out) {
  PYDPST_UNROLL for (int column = 0; column < 4; ++column) {
    out[column] = matrix[column] * gradient[0] + matrix[4 + column] * gradient[1] +
                  matrix[8 + column] * gradient[2];
  }
}

// The gradient of gradientᵀ (matrix · colour) in one entry of the matrix.
template <typename T>
PYDPST_INLINE T entry_gradient(int entry, const T* colour, const T* gradient) {
  return entry % 4 == 3 ? gradient[entry / 4] : gradient[entry / 4] * colour[entry % 4];
}
