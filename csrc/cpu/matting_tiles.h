// The matting Laplacian on one tile of an image, for one instruction set. matting_laplacian.cpp
// includes this file once for each, in a namespace of its own, with PYDPST_VECTOR_BYTES set.
//
// Window sums come in two steps. Down the columns they slide: the row that enters is added, the row
// that leaves is subtracted. Along a row they are differences of a prefix sum or, at a small radius
// known at compile time, plain sums. Every sum is in double and starts anew in each tile.

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

// Calls body<T>(x) for x from 0 to count, a vector at a time and the rest one by one.
template <typename Body>
PYDPST_INLINE void for_each(int64_t count, const Body& body) {
  int64_t x = 0;
  for (; x + kLanes <= count; x += kLanes) body.template operator()<Vector>(x);
  for (; x < count; ++x) body.template operator()<double>(x);
}

// The lanes of value moved up by Step, zeros below.
template <int Step, size_t... Lane>
PYDPST_INLINE Vector shift(Vector value, std::index_sequence<Lane...>) {
  return __builtin_shufflevector(Vector{}, value, (kLanes - Step + int(Lane))...);
}

template <int Step = 1>
PYDPST_INLINE Vector scan(Vector value) {
  if constexpr (Step < kLanes) {
    value += shift<Step>(value, std::make_index_sequence<kLanes>());
    return scan<2 * Step>(value);
  } else {
    return value;
  }
}

// Rows of Count quantities: sums down the columns and, where the radius is not known at compile
// time, their prefix sums along the row, after a zero.
template <int Count, int Radius>
struct Sums {
  int64_t length, stride, radius;
  Buffer columns, prefix;

  Sums(int64_t length, int64_t radius)
      : length(length),
        stride(padded(length + kLanes)),
        radius(radius),
        columns(Count * stride),
        prefix(Radius ? 0 : Count * stride + kLanes) {}

  double* column(int quantity, int64_t x) { return columns.data() + quantity * stride + x; }

  void scan_rows() {
    if constexpr (Radius == 0) {
      for (int quantity = 0; quantity < Count; ++quantity) {
        const double* from = column(quantity, 0);
        double* to = prefix.data() + quantity * stride + kLanes;
        Vector before = {};
        for (int64_t x = 0; x < length; x += kLanes) {
          const Vector inside = scan(load<Vector>(from + x));
          store(to + x, before + inside);
          before += inside[kLanes - 1];
        }
      }
    }
  }

  // The sums over 2r + 1 columns from x on.
  template <typename T>
  PYDPST_INLINE void at(int64_t x, T* out) {
    PYDPST_UNROLL for (int quantity = 0; quantity < Count; ++quantity) {
      if constexpr (Radius == 0) {
        const double* from = prefix.data() + quantity * stride + kLanes + x;
        out[quantity] = load<T>(from + 2 * radius) - load<T>(from - 1);
      } else {
        const double* from = column(quantity, x);
        out[quantity] = load<T>(from);
        PYDPST_UNROLL for (int dx = 1; dx <= 2 * Radius; ++dx) out[quantity] += load<T>(from + dx);
      }
    }
  }
};

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

  template <typename T>
  PYDPST_INLINE void at(int64_t y, int64_t x, T* out) const {
    PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) out[i] =
        load<T>(plane[i] + y * width + x) - centre[i];
    to_opponent<Op::guide>(out);
  }
};

// The sums of an Op's features over the windows of one row after the other.
template <typename Op, typename S, int Radius>
struct FeatureSums {
  Inputs<Op, S> inputs;
  Sums<Op::features, Radius> sums;
  int64_t left, radius, first_row = -1;

  // For the windows within the pixel columns [left, right), from row y on.
  FeatureSums(const Call<S>& call, int64_t y, int64_t left, int64_t right)
      : inputs(call, y, left), sums(right - left, call.radius), left(left), radius(call.radius) {}

  // To the windows with top row y, from those of the row before.
  void move_to(int64_t y) {
    if (first_row < 0) {
      for (int64_t row = first_row = y; row < y + 2 * radius; ++row) slide<false>(row, 0);
      slide<false>(y + 2 * radius, 0);
    } else {
      slide<true>(y + 2 * radius, y - 1);
    }
    sums.scan_rows();
  }

  template <bool Leaves>
  void slide(int64_t enters, int64_t leaves) {
    for_each(sums.length, [&]<typename T>(int64_t x) PYDPST_INLINE_LAMBDA {
      T input[Op::inputs], feature[Op::features], leaving[Op::features];
      inputs.at(enters, left + x, input);
      Op::feature(input, feature);
      if constexpr (Leaves) {
        inputs.at(leaves, left + x, input);
        Op::feature(input, leaving);
      }
      PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) {
        if constexpr (Leaves) feature[i] -= leaving[i];
        store(sums.column(i, x), load<T>(sums.column(i, x)) + feature[i]);
      }
    });
  }
};

