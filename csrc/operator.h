// What every operator does before and after its kernels, the same for both back ends.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

namespace pydpst {

using torch::headeronly::ScalarType;
using torch::stable::contiguous;
using torch::stable::Tensor;

// An uninitialised tensor like another.
inline Tensor new_like(const Tensor& tensor) {
  return torch::stable::new_empty(tensor, tensor.sizes());
}

// Calls body<S>() for the type of a tensor, which is known to be float32 or float64.
template <typename Body>
void for_type(const Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == ScalarType::Float)
    body.template operator()<float>();
  else
    body.template operator()<double>();
}

}  // namespace pydpst
