// The loops over pixels of a colour grade for one instruction set. grade.cpp includes this file
// once for each, in a namespace of its own, with PYDPST_VECTOR_BYTES set.
//
// A vector holds neighbouring pixels. D of each region at their means is looked up in tables over
// the knots, and added up over the regions, before it meets a colour.

#include "../grade.h"
#include "lanes.h"

// Where a vector of colours lies between two knots.
template <typename S>
struct BetweenKnots {
  using Index = typename Lanes<S>::Index;
  Index knot;
  Vector<S> fraction;

  PYDPST_INLINE BetweenKnots(const Vector<S>* colour, int64_t knots) {
    const Vector<S> position = knot_position<S>(colour, knots);
    const Index last = Index{} + typename Lanes<S>::Integer(knots > 1 ? knots - 2 : 0);
    knot = __builtin_convertvector(position, Index);
    knot = knot < last ? knot : last;
    fraction = position - __builtin_convertvector(knot, Vector<S>);
  }
};

template <typename S>
PYDPST_INLINE void load_colour(const S* planes, int64_t plane, int64_t count, Vector<S>* out) {
  PYDPST_UNROLL for (int c = 0; c < 3; ++c) { out[c] = load(planes + c * plane, count); }
}

// Adds every Step-th coefficient of a map at the vector's knots, times the pixels' shares.
template <bool Fits, int Step, typename S>
PYDPST_INLINE void add_map(const S* table, int64_t table_size, const BetweenKnots<S>& at,
                           const Vector<S>& share, Vector<S>* matrix) {
  const Vector<S> rise = share * at.fraction;
  PYDPST_UNROLL for (int c = Step - 1; c < kCoefficients; c += Step) {
    matrix[c] += share * look_up<Fits>(table, at.knot);
    matrix[c] += rise * look_up<Fits>(table + table_size, at.knot);
    table += 2 * table_size;
  }
}

// Whether a comparison holds for any pixel of a vector.
template <typename S>
PYDPST_INLINE bool any_lane(const typename Lanes<S>::Index& holds) {
  int64_t words[PYDPST_VECTOR_BYTES / 8], all = 0;
  __builtin_memcpy(words, &holds, sizeof(words));
  PYDPST_UNROLL for (const int64_t word : words) { all |= word; }
  return all != 0;
}

template <bool Fits, typename S>
void grade_pixels(const Graded<S>& graded, int64_t begin, int64_t end) {
  constexpr int lanes = Lanes<S>::count;
  const int64_t table_size = graded.padded_knots, map_size = 2 * kCoefficients * table_size;
  for (int64_t i = begin; i < end; i += lanes) {
    const int64_t count = std::min<int64_t>(lanes, end - i);
    Vector<S> colour[3], change[3], hues[kHues], matrix[kCoefficients] = {};
    load_colour(graded.image + i, graded.pixels, count, colour);
    hue_shares<S>(colour, graded.hues, hues);
    const BetweenKnots<S> at(colour, graded.knots);
    // Neighbours are alike: most hues are nowhere in a vector.
    int64_t found[kHues], some = 0;
    for (int64_t h = 0; h < graded.hues; ++h) {
      if (graded.hues == 1 || any_lane<S>(hues[h] != Vector<S>{})) found[some++] = h;
    }
    for (int64_t r = 0; r < graded.regions; ++r) {
      const Vector<S> mask = load(graded.masks + r * graded.pixels + i, count);
      // Most regions are nowhere in a vector, too.
      if (!any_lane<S>(mask != Vector<S>{})) continue;
      if (graded.offsets) {
        add_map<Fits, 1>(graded.tables + (r * kHues + kHues - 1) * map_size, table_size, at, mask,
                         matrix);
        for (int64_t k = 0; k < some && found[k] < kHues - 1; ++k) {
          const int64_t h = r * (kHues - 1) + found[k];
          add_map<Fits, 4>(graded.offsets + h * map_size / 4, table_size, at, mask * hues[found[k]],
                           matrix);
        }
        continue;
      }
      for (int64_t k = 0; k < some; ++k) {
        add_map<Fits, 1>(graded.tables + (r * graded.hues + found[k]) * map_size, table_size, at,
                         mask * hues[found[k]], matrix);
      }
    }
    transform(matrix, colour, change);
    PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
      const Vector<S> out = graded.add ? colour[c] + change[c] : change[c];
      store(graded.out + c * graded.pixels + i, out, count);
    }
  }
}

