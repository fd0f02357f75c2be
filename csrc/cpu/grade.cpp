// A colour grade by region on the CPU, for three instruction sets, chosen at run time. The gradient
// in the maps is summed over parts of the image that do not depend on the number of threads, in one
// fixed order.

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "../operators.h"
#include "processor.h"

namespace pydpst {
namespace {

// One sample of a batch. tables is (regions, hues, 12, 2, padded knots): of each coefficient of D
// its values at the knots, and how much it rises from each to the next. Where maps differ from that
// of grey by offsets only, offsets is (regions, hues but grey, 3, 2, padded knots), the
// differences.
template <typename S>
struct Graded {
  const S *tables, *offsets, *masks, *image, *grad;
  S *out, *masks_out;
  int64_t pixels, regions, hues, knots, padded_knots;
  bool add;  // the image
};

// The loops over pixels for one instruction set; the second of a pair is for tables of one vector.
template <typename S>
struct GradeKernels {
  using Pixels = void (*)(const Graded<S>&, int64_t begin, int64_t end);
  int64_t lanes;
  Pixels apply[2], pixel_gradients[2];
  void (*maps_gradient)(const Graded<S>&, int64_t begin, int64_t end, double* part);
};

#define PYDPST_KERNELS "grade_pixels.h"
#include "instruction_sets.h"

using baseline::kCoefficients;

template <typename S>
const GradeKernels<S>& grade_kernels() {
#if PYDPST_X86
  // Doubles are for checks.
  if constexpr (std::is_same_v<S, float>) {
    if (has_avx512()) return avx512::grade_kernels<S>;
    if (has_avx2()) return avx2::grade_kernels<S>;
  }
#endif
  return baseline::grade_kernels<S>;
}

// Parts of an image are of so many pixels, few enough for their sums to be short.
constexpr int64_t kPart = 1 << 14;

// What the samples of a batch share.
template <typename S>
class GradedBatch {
 public:
  GradedBatch(const Tensor& masks, const Tensor& image, int64_t hues, int64_t knots)
      : masks_(masks.const_data_ptr<S>()),
        image_(image.const_data_ptr<S>()),
        samples_(image.size(0)),
        pixels_(image.size(2) * image.size(3)),
        regions_(masks.size(1)),
        hues_(hues),
        knots_(knots),
        padded_knots_((knots + kernels.lanes - 1) / kernels.lanes * kernels.lanes) {}

  void read_maps(const Tensor& maps) {
    tables_.resize(samples_ * regions_ * hues_ * kCoefficients * 2 * padded_knots_);
    const S* from = maps.const_data_ptr<S>();
    for (int64_t i = 0; i < samples_ * regions_ * hues_ * knots_; ++i) {
      S* table = &tables_[i / knots_ * kCoefficients * 2 * padded_knots_];
      const int64_t knot = i % knots_;
      for (int64_t c = 0; c < kCoefficients; ++c, table += 2 * padded_knots_) {
        table[knot] = *from++;
        if (knot > 0) table[padded_knots_ + knot - 1] = table[knot] - table[knot - 1];
      }
    }
  }

  // For maps that were read: whether hues differ by offsets only, and these.
  void part_offsets() {
    const int64_t grey = baseline::kHues - 1, row = 2 * padded_knots_;
    if (hues_ == 1) return;
    offsets_.resize(samples_ * regions_ * grey * 3 * row);
    S* to = offsets_.data();
    for (int64_t i = 0; i < samples_ * regions_ * grey * kCoefficients; ++i) {
      const int64_t c = i % kCoefficients, map = i / kCoefficients;
      const S* own = &tables_[((map / grey * hues_ + map % grey) * kCoefficients + c) * row];
      const S* other = &tables_[((map / grey * hues_ + grey) * kCoefficients + c) * row];
      if (c % 4 == 3) {
        for (int64_t k = 0; k < row; ++k) *to++ = own[k] - other[k];
      } else if (!std::equal(own, own + row, other)) {
        offsets_.clear();
        return;
      }
    }
  }