// The whitening matrices of the windows whose top left pixels are in the tile.
template <typename S, int G, int Radius>
void whitening_tile(const Call<S>& call, const Tile& tile) {
  using Op = Whitening<G>;
  const int64_t side = 2 * call.radius + 1;
  const double inverse_size = 1.0 / double(side * side);
  const int64_t rows = call.height - side + 1, columns = call.width - side + 1;
  FeatureSums<Op, S, Radius> sums(call, tile.top, tile.left, tile.right + side - 1);
  for (int64_t y = tile.top; y < tile.bottom; ++y) {
    sums.move_to(y);
    for_each(tile.right - tile.left, [&]<typename T>(int64_t x) PYDPST_INLINE_LAMBDA {
      T feature[Op::features], whitening[Op::models];
      sums.sums.at(x, feature);
      Op::fit(feature, inverse_size, call.eps * inverse_size, whitening);
      PYDPST_UNROLL for (int i = 0; i < Op::models; ++i)
          store(call.out + (i * rows + y) * columns + tile.left + x, whitening[i]);
    });
  }
}

// The pixels of a tile, gathered from the models of all windows that touch it. The models of the
// last 2r + 1 rows are kept, to be subtracted when they leave.
template <typename Op, typename S, int Radius>
void gather_tile(const Call<S>& call, const Tile& tile) {
  const int64_t reach = 2 * call.radius, side = reach + 1;
  const double inverse_size = 1.0 / double(side * side);
  const int64_t rows = call.height - reach, columns = call.width - reach;
  const int64_t left = std::max<int64_t>(tile.left - reach, 0);
  const int64_t right = std::min(tile.right + reach, call.width);
  const int64_t across = tile.right - tile.left;

  FeatureSums<Op, S, Radius> features(call, std::max<int64_t>(tile.top - reach, 0), left, right);
  // Windows by their left columns, from tile.left − 2r on; those outside the image stay zero.
  Sums<Op::models, Radius> models(across + reach, call.radius);
  const int64_t first = left - (tile.left - reach);
  const int64_t row_stride = Op::models * models.stride;
  Buffer kept(side * row_stride);
  Buffer windows_across(padded(across));
  for (int64_t x = tile.left; x < tile.right; ++x)
    windows_across.data()[x - tile.left] =
        double(std::min(x, columns - 1) - std::max<int64_t>(x - reach, 0) + 1);

  for (int64_t top = tile.top - reach; top < tile.bottom; ++top) {
    double* row = kept.data() + (top + side) % side * row_stride;
    if (top >= 0 && top < rows) {
      features.move_to(top);
      for_each(right - left - reach, [&]<typename T>(int64_t x) PYDPST_INLINE_LAMBDA {
        T feature[Op::features], whitening[triangle(Op::guide)], model[Op::models];
        features.sums.at(x, feature);
        for (int i = 0; i < triangle(Op::guide); ++i)
          whitening[i] = load<T>(call.whitening + (i * rows + top) * columns + left + x);
        Op::fit(feature, whitening, inverse_size, model);
        PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
          double* last = row + i * models.stride + first + x;
          double* sum = models.column(i, first + x);
          store(sum, load<T>(sum) + (model[i] - load<T>(last)));
          store(last, model[i]);
        }
      });
    } else {
      for (int64_t i = 0; i < row_stride; ++i) {
        models.columns.data()[i] -= row[i];
        row[i] = 0;
      }
    }
    if (top < tile.top) continue;

    models.scan_rows();
    const double windows_down =
        double(std::min(top, rows - 1) - std::max<int64_t>(top - reach, 0) + 1);
    for_each(across, [&]<typename T>(int64_t x) PYDPST_INLINE_LAMBDA {
      T sums[Op::models], input[Op::inputs], out[Op::outputs];
      models.at(x, sums);
      features.inputs.at(top, tile.left + x, input);
      Op::gather(sums, input, T(load<T>(windows_across.data() + x) * windows_down), out);
      PYDPST_UNROLL for (int i = 0; i < Op::outputs; ++i) {
        S* to = call.out + i * call.plane + top * call.width + tile.left + x;
        store(to, call.add ? load<T>(to) + out[i] : out[i]);
      }
    });
  }
}

template <typename S, int G, int Radius>
constexpr Kernels<S> kernels{whitening_tile<S, G, Radius>, gather_tile<Product<G, 1>, S, Radius>,
                             gather_tile<Product<G, 3>, S, Radius>,
                             gather_tile<ImageGradient<G>, S, Radius>};
