// The row loops of the matting Laplacian for one instruction set. matting_laplacian.cpp includes
// this file once for each, in a namespace of its own, with PYDPST_VECTOR_BYTES set.

template <typename S>
struct Vector {
  typedef S type __attribute__((vector_size(PYDPST_VECTOR_BYTES)));
  static constexpr int64_t lanes = PYDPST_VECTOR_BYTES / sizeof(S);
};

inline Vector<double>::type square_root(Vector<double>::type value) {
  for (int lane = 0; lane < Vector<double>::lanes; ++lane) value[lane] = std::sqrt(value[lane]);
  return value;
}

#include "../window.h"

template <typename V, typename S>
PYDPST_INLINE V load(const S* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof(V));
  return value;
}

template <typename V, typename S>
PYDPST_INLINE void store(S* to, V value) {
  __builtin_memcpy(to, &value, sizeof(V));
}

// As many lanes in double as V has; the guide may be float.
template <typename V, typename S>
PYDPST_INLINE V load_double(const S* from) {
  if constexpr (sizeof(V) == sizeof(double)) {
    return *from;
  } else {
    typedef S narrow __attribute__((vector_size(sizeof(V) / sizeof(double) * sizeof(S))));
    return __builtin_convertvector(load<narrow>(from), V);
  }
}

template <typename S, typename V>
PYDPST_INLINE void store_double(S* to, V value) {
  if constexpr (sizeof(V) == sizeof(double)) {
    *to = S(value);
  } else {
    typedef S narrow __attribute__((vector_size(sizeof(V) / sizeof(double) * sizeof(S))));
    store(to, __builtin_convertvector(value, narrow));
  }
}

// Whitening matrices of the windows whose left edge is at x: one, or as many as V has lanes.
template <typename V, typename S, int G, int Radius>
PYDPST_INLINE void whitening_at(const Row<const S, G>* guide, const Row<S, triangle(G)>& out,
                                double eps, int64_t x) {
  constexpr int size = Window<Radius>::size, side = Window<Radius>::side;
  V difference[size][G], whitening[triangle(G)];
  PYDPST_UNROLL for (int g = 0; g < G; ++g) {
    const V middle = load_double<V>(guide[Radius].channel[g] + x + Radius);
    PYDPST_UNROLL for (int i = 0; i < size; ++i) difference[i][g] =
        load_double<V>(guide[i / side].channel[g] + x + i % side) - middle;
  }
  window_whitening<G, Radius>(difference, eps, whitening);
  for (int plane = 0; plane < triangle(G); ++plane)
    store_double(out.channel[plane] + x, whitening[plane]);
}

template <typename S, int G, int Radius>
void whitening_rows(Planes<const S> image, Planes<S> out, double eps, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Vector<double>::lanes;
  using V = typename Vector<double>::type;
  for (int64_t y = begin; y < end; ++y) {
    Row<const S, G> rows[Window<Radius>::side];
    for (int dy = 0; dy < Window<Radius>::side; ++dy) rows[dy] = {image, 0, y + dy};
    const Row<S, triangle(G)> planes(out, 0, y);
    int64_t x = 0;
    for (; x + lanes <= out.width; x += lanes) whitening_at<V, S, G, Radius>(rows, planes, eps, x);
    for (; x < out.width; ++x) whitening_at<double, S, G, Radius>(rows, planes, eps, x);
  }
}

// Fits the affine models (G slopes and the offset for each channel of p) of the windows with middle
// pixel at x: one, or as many as V has lanes. guide and p are the rows that the windows cover.
template <typename V, typename S, int G, int Channels, int Radius>
PYDPST_INLINE void fit_at(const Row<const S, G>* guide, const Row<const S, Channels>* p,
                          const Row<const S, triangle(G)>& whitening,
                          const Row<S, Channels*(G + 1)>& models, int64_t x) {
  constexpr int size = Window<Radius>::size, side = Window<Radius>::side;
  V difference[size][G], mean[G], window[triangle(G)];
  PYDPST_UNROLL for (int g = 0; g < G; ++g) {
    const V middle = load<V>(guide[Radius].channel[g] + x);
    mean[g] = V{};
    PYDPST_UNROLL for (int i = 0; i < size; ++i) {
      difference[i][g] = load<V>(guide[i / side].channel[g] + x + i % side - Radius) - middle;
      mean[g] += difference[i][g];
    }
    mean[g] *= S(1) / S(size);
  }
  for (int plane = 0; plane < triangle(G); ++plane)
    window[plane] = load<V>(whitening.channel[plane] + x - Radius);
  PYDPST_UNROLL for (int c = 0; c < Channels; ++c) {
    const V middle = load<V>(p[Radius].channel[c] + x);
    V deviation[size], slope[G], offset;
    PYDPST_UNROLL for (int i = 0; i < size; ++i) deviation[i] =
        load<V>(p[i / side].channel[c] + x + i % side - Radius) - middle;
    window_fit<S, G, Radius>(difference, mean, deviation, window, slope, offset);
    PYDPST_UNROLL for (int g = 0; g < G; ++g) store(models.channel[c * (G + 1) + g] + x, slope[g]);
    store(models.channel[c * (G + 1) + G] + x, offset);
  }
}

