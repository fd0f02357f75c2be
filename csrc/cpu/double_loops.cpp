// The loops over a tile in double precision.

#include "tile_loops.h"

namespace pydpst {
template const TileLoops<double>& tile_loops<double, 1>();
template const TileLoops<double>& tile_loops<double, 3>();
}  // namespace pydpst
