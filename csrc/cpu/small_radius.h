// L p on one tile of an image for windows of a small radius, known at compile time, for one
// instruction set. Must follow vector.h.
//
// A row is one pass. What neighbouring windows share is kept in registers, so a vector of pixels
// costs few loads, and only the models of the last 2r + 1 rows go through memory.

// Zeros from lane number count on.
PYDPST_INLINE Vector first_lanes(Vector value, int64_t count) {
  for (int lane = 0; lane < kLanes; ++lane)
    if (lane >= count) value[lane] = 0;
  return value;
}

// The sums over 2·Radius + 1 neighbouring lanes, from the lane's own on.
template <int Radius, int Step = 1>
PYDPST_INLINE Vector sum_ahead(Vector here, Vector next) {
  if constexpr (Step > 2 * Radius)
    return here;
  else
    return sum_ahead<Radius, Step + 1>(here, next) + join<Step>(here, next);
}

// The same, up to the lane's own.
template <int Radius, int Step = 1>
PYDPST_INLINE Vector sum_behind(Vector before, Vector here) {
  if constexpr (Step > 2 * Radius)
    return here;
  else
    return sum_behind<Radius, Step + 1>(before, here) + join<kLanes - Step>(before, here);
}

template <typename Op, typename S, int Radius>
class SmallTile {
 public:
  SmallTile(const Call<S>& call, const Tile& tile)
      : call_(call),
        tile_(tile),
        rows_(call.height - kReach),
        columns_(call.width - kReach),
        left_(std::max<int64_t>(tile.left - kReach, 0)),
        pixels_(std::min(tile.right + kReach, call.width) - left_),
        windows_(pixels_ - kReach),
        stride_(padded<double>(pixels_ + 2 * kLanes)),
        source_(call, std::max<int64_t>(tile.top - kReach, 0), left_),
        inputs_(kSide * Op::inputs * stride_),
        models_(kSide * Op::models * stride_),
        windows_across_(stride_),
        out_(Op::outputs * stride_) {
    for (int64_t x = left_; x < left_ + pixels_; ++x)
      windows_across_.data()[x - left_] =
          double(std::min(x, columns_ - 1) - std::max<int64_t>(x - kReach, 0) + 1);
  }

  void run() {
    int64_t y = std::max<int64_t>(tile_.top - kReach, 0);
    for (int64_t row = y; row < y + kReach; ++row) read_row(row);
    for (; y < tile_.bottom; ++y) {
      if (y < rows_) {
        read_row(y + kReach);
        pass<true>(y);
      } else {
        pass<false>(y);
      }
    }
  }

 private:
  static constexpr int kReach = 2 * Radius, kSide = kReach + 1;
  static constexpr double kInverseSize = 1.0 / (kSide * kSide);

  const Call<S>& call_;
  const Tile& tile_;
  const int64_t rows_, columns_;                    // of windows
  const int64_t left_, pixels_, windows_, stride_;  // the pixel columns that the windows cover
  const TileInputs<Op, S> source_;
  Buffer<double> inputs_, models_, windows_across_, out_;

  // Rows of the last 2r + 1; zeros beyond the pixels.
  double* inputs(int64_t y) { return inputs_.data() + y % kSide * Op::inputs * stride_; }
  double* models(int64_t y) { return models_.data() + y % kSide * Op::models * stride_; }

