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
struct TileInputs {
  const Call<S>& call;
  const S* plane[Op::inputs];
  double centre[Op::inputs];

  TileInputs(const Call<S>& call, int64_t y, int64_t x) : call(call) {
    const int64_t pixel = y * call.width + x;
    for (int i = 0; i < Op::inputs; ++i) {
      const S* first = i < Op::guide ? call.image + i * call.plane : call.p;
      if (i > Op::guide)
        first = call.q ? call.q : call.p + (i - Op::guide) * (call.slots ? call.count : call.plane);
      plane[i] = first;
      centre[i] = i < Op::guide || !call.slots ? first[pixel] : gathered<double>(i, pixel);
    }
  }

  // Rows are short of what the processor needs to see a pattern.
  PYDPST_INLINE void prefetch(int64_t y, int64_t x) const {
    const int64_t pixel = y * call.width + x;
    const int planes = call.slots ? Op::guide : Op::inputs;
    for (int i = 0; i < planes; ++i) __builtin_prefetch(plane[i] + pixel);
    if (call.slots) __builtin_prefetch(call.slots + pixel);
  }

  template <typename T>
  PYDPST_INLINE void at(int64_t y, int64_t x, T* out) const {
    const int64_t pixel = y * call.width + x;
    PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) {
      const bool gathers = i >= Op::guide && call.slots;
      out[i] = (gathers ? gathered<T>(i, pixel) : load<T>(plane[i] + pixel)) - centre[i];
    }
    to_opponent<Op::guide>(out);
  }

  template <typename T>
  PYDPST_INLINE T gathered(int i, int64_t pixel) const {
    const int64_t* slots = call.slots + pixel;
    if constexpr (sizeof(T) == sizeof(double)) {
      return call.has(*slots) ? plane[i][*slots] : S(0);
    } else {
      T value;
      for (int lane = 0; lane < kLanes; ++lane)
        value[lane] = call.has(slots[lane]) ? plane[i][slots[lane]] : S(0);
      return value;
    }
  }
};

// Puts so many values of a row where they belong.
template <typename S>
PYDPST_INLINE void put_row(const Call<S>& call, int output, int64_t y, int64_t x,
                           const double* values, int64_t count) {
  const int64_t pixel = y * call.width + x;
  if (call.slots) {
    const int64_t* slots = call.slots + pixel;
    S* to = call.out + output * call.count;
    for (int64_t i = 0; i < count; ++i)
      if (call.has(slots[i])) to[slots[i]] = S(values[i]);
  } else {
    std::copy(values, values + count, call.out + output * call.plane + pixel);
  }
}
