// The loop over rows of ellpack_matvec for one instruction set. ellpack.cpp includes this file once
// for each, in a namespace of its own.

#include "../ellpack.h"

template <typename S, int A, int B>
void ellpack_rows(const Ellpack<S>& matrix, int64_t begin, int64_t end) {
  const int64_t stride = A * B, row = matrix.count * stride;
  for (int64_t i = begin; i < end; ++i)
    for (int64_t c = 0; c < matrix.vectors; ++c)
      ellpack_row<A, B>(matrix.blocks + i * row, stride, matrix.columns + i * matrix.count,
                        matrix.count, matrix.x + c * matrix.size * B, matrix.size,
                        matrix.out + (c * matrix.rows + i) * A);
}

// By the logarithms of a block's sides.
template <typename S>
constexpr EllpackKernel<S> ellpack_kernels[3][3] = {
    {ellpack_rows<S, 1, 1>, ellpack_rows<S, 1, 2>, ellpack_rows<S, 1, 4>},
    {ellpack_rows<S, 2, 1>, ellpack_rows<S, 2, 2>, ellpack_rows<S, 2, 4>},
    {ellpack_rows<S, 4, 1>, ellpack_rows<S, 4, 2>, ellpack_rows<S, 4, 4>}};
