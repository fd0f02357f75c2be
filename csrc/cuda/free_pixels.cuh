// Between vectors of free pixels and planes of an image. A thread has a pixel of a plane.
#pragma once

#include "grid.cuh"

namespace pydpst {
namespace {

// Planes (vectors, pixels) of x (vectors, count), 0 where a pixel's slot is no number of x.
template <typename S>
__global__ void __launch_bounds__(kThreads)
    spread_kernel(const S* x, const int64_t* slots, S* planes, int64_t vectors, int64_t pixels,
                  int64_t count) {
  const int64_t i = item();
  if (i >= vectors * pixels) return;
  const int64_t slot = slots[i % pixels];
  planes[i] = slot >= 0 && slot < count ? x[i / pixels * count + slot] : S(0);
}

// The way back; every slot has at most one pixel.
template <typename S>
__global__ void __launch_bounds__(kThreads)
    collect_kernel(const S* planes, const int64_t* slots, S* x, int64_t vectors, int64_t pixels,
                   int64_t count) {
  const int64_t i = item();
  if (i >= vectors * pixels) return;
  const int64_t slot = slots[i % pixels];
  if (slot >= 0 && slot < count) x[i / pixels * count + slot] = planes[i];
}

}  // namespace
}  // namespace pydpst