// The window rows that a row of L p gathers from.
template <typename S, int G, int Channels, int Radius>
struct Gather {
  Row<const S, G> guide, window_guide[Window<Radius>::side];
  Row<const S, Channels> p, window_p[Window<Radius>::side];
  Row<S, Channels*(G + 1)> models[Window<Radius>::side];
  Row<S, Channels> out;
  int rows;
};

// (L p) at pixel x, one or as many as V has lanes, from the windows with middle pixels
// x + first … x + last.
template <typename V, typename S, int G, int Channels, int Radius>
PYDPST_INLINE void gather_at(const Gather<S, G, Channels, Radius>& from, int64_t x, int first,
                             int last) {
  V pixel[G], value[Channels], sum[Channels];
  PYDPST_UNROLL for (int g = 0; g < G; ++g) pixel[g] = load<V>(from.guide.channel[g] + x);
  PYDPST_UNROLL for (int c = 0; c < Channels; ++c) {
    value[c] = load<V>(from.p.channel[c] + x);
    sum[c] = V{};
  }
  for (int row = 0; row < from.rows; ++row) {
    PYDPST_UNROLL for (int dx = first; dx <= last; ++dx) {
      V difference[G];
      PYDPST_UNROLL for (int g = 0; g < G; ++g) difference[g] =
          pixel[g] - load<V>(from.window_guide[row].channel[g] + x + dx);
      PYDPST_UNROLL for (int c = 0; c < Channels; ++c) {
        V slope[G];
        PYDPST_UNROLL for (int g = 0; g < G; ++g) slope[g] =
            load<V>(from.models[row].channel[c * (G + 1) + g] + x + dx);
        sum[c] += window_residual<G>(V(value[c] - load<V>(from.window_p[row].channel[c] + x + dx)),
                                     difference, slope,
                                     load<V>(from.models[row].channel[c * (G + 1) + G] + x + dx));
      }
    }
  }
  PYDPST_UNROLL for (int c = 0; c < Channels; ++c) store(from.out.channel[c] + x, sum[c]);
}

// Rows [begin, end) of L p for Channels channels of p. The models of the 2r + 1 window rows at hand
// live in a ring that stays in the cache.
template <typename S, int G, int Channels, int Radius>
void matvec_rows(Planes<const S> image, Planes<const S> whitening, Planes<const S> p, Planes<S> out,
                 int64_t first_channel, int64_t begin, int64_t end) {
  constexpr int side = Window<Radius>::side, planes = Channels * (G + 1);
  constexpr int64_t lanes = Vector<S>::lanes;
  using V = typename Vector<S>::type;
  const int64_t width = image.width, height = image.height;
  std::vector<S> storage(static_cast<size_t>(planes * side * width));
  const Planes<S> ring{storage.data(), side, width};
  const int64_t left = std::min<int64_t>(2 * Radius, width);
  const int64_t right = std::max<int64_t>(width - 2 * Radius, left);
  int64_t fitted = std::max<int64_t>(begin - Radius, Radius);

  for (int64_t y = begin; y < end; ++y) {
    const int64_t top = std::max<int64_t>(y - Radius, Radius);
    const int64_t bottom = std::min<int64_t>(y + Radius, height - 1 - Radius);
    for (; fitted <= bottom; ++fitted) {
      Row<const S, G> guide[side];
      Row<const S, Channels> signal[side];
      for (int dy = 0; dy < side; ++dy) {
        guide[dy] = {image, 0, fitted - Radius + dy};
        signal[dy] = {p, first_channel, fitted - Radius + dy};
      }
      const Row<const S, triangle(G)> matrices(whitening, 0, fitted - Radius);
      const Row<S, planes> models(ring, 0, fitted % side);
      int64_t x = Radius;
      for (; x + lanes <= width - Radius; x += lanes)
        fit_at<V, S, G, Channels, Radius>(guide, signal, matrices, models, x);
      for (; x < width - Radius; ++x)
        fit_at<S, S, G, Channels, Radius>(guide, signal, matrices, models, x);
    }

    Gather<S, G, Channels, Radius> from{
        {image, 0, y},        {}, {p, first_channel, y}, {}, {}, {out, first_channel, y},
        int(bottom - top + 1)};
    for (int row = 0; row < from.rows; ++row) {
      from.window_guide[row] = {image, 0, top + row};
      from.window_p[row] = {p, first_channel, top + row};
      from.models[row] = {ring, 0, (top + row) % side};
    }
    for (int64_t x = 0; x < width; x = x + 1 == left ? right : x + 1)
      gather_at<S, S, G, Channels, Radius>(from, x, int(std::max<int64_t>(-Radius, Radius - x)),
                                           int(std::min<int64_t>(Radius, width - 1 - Radius - x)));
    int64_t x = left;
    for (; x + lanes <= right; x += lanes)
      gather_at<V, S, G, Channels, Radius>(from, x, -Radius, Radius);
    for (; x < right; ++x) gather_at<S, S, G, Channels, Radius>(from, x, -Radius, Radius);
  }
}

template <typename S>
constexpr Kernels<S> kernels{
    whitening_rows<S, kGuideChannels, kRadius>,
    {matvec_rows<S, kGuideChannels, 1, kRadius>, matvec_rows<S, kGuideChannels, 3, kRadius>}};