  void read_row(int64_t y) {
    double* row = inputs(y);
    for_each(pixels_, [&]<typename T>(int64_t x) PYDPST_INLINE_LAMBDA {
      T input[Op::inputs];
      source_.at(y, left_ + x, input);
      source_.prefetch(y + 1, left_ + x);
      PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) { store(row + i * stride_ + x, input[i]); }
    });
  }

  // The features from column x on, summed over the rows of a window.
  PYDPST_INLINE static void column_sums(const double* const* rows, int64_t stride, int64_t x,
                                        Vector* sum) {
    PYDPST_UNROLL for (int dy = 0; dy < kSide; ++dy) {
      Vector input[Op::inputs], feature[Op::features];
      PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) {
        input[i] = load<Vector>(rows[dy] + i * stride + x);
      }
      Op::feature(input, feature);
      PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) {
        sum[i] = dy == 0 ? feature[i] : sum[i] + feature[i];
      }
    }
  }

  // Fits the windows with top row y, if there are any, and gathers the pixels of row y.
  template <bool Fits>
  void pass(int64_t y) {
    const int64_t stride = stride_, windows = windows_, matrix_plane = rows_ * columns_;
    const double *rows[kSide], *kept[kSide];
    for (int dy = 0; dy < kSide; ++dy) {
      rows[dy] = inputs(y + dy);
      kept[dy] = models(y + dy);
    }
    double* const fitted = models(y);
    double* const out_row = out_.data();
    const double* const across = windows_across_.data();
    const double down = double(std::min(y, rows_ - 1) - std::max<int64_t>(y - kReach, 0) + 1);
    const int64_t end = tile_.right - left_;

    // The last vector of matrices may not be whole: it is read from here.
    const S* const matrices = call_.whitening + y * columns_ + left_;
    const int64_t whole = windows / kLanes * kLanes;
    S rest[triangle(Op::guide)][kLanes] = {};
    if constexpr (Fits)
      for (int i = 0; i < triangle(Op::guide); ++i)
        std::copy(matrices + i * matrix_plane + whole, matrices + i * matrix_plane + windows,
                  rest[i]);

    Vector columns[Op::features], before[Op::models];
    if constexpr (Fits) column_sums(rows, stride, 0, columns);
    PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) { before[i] = Vector{}; }
    for (int64_t x = 0; x < end; x += kLanes) {
      Vector model[Op::models], sums[Op::models];
      if constexpr (Fits) {
        Vector next[Op::features], feature[Op::features], whitening[triangle(Op::guide)];
        column_sums(rows, stride, x + kLanes, next);
        PYDPST_UNROLL for (int i = 0; i < Op::features; ++i) {
          feature[i] = sum_ahead<Radius>(columns[i], next[i]);
          columns[i] = next[i];
        }
        for (int i = 0; i < triangle(Op::guide); ++i) {
          whitening[i] = load<Vector>(x < whole ? matrices + i * matrix_plane + x : rest[i]);
          __builtin_prefetch(matrices + i * matrix_plane + columns_ + x);
        }
        Op::fit(feature, whitening, kInverseSize, model);
        if (x >= whole) {
          PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
            model[i] = first_lanes(model[i], windows - x);
          }
        }
      } else {
        PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) { model[i] = Vector{}; }
      }
      PYDPST_UNROLL for (int i = 0; i < Op::models; ++i) {
        store(fitted + i * stride + x, model[i]);
        PYDPST_UNROLL for (int dy = 1; dy <= kReach; ++dy) {
          model[i] += load<Vector>(kept[dy] + i * stride + x);
        }
        sums[i] = sum_behind<Radius>(before[i], model[i]);
        before[i] = model[i];
      }
      Vector input[Op::inputs], out[Op::outputs];
      PYDPST_UNROLL for (int i = 0; i < Op::inputs; ++i) {
        input[i] = load<Vector>(rows[0] + i * stride + x);
      }
      Op::gather(sums, input, Vector(load<Vector>(across + x) * down), out);
      PYDPST_UNROLL for (int i = 0; i < Op::outputs; ++i) {
        store(out_row + i * stride + x, out[i]);
        if (!call_.slots)
          __builtin_prefetch(call_.out + i * call_.plane + y * call_.width + left_ + x, 1);
      }
    }
    if (y < tile_.top) return;
    for (int i = 0; i < Op::outputs; ++i)
      put_row(call_, i, y, tile_.left, out_row + i * stride + tile_.left - left_,
              tile_.right - tile_.left);
  }
};

template <typename Op, typename S, int Radius>
void small_tile(const Call<S>& call, const Tile& tile) {
  SmallTile<Op, S, Radius>(call, tile).run();
}
