// L p on one tile of an image for windows of radius 1 in single precision, for one instruction set.
//
// In single precision only differences of neighbouring pixels are worth adding up: what is lost to
// rounding is then relative to the contrast within a window. So everything is relative to a pixel
// nearby, and moves from one to the next by their difference:
//   a column of three pixels  is relative to its middle one,
//   a window                  to its middle pixel: three columns that moved there,
//   a column of three models  to the middle one's middle pixel,
//   and a pixel of L p        to itself: three columns of models that moved there.
// Positions are those of middle pixels, and begin at the second column of the pixels at hand.

#include "single_windows.h"

template <int G, int C>
class SingleTile {
 public:
  SingleTile(const Call<float>& call, const Tile& tile)
      : call_(call),
        tile_(tile),
        rows_(call.height - 2),
        left_(std::max<int64_t>(tile.left - 2, 0)),
        pixels_(std::min(tile.right + 2, call.width) - left_),
        windows_(pixels_ - 2),
        down_(kRing * G * kRow),
        across_(kRing * G * kRow),
        sums_(G * kRow),
        means_(G * kRow),
        p_(kRing * C * kRow),
        models_(kRing * C * (G + 1) * kRow),
        counts_(3 * kRow),
        here_(C * kRow),
        right_(C * kRow) {
    for (int64_t count = 1; count <= 3; ++count)
      std::fill_n(row(counts_, count - 1), windows_, float(count));
  }

  void run() {
    int64_t y = std::max<int64_t>(tile_.top - 2, 0);
    for (int64_t row = y; row < y + 2; ++row) read_row(row, row > y);
    for (; y < tile_.bottom; ++y) {
      const bool fits = y < rows_;
      if (fits) {
        read_row(y + 2, true);
        sum_guide(y);
      }
      fits ? pass<true>(y) : pass<false>(y);
      if (y >= tile_.top) put_row(y);
    }
  }

 private:
  static constexpr int kRing = 4;

  const Call<float>& call_;
  const Tile& tile_;
  const int64_t rows_, left_, pixels_, windows_;
  // The last rows of the guide's differences to the next row and to the next column; of a row of
  // windows, the sums of the guide's columns and its windows' means.
  Buffer<float> down_, across_, sums_, means_;
  // The last rows of p and of the models; how many windows a column of them may have; and what a
  // row of L p gets from the windows around it and to its left, and from those to its right.
  Buffer<float> p_, models_, counts_, here_, right_;

  static float* row(Buffer<float>& buffer, int64_t plane) {
    return buffer.data() + plane * kRow + kSingles;
  }
  float* down(int64_t y) { return row(down_, y % kRing * G); }
  float* across(int64_t y) { return row(across_, y % kRing * G); }
  float* p(int64_t y) { return row(p_, y % kRing * C); }
  float* models(int64_t y) { return row(models_, y % kRing * C * (G + 1)); }

  // Calls body(x, count) for so many pixels, a vector at a time.
  template <typename Body>
  PYDPST_INLINE static void for_vectors(int64_t size, const Body& body) {
    int64_t x = 0;
    for (; x + kSingles <= size; x += kSingles) body(x, std::integral_constant<int, kSingles>());
    if (x < size) body(x, size - x);
  }

  // The guide's differences over so many pixels, to those so far away, in opponent colours.
  PYDPST_INLINE void differences(const float* image, int64_t distance, int64_t size, float* out) {
    for_vectors(size, [&](int64_t x, auto count) __attribute__((always_inline)) {
      Single difference[G];
      PYDPST_UNROLL for (int g = 0; g < G; ++g) {
        const float* at = image + g * call_.plane + x;
        difference[g] = load(at + distance, count) - load(at, count);
      }
      to_opponent<G>(difference);
      PYDPST_UNROLL for (int g = 0; g < G; ++g) { store(out + g * kRow + x, difference[g], count); }
    });
  }

  void read_row(int64_t y, bool has_above) {
    const int64_t first = y * call_.width + left_;
    for (int64_t c = 0; c < C; ++c)
      std::copy_n(call_.p + c * call_.plane + first, pixels_, p(y) + c * kRow - 1);
    differences(call_.image + first, 1, pixels_ - 1, across(y) - 1);
    if (has_above)
      differences(call_.image + first - call_.width, call_.width, pixels_, down(y - 1) - 1);
  }

  // The guide's sums for the windows with top row y.
  void sum_guide(int64_t y) {
    for (int g = 0; g < G; ++g) {
      const float *above = down(y) + g * kRow, *below = down(y + 1) + g * kRow;
      const float* next = across(y + 1) + g * kRow;
      float *sums = row(sums_, g), *means = row(means_, g);
      for (int64_t x = -kSingles; x <= pixels_; x += kSingles)
        store(sums + x, load(below + x) - load(above + x));
      for (int64_t x = 0; x < windows_; x += kSingles) {
        const Single move = load(next + x) - load(next + x - 1);
        store(means + x,
              (load(sums + x - 1) + load(sums + x) + load(sums + x + 1) + 3 * move) * kInverseSize);
      }
    }
  }

  // What a row of L p reads.
  struct Pixels {
    const float *down_above, *down_below, *next, *above, *here, *below, *model_above, *model_middle,
        *counts;
  };

