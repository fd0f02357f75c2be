// The loops over a tile for one instruction set. tile_loops.h includes this file once for each, in
// a namespace of its own, with PYDPST_VECTOR_BYTES set.

#include "any_radius.h"
#include "small_radius.h"

template <typename S, int G>
constexpr TileLoops<S> loops{
    whitening_tile<S, G>,
    {gather_tile<Product<G, 1>, S>, gather_tile<Product<G, G>, S>},
    {small_tile<Product<G, 1>, S, kSmallRadius>, small_tile<Product<G, G>, S, kSmallRadius>},
    gather_tile<Diagonal<G>, S>,
    gather_tile<ImageGradient<G>, S>};
