// Vectors of doubles, and how tiles read images, for one instruction set.

using Vector [[gnu::vector_size(PYDPST_VECTOR_BYTES)]] = double;
constexpr int kLanes = PYDPST_VECTOR_BYTES / sizeof(double);

inline Vector square_root(Vector value) {
  for (int lane = 0; lane < kLanes; ++lane) value[lane] = std::sqrt(value[lane]);
  return value;
}

#include "../moments.h"

// T is double or Vector; S, the type in memory, may be float.
template <typename T, typename S>
PYDPST_INLINE T load(const S* from) {
  if constexpr (sizeof(T) == sizeof(double)) {
    return *from;
  } else if constexpr (sizeof(S) == sizeof(double)) {
    T value;
    __builtin_memcpy(&value, from, sizeof(T));
    return value;
  } else {
    typedef S Narrow __attribute__((vector_size(kLanes * sizeof(S))));
    Narrow value;
    __builtin_memcpy(&value, from, sizeof(Narrow));
    return __builtin_convertvector(value, T);
  }
}

template <typename T, typename S>
PYDPST_INLINE void store(S* to, T value) {
  if constexpr (sizeof(T) == sizeof(double)) {
    *to = S(value);
  } else if constexpr (sizeof(S) == sizeof(double)) {
    __builtin_memcpy(to, &value, sizeof(T));
  } else {
    typedef S Narrow __attribute__((vector_size(kLanes * sizeof(S))));
    const Narrow narrow = __builtin_convertvector(value, Narrow);
    __builtin_memcpy(to, &narrow, sizeof(Narrow));
  }
}

template <int Shift, int... Lane>
PYDPST_INLINE Vector join(Vector low, Vector high, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(low, high, (Shift + Lane)...);
}

// The lanes from number Shift on of two vectors side by side.
template <int Shift>
PYDPST_INLINE Vector join(Vector low, Vector high) {
  return join<Shift>(low, high, std::make_integer_sequence<int, kLanes>());
}

// The pixels of a sample as an Op's inputs, relative to the tile's first pixel.
template <typename Op, typename S>
struct Inputs {
  const S* plane[Op::inputs];
  double centre[Op::inputs];
  int64_t width;

  Inputs(const Call<S>& call, int64_t y, int64_t x) : width(call.width) {
    for (int i = 0; i < Op::inputs; ++i) {
      const S* first = i < Op::guide ? call.image + i * call.plane : call.p;
      if (i > Op::guide) first = call.q ? call.q : call.p + (i - Op::guide) * call.plane;
      plane[i] = first;
      centre[i] = first[y * width + x];
    }
  }

  // Rows are short of what the processor needs to see a pattern.
  PYDPST_INLINE void prefetch(int64_t y, int64_t x) const {
    PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) __builtin_prefetch(plane[i] + y * width + x);
  }

  template <typename T>
  PYDPST_INLINE void at(int64_t y, int64_t x, T* out) const {
    PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) out[i] =
        load<T>(plane[i] + y * width + x) - centre[i];
    to_opponent<Op::guide>(out);
  }
};
