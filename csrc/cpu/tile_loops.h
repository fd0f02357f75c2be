// The loops over a tile in precision S, compiled for three instruction sets on x86-64 and chosen at
// run time, so that the build needs no -march. A file for each S includes this: two compile side by
// side.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "processor.h"
#include "tile.h"

#define PYDPST_INLINE_LAMBDA __attribute__((always_inline))

namespace pydpst {
namespace {
#define PYDPST_KERNELS "tile_loops_of_set.h"
#include "instruction_sets.h"
}  // namespace

template <typename S, int G>
const TileLoops<S>& tile_loops() {
#if PYDPST_X86
  if (has_avx512()) return avx512::loops<S, G>;
  if (has_avx2()) return avx2::loops<S, G>;
#endif
  return baseline::loops<S, G>;
}

}  // namespace pydpst