  Graded<S> sample(int64_t b) const {
    return {tables_.data() + b * regions_ * hues_ * kCoefficients * 2 * padded_knots_,
            offsets_.empty() ? nullptr
                             : offsets_.data() + b * regions_ * (hues_ - 1) * 6 * padded_knots_,
            masks_ + b * regions_ * pixels_,
            image_ + b * 3 * pixels_,
            nullptr,
            nullptr,
            nullptr,
            pixels_,
            regions_,
            hues_,
            knots_,
            padded_knots_,
            false};
  }

  // Calls work(part's number, sample, first pixel, the one after the last), in parallel.
  template <typename Work>
  void for_parts(const Work& work) const {
    torch::stable::parallel_for(0, samples_ * parts(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % parts() * kPart;
        work(i, i / parts(), first, std::min(first + kPart, pixels_));
      }
    });
  }

  int64_t parts() const { return (pixels_ + kPart - 1) / kPart; }
  // Whether a table is as long as one vector.
  bool fits() const { return padded_knots_ == kernels.lanes; }

  const GradeKernels<S>& kernels = grade_kernels<S>();

 private:
  const S *masks_, *image_;
  int64_t samples_, pixels_, regions_, hues_, knots_, padded_knots_;
  std::vector<S> tables_, offsets_;
};

struct CpuGrade {
  using Device = HostDevice;

  template <typename S>
  static void change(const Tensor& maps, const Tensor& masks, const Tensor& image, bool add,
                     Tensor& out) {
    use_huge_pages(out);
    GradedBatch<S> batch(masks, image, maps.size(2), maps.size(3));
    batch.read_maps(maps);
    batch.part_offsets();
    batch.for_parts([&](int64_t, int64_t b, int64_t begin, int64_t end) {
      Graded<S> graded = batch.sample(b);
      graded.add = add;
      graded.out = write<S>(out, b);
      batch.kernels.apply[batch.fits()](graded, begin, end);
    });
  }

  template <typename S>
  static void maps_gradient(const Tensor& grad, const Tensor& masks, const Tensor& image,
                            Tensor& out) {
    const GradedBatch<S> batch(masks, image, out.size(2), out.size(3));
    const int64_t samples = out.size(0),
                  size = out.size(1) * out.size(2) * out.size(3) * kCoefficients;
    std::vector<double> parts(samples * batch.parts() * size);
    batch.for_parts([&](int64_t part, int64_t b, int64_t begin, int64_t end) {
      Graded<S> graded = batch.sample(b);
      graded.grad = read<S>(grad, b);
      batch.kernels.maps_gradient(graded, begin, end, &parts[part * size]);
    });
    for (int64_t i = 0; i < samples * size; ++i) {
      double sum = 0;
      for (int64_t part = 0; part < batch.parts(); ++part)
        sum += parts[(i / size * batch.parts() + part) * size + i % size];
      out.mutable_data_ptr<S>()[i] = S(sum);
    }
  }

  template <typename S>
  static void pixel_gradients(const Tensor& grad, const Tensor& maps, const Tensor& masks,
                              const Tensor& image, bool add, Tensor& masks_out, Tensor& image_out) {
    use_huge_pages(masks_out);
    use_huge_pages(image_out);
    GradedBatch<S> batch(masks, image, maps.size(2), maps.size(3));
    batch.read_maps(maps);
    batch.for_parts([&](int64_t, int64_t b, int64_t begin, int64_t end) {
      Graded<S> graded = batch.sample(b);
      graded.grad = read<S>(grad, b);
      graded.add = add;
      graded.out = write<S>(image_out, b);
      graded.masks_out = write<S>(masks_out, b);
      batch.kernels.pixel_gradients[batch.fits()](graded, begin, end);
    });
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CPU, library) {
  library.impl("grade_change", TORCH_BOX(&pydpst::grade_change<pydpst::CpuGrade>));
  library.impl("grade_change_maps_gradient",
               TORCH_BOX(&pydpst::grade_change_maps_gradient<pydpst::CpuGrade>));
  library.impl("grade_change_pixel_gradients",
               TORCH_BOX(&pydpst::grade_change_pixel_gradients<pydpst::CpuGrade>));
}
