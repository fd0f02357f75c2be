// The loops over a tile in single precision.

#include "tile_loops.h"

namespace pydpst {
template const TileLoops<float>& tile_loops<float, 1>();
template const TileLoops<float>& tile_loops<float, 3>();
}  // namespace pydpst
