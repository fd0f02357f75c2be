// Products with sparse matrices of small blocks on CUDA devices.

#include "ellpack.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

template <typename S>
Tensor ellpack(const Tensor& blocks, const Tensor& columns, const Tensor& x) {
  Tensor out = torch::stable::new_empty(x, {x.size(0), blocks.size(0), blocks.size(2)});
  ellpack_product(Launch(x), blocks.const_data_ptr<S>(), columns.const_data_ptr<int64_t>(),
                  x.const_data_ptr<double>(), out.mutable_data_ptr<double>(), blocks.size(2),
                  blocks.size(3), blocks.size(0), blocks.size(1), x.size(0), x.size(1));
  return out;
}

Tensor ellpack_matvec(const Tensor& blocks, const Tensor& columns, const Tensor& x) {
  check_ellpack(blocks, columns, x);
  const torch::stable::accelerator::DeviceGuard device(x.get_device_index());
  const auto run = blocks.scalar_type() == ScalarType::Float ? ellpack<float> : ellpack<double>;
  return run(torch::stable::contiguous(blocks), torch::stable::contiguous(columns),
             torch::stable::contiguous(x));
}

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("ellpack_matvec", TORCH_BOX(&pydpst::ellpack_matvec));
}
