// L p for windows of radius 1 in single precision, for three instruction sets, chosen at run time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "processor.h"
#include "tile.h"

namespace pydpst {
namespace {

#define PYDPST_KERNELS "single_tile.h"
#include "instruction_sets.h"

}  // namespace

void single_product(const Call<float>& call, const Tile& tile, int64_t channels, int64_t guide) {
#if PYDPST_X86
  if (has_avx512()) return avx512::single_tile(call, tile, channels, guide);
  if (has_avx2()) return avx2::single_tile(call, tile, channels, guide);
#endif
  baseline::single_tile(call, tile, channels, guide);
}

}  // namespace pydpst