// The gradients in the masks and the image.
template <bool Fits, typename S>
void grade_pixel_gradients(const Graded<S>& graded, int64_t begin, int64_t end) {
  constexpr int lanes = Lanes<S>::count;
  const int64_t table_size = graded.padded_knots;
  for (int64_t i = begin; i < end; i += lanes) {
    const int64_t count = std::min<int64_t>(lanes, end - i);
    Vector<S> colour[3], gradient[3], out[3], hues[kHues], of_hues[kHues] = {}, rise = {};
    load_colour(graded.image + i, graded.pixels, count, colour);
    load_colour(graded.grad + i, graded.pixels, count, gradient);
    PYDPST_UNROLL for (int c = 0; c < 3; ++c) { out[c] = graded.add ? gradient[c] : Vector<S>{}; }
    hue_shares<S>(colour, graded.hues, hues);
    const BetweenKnots<S> at(colour, graded.knots);
    const S* table = graded.tables;
    for (int64_t r = 0; r < graded.regions; ++r) {
      const int64_t first = r * graded.pixels + i;
      const Vector<S> mask = load(graded.masks + first, count);
      Vector<S> of_mask = {};
      for (int64_t h = 0; h < graded.hues; ++h) {
        Vector<S> matrix[kCoefficients], slope[kCoefficients], along[4], rising[4];
        PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
          matrix[c] = look_up<Fits>(table, at.knot);
          slope[c] = look_up<Fits>(table + table_size, at.knot);
          table += 2 * table_size;
        }
        pull_back(matrix, gradient, along);
        pull_back(slope, gradient, rising);
        Vector<S> of_share = along[3] + at.fraction * rising[3], of_position = rising[3];
        const Vector<S> share = mask * hues[h];
        PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
          along[c] += at.fraction * rising[c];
          of_share += along[c] * colour[c];
          of_position += rising[c] * colour[c];
          out[c] += share * along[c];
        }
        rise += share * of_position;
        of_mask += hues[h] * of_share;
        of_hues[h] += mask * of_share;
      }
      store(graded.masks_out + first, of_mask, count);
    }
    add_hue_gradient<S>(colour, graded.hues, of_hues, out);
    const Vector<S> of_mean = position_gradient<S>(colour, rise, graded.knots);
    PYDPST_UNROLL for (int c = 0; c < 3; ++c) {
      store(graded.out + c * graded.pixels + i, out[c] + of_mean, count);
    }
  }
}

// Sums in the making: of kKnots knots and kEntries coefficients at a time, which fit into the
// registers, over kVectors vectors of pixels, which stay in the first-level cache.
constexpr int kKnots = 4, kEntries = PYDPST_VECTOR_BYTES == 64 ? 4 : 2, kVectors = 16;

template <typename S>
struct GradePixels {
  Vector<S> colour[kVectors][3], gradient[kVectors][3], entries[kVectors][kCoefficients];
  Vector<S> hues[kVectors][kHues];
  int size = 0;
};

// What the pixels of one region and hue add to the gradients of the coefficients; whether there are
// any.
template <typename S>
PYDPST_INLINE bool fill_entries(GradePixels<S>& pixels, const S* mask, int64_t hue, int64_t count) {
  constexpr int lanes = Lanes<S>::count;
  typename Lanes<S>::Index any = {};
  for (int i = 0; i < pixels.size; ++i) {
    const Vector<S> share =
        load(mask + i * lanes, std::min<int64_t>(lanes, count - i * lanes)) * pixels.hues[i][hue];
    any |= share != Vector<S>{};
    Vector<S> gradient[3];
    PYDPST_UNROLL for (int c = 0; c < 3; ++c) { gradient[c] = share * pixels.gradient[i][c]; }
    PYDPST_UNROLL for (int c = 0; c < kCoefficients; ++c) {
      pixels.entries[i][c] = entry_gradient(c, pixels.colour[i], gradient);
    }
  }
  return any_lane<S>(any);
}

