// What the kernels of the matting Laplacian know of a call, and the memory of a tile.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace pydpst {

// One sample of a batch: where its planes are. With slots, p and out are not planes but vectors of
// so many numbers, and slots say which of them a pixel is; any other is 0.
template <typename S>
struct Call {
  const S *image, *whitening, *p, *q;
  S* out;
  int64_t height, width, plane, radius;
  double eps;
  bool add;  // to what is in out
  const int64_t* slots;
  int64_t count;

  bool has(int64_t slot) const { return slot >= 0 && slot < count; }
};

struct Tile {
  int64_t top, bottom, left, right;
};

// Zeros, aligned to cache lines.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<T*>(operator new(size * sizeof(T), kAlignment))) {
    std::memset(data_.get(), 0, size * sizeof(T));
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(T* data) const { operator delete(data, kAlignment); }
  };
  std::unique_ptr<T, Delete> data_;
};

// A row length of whole cache lines of T, and an odd number of them: then the rows of several
// quantities do not compete for the same places in the cache.
template <typename T>
constexpr int64_t padded(int64_t length) {
  constexpr int64_t line = 64 / sizeof(T);
  return ((length + line - 1) / line | 1) * line;
}

// Products for windows of this radius have loops of their own.
constexpr int kSmallRadius = 1;

// The loops over a tile for G channels of the guide, for the processor at hand.
template <typename S>
struct TileLoops {
  using Loop = void (*)(const Call<S>&, const Tile&);
  // The products are for one channel of p and for as many as the guide has.
  Loop whitening, product[2], small_product[2], diagonal, image_gradient;
};
template <typename S, int G>
const TileLoops<S>& tile_loops();

// L p on a tile for windows of radius 1, in single precision, for 1 or 3 channels of p and so many
// of the guide. Tiles are at most so large: rows are long, as memory likes them, and those that are
// at work at a time stay in the second-level cache.
constexpr int64_t kSingleWidth = 1024, kSingleHeight = 128;
void single_product(const Call<float>& call, const Tile& tile, int64_t channels, int64_t guide);

}  // namespace pydpst
