// The computations of moments.h on one tile of an image, for windows of any radius at a cost that
// does not depend on it, for one instruction set.
//
// Window sums come in two steps. Down the columns they slide: the row that enters is added, the row
// that leaves is subtracted. Along a row they are differences of a prefix sum. Every sum is in
// double and starts anew in each tile.

#include "vector.h"

// Calls body<T>(x) for x from 0 to count, a vector at a time and the rest one by one.
template <typename Body>
PYDPST_INLINE void for_each(int64_t count, const Body& body) {
  int64_t x = 0;
  for (; x + kLanes <= count; x += kLanes) body.template operator()<Vector>(x);
  for (; x < count; ++x) body.template operator()<double>(x);
}

template <int Step = 1>
PYDPST_INLINE Vector scan(Vector value) {
  if constexpr (Step < kLanes) {
    value += join<kLanes - Step>(Vector{}, value);
    return scan<2 * Step>(value);
  } else {
    return value;
  }
}

// Rows of Count quantities: sums down the columns, and their prefix sums along the row, after a
// zero.
template <int Count>
struct Sums {
  int64_t length, stride, radius;
  Buffer<double> columns, prefix;

  Sums(int64_t length, int64_t radius)
      : length(length),
        stride(padded<double>(length + kLanes)),
        radius(radius),
        columns(Count * stride),
        prefix(Count * stride + kLanes) {}

  double* column(int quantity, int64_t x) { return columns.data() + quantity * stride + x; }

  void scan_rows() {
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

  // The sums over 2r + 1 columns from x on.
  template <typename T>
  PYDPST_INLINE void at(int64_t x, T* out) {
    PYDPST_UNROLL for (int quantity = 0; quantity < Count; ++quantity) {
      const double* from = prefix.data() + quantity * stride + kLanes + x;
      out[quantity] = load<T>(from + 2 * radius) - load<T>(from - 1);
    }
  }
};

// The sums of an Op's features over the windows of one row after the other.
template <typename Op, typename S>
struct FeatureSums {
  TileInputs<Op, S> inputs;
  Sums<Op::features> sums;
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
      inputs.prefetch(enters + 1, left + x);
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
template <typename S, int G>
void whitening_tile(const Call<S>& call, const Tile& tile) {
  using Op = Whitening<G>;
  const int64_t side = 2 * call.radius + 1;
  const double inverse_size = 1.0 / double(side * side);
  const int64_t rows = call.height - side + 1, columns = call.width - side + 1;
  FeatureSums<Op, S> sums(call, tile.top, tile.left, tile.right + side - 1);
  for (int64_t y = tile.top; y < tile.bottom; ++y) {
    sums.move_to(y);
    for_each(tile.right - tile.left, [&]<typename T>(int64_t x) PYDPST_INLINE_LAMBDA {
      T feature[Op::features], whitening[Op::models];
      sums.sums.at(x, feature);
      Op::fit(feature, inverse_size, call.eps * inverse_size, whitening);
      PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
        store(call.out + (i * rows + y) * columns + tile.left + x, whitening[i]);
      }
    });
  }
}

// The pixels of a tile, gathered from the models of all windows that touch it. The models of the
// last 2r + 1 rows are kept, to be subtracted when they leave.
template <typename Op, typename S>
void gather_tile(const Call<S>& call, const Tile& tile) {
  const int64_t reach = 2 * call.radius, side = reach + 1;
  const double inverse_size = 1.0 / double(side * side);
  const int64_t rows = call.height - reach, columns = call.width - reach;
  const int64_t left = std::max<int64_t>(tile.left - reach, 0);
  const int64_t right = std::min(tile.right + reach, call.width);
  const int64_t across = tile.right - tile.left;

  FeatureSums<Op, S> features(call, std::max<int64_t>(tile.top - reach, 0), left, right);
  // Windows by their left columns, from tile.left − 2r on; those outside the image stay zero.
  Sums<Op::models> models(across + reach, call.radius);
  const int64_t first = left - (tile.left - reach);
  const int64_t row_stride = Op::models * models.stride;
  Buffer<double> kept(side * row_stride);
  Buffer<double> windows_across(padded<double>(across));
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
        for (int i = 0; i < triangle(Op::guide); ++i) {
          const S* from = call.whitening + (i * rows + top) * columns + left + x;
          whitening[i] = load<T>(from);
          __builtin_prefetch(from + columns);
        }
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
        if (call.slots) {
          double values[kLanes];
          store(values, out[i]);
          put_row(call, i, top, tile.left + x, values, sizeof(T) / sizeof(double));
          continue;
        }
        S* to = call.out + i * call.plane + top * call.width + tile.left + x;
        store(to, call.add ? load<T>(to) + out[i] : out[i]);
      }
    });
  }
}