// Adds them to the sums of that region and hue, (groups of knots, 12, kKnots, lanes), each by its
// knots' weights.
template <typename S>
PYDPST_INLINE void add_entries(const GradePixels<S>& pixels, const S* weights, int64_t groups,
                               S* sums) {
  constexpr int lanes = Lanes<S>::count;
  for (int64_t group = 0; group < groups; ++group) {
    for (int first = 0; first < kCoefficients; first += kEntries) {
      Vector<S> block[kEntries][kKnots];
      PYDPST_UNROLL for (int k = 0; k < kEntries * kKnots; ++k) {
        block[k / kKnots][k % kKnots] = load(sums + k * lanes);
      }
      for (int i = 0; i < pixels.size; ++i) {
        const S* weight = weights + (i * groups + group) * kKnots * lanes;
        PYDPST_UNROLL for (int k = 0; k < kKnots; ++k) {
          const Vector<S> w = load(weight + k * lanes);
          PYDPST_UNROLL for (int c = 0; c < kEntries; ++c) {
            block[c][k] += w * pixels.entries[i][first + c];
          }
        }
      }
      PYDPST_UNROLL for (int k = 0; k < kEntries * kKnots; ++k) {
        store(sums, block[k / kKnots][k % kKnots]);
        sums += lanes;
      }
    }
  }
}

// What some pixels add to the gradient in the maps: part is (regions, hues, knots, 12).
template <typename S>
void grade_maps_gradient(const Graded<S>& graded, int64_t begin, int64_t end, double* part) {
  constexpr int lanes = Lanes<S>::count;
  const int64_t groups = (graded.knots + kKnots - 1) / kKnots;
  const int64_t map_sums = groups * kCoefficients * kKnots * lanes;
  const int64_t maps = graded.regions * graded.hues;
  std::vector<S> sums(maps * map_sums), weights(kVectors * groups * kKnots * lanes);
  GradePixels<S> pixels;
  for (int64_t first = begin; first < end; first += kVectors * lanes) {
    const int64_t last = std::min(first + kVectors * lanes, end);
    pixels.size = 0;
    for (int64_t i = first; i < last; i += lanes, ++pixels.size) {
      const int64_t count = std::min<int64_t>(lanes, last - i);
      Vector<S>* colour = pixels.colour[pixels.size];
      load_colour(graded.image + i, graded.pixels, count, colour);
      load_colour(graded.grad + i, graded.pixels, count, pixels.gradient[pixels.size]);
      hue_shares<S>(colour, graded.hues, pixels.hues[pixels.size]);
      const Vector<S> position = knot_position<S>(colour, graded.knots);
      for (int64_t knot = 0; knot < groups * kKnots; ++knot)
        store(&weights[(pixels.size * groups * kKnots + knot) * lanes],
              knot_weight<S>(position, knot));
    }
    for (int64_t k = 0; k < maps; ++k) {
      const S* mask = graded.masks + k / graded.hues * graded.pixels + first;
      // Most regions and hues have no share in most places.
      if (fill_entries(pixels, mask, k % graded.hues, last - first))
        add_entries(pixels, weights.data(), groups, &sums[k * map_sums]);
    }
  }
  for (int64_t i = 0; i < maps * graded.knots * kCoefficients; ++i) {
    const int64_t c = i % kCoefficients, knot = i / kCoefficients % graded.knots;
    const int64_t group = i / (kCoefficients * graded.knots) * groups + knot / kKnots;
    const S* all = &sums[((group * kCoefficients + c) * kKnots + knot % kKnots) * lanes];
    double sum = 0;
    for (int lane = 0; lane < lanes; ++lane) sum += all[lane];
    part[i] = sum;
  }
}

template <typename S>
constexpr GradeKernels<S> grade_kernels{
    Lanes<S>::count,
    {grade_pixels<false, S>, grade_pixels<true, S>},
    {grade_pixel_gradients<false, S>, grade_pixel_gradients<true, S>},
    grade_maps_gradient<S>};
