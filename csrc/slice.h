// The mathematics of slicing a bilateral grid (Chen, Paris and Durand 2007) of affine colour
// transforms and of applying them (Gharbi et al. 2017), shared by the CPU and the CUDA kernels.
//
// A cell of the grid holds a 3×4 matrix by rows. The grid's cells lie evenly over the image and
// over the guide's range [0, 1], each value at the middle of its cell, and the border's is
// continued.
//
// T is a floating-point type or, on the CPU, a vector of them. No include guard: the CPU kernels
// include this once for each instruction set, in a namespace of its own.

#include "colour_matrix.h"

// Where a value lies between two cells: at `cell`, or by `fraction` of the way to the next.
struct Place {
  int64_t cell, next;
  double fraction;
};

// The place of a pixel along a side of so many cells; scale is how many of them a pixel takes.
PYDPST_INLINE Place place(int64_t pixel, double scale, int64_t cells) {
  // Rounded once, whatever the compiler and its flags: all who ask must get the same cell.
  double at = std::fma(pixel + 0.5, scale, -0.5);
  at = at > 0 ? at : 0;
  at = at < cells - 1 ? at : cells - 1;
  int64_t cell = int64_t(at);
  cell = cell < cells - 1 || cell == 0 ? cell : cell - 1;
  return {cell, cell + 1 < cells ? cell + 1 : cell, at - cell};
}

// Where a value of the guide lies along the grid's depth: 0 to depth − 1, and NaN at 0. S is the
// type of one value.
template <typename S, typename T>
PYDPST_INLINE T depth_position(T guide, int64_t depth) {
  const T least = T{}, most = T{} + S(depth - 1);
  const T at = guide * S(depth) - S(0.5);
  const T positive = at > least ? at : least;
  return positive < most ? positive : most;
}