  // Fits the windows with top row y, if there are any, and gathers the pixels of row y.
  template <bool Fits>
  void pass(int64_t y) {
    const int64_t whitening_row = call_.width - 2;
    const Windows<G> windows{down(y),
                             down(y + 1),
                             across(y + 1),
                             row(sums_, 0),
                             row(means_, 0),
                             p(y),
                             p(y + 1),
                             p(y + 2),
                             call_.whitening + y * whitening_row + left_,
                             rows_ * whitening_row,
                             whitening_row};
    const bool has_above = y >= 2, has_middle = y >= 1 && y <= rows_;
    const Pixels pixels{down(y + kRing - 1),
                        down(y),
                        across(y),
                        has_above ? p(y + kRing - 1) : p(y),
                        p(y),
                        Fits ? p(y + 1) : p(y),
                        models(y + kRing - 2),
                        models(y + kRing - 1),
                        row(counts_, int64_t(has_above) + has_middle + Fits - 1)};
    float *fitted = models(y), *here = row(here_, 0), *right = row(right_, 0);

    const int64_t ahead = (y + 3) * call_.width + left_;
    const float *ahead_image = call_.image + ahead, *ahead_p = call_.p + ahead;
    const float* out = call_.out + y * call_.width + left_;
    Moments<G> own[C], before[C];
    if constexpr (Fits) {
      PYDPST_UNROLL for (int c = 0; c < C; ++c) {
        before[c] = windows.to_the_right(windows.columns(c, -kSingles), c, -kSingles);
        own[c] = windows.columns(c, 0);
      }
    }
    Single left_before[C] = {};
    const auto step = [&](int64_t x, auto count) __attribute__((always_inline)) {
      constexpr bool whole = !std::is_same_v<decltype(count), int64_t>;
      Single mean[G] = {}, matrix[triangle(G)] = {};
      if constexpr (Fits) {
        PYDPST_UNROLL for (int g = 0; g < G; ++g) { mean[g] = load(windows.means + g * kRow + x); }
        const float* from = windows.whitening + x;
        for (int i = 0; i < triangle(G); ++i) {
          matrix[i] = load(from, count);
          __builtin_prefetch(from + windows.whitening_row);
          from += windows.whitening_plane;
        }
      }
      // The rows to come, and the one to be written: what the hardware foresees is not enough.
      PYDPST_UNROLL for (int g = 0; g < G; ++g) {
        __builtin_prefetch(ahead_image + g * call_.plane + x);
      }
      PYDPST_UNROLL for (int c = 0; c < C; ++c) {
        __builtin_prefetch(ahead_p + c * call_.plane + x);
        __builtin_prefetch(out + c * call_.plane + x, 1);
      }
      PYDPST_UNROLL for (int c = 0; c < C; ++c) {
        Single model[G + 1] = {};
        if constexpr (Fits) {
          const Moments<G> after = windows.columns(c, x + kSingles);
          const Moments<G> from_left = windows.to_the_right(own[c], c, x);
          windows.fit(join<kSingles - 1>(before[c], from_left), own[c],
                      windows.to_the_left(join<1>(own[c], after), c, x), mean, matrix, model);
          own[c] = after;
          before[c] = from_left;
          if constexpr (!whole) {
            PYDPST_UNROLL for (int i = 0; i <= G; ++i) { model[i] = first_lanes(model[i], count); }
          }
        }

        // The columns of models, at the middle pixels of row y.
        const int64_t at = c * kRow + x, first = c * (G + 1) * kRow + x;
        const Single now = load(pixels.here + at);
        Single offset = load(pixels.model_middle + first + G * kRow) +
                        load(pixels.model_above + first + G * kRow) + model[G];
        offset += (load(pixels.below + at) - now) - (now - load(pixels.above + at));
        Single slope[G], moved = {};
        PYDPST_UNROLL for (int g = 0; g < G; ++g) {
          const Single top = load(pixels.model_above + first + g * kRow);
          moved += top * load(pixels.down_above + g * kRow + x);
          offset -= model[g] * load(pixels.down_below + g * kRow + x);
          slope[g] = top + load(pixels.model_middle + first + g * kRow) + model[g];
          store(fitted + first + g * kRow, model[g]);
        }
        store(fitted + first + G * kRow, model[G]);
        offset += moved;
        if constexpr (!whole) offset = first_lanes(offset, count);

        // And from there to the pixels at both sides.
        const Single number = load(pixels.counts + x);
        Single to_right = offset - number * (load(pixels.here + at + 1) - now);
        Single to_left = offset + number * (now - load(pixels.here + at - 1));
        PYDPST_UNROLL for (int g = 0; g < G; ++g) {
          to_right += slope[g] * load(pixels.next + g * kRow + x);
          to_left -= slope[g] * load(pixels.next + g * kRow + x - 1);
        }
        store(here + at, offset + join<kSingles - 1>(left_before[c], to_right));
        store(right + at, to_left);
        left_before[c] = to_right;
      }
    };
    int64_t x = 0;
    for (; x + kSingles <= windows_; x += kSingles)
      step(x, std::integral_constant<int, kSingles>());
    step(x, int64_t(windows_ - x));
  }

  void put_row(int64_t y) {
    for (int64_t c = 0; c < C; ++c) {
      const int64_t first = c * kRow + tile_.left - left_ - 1;
      const float *here = row(here_, 0) + first, *right = row(right_, 0) + first + 1;
      float* out = call_.out + c * call_.plane + y * call_.width + tile_.left;
      const auto put = [&](int64_t x, auto count) __attribute__((always_inline)) {
        store(out + x, -(load(here + x) + load(right + x)), count);
      };
      for_vectors(tile_.right - tile_.left, put);
    }
  }
};

inline void single_tile(const Call<float>& call, const Tile& tile, int64_t channels,
                        int64_t guide) {
  if (guide == 1)
    channels == 1 ? SingleTile<1, 1>(call, tile).run() : SingleTile<1, 3>(call, tile).run();
  else
    channels == 1 ? SingleTile<3, 1>(call, tile).run() : SingleTile<3, 3>(call, tile).run();
}
