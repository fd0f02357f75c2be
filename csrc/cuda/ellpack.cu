// Products with sparse matrices of small blocks on CUDA devices.

#include "ellpack.cuh"
#include "launch.cuh"

namespace pydpst {
namespace {

struct CudaEllpack {
  using Device = CudaDevice;

  template <typename S>
  static void product(const Tensor& blocks, const Tensor& columns, const Tensor& x, Tensor& out) {
    ellpack_product(Launch(x), blocks.const_data_ptr<S>(), columns.const_data_ptr<int64_t>(),
                    x.const_data_ptr<double>(), out.mutable_data_ptr<double>(), blocks.size(2),
                    blocks.size(3), blocks.size(0), blocks.size(1), x.size(0), x.size(1));
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("ellpack_matvec", TORCH_BOX(&pydpst::ellpack_matvec<pydpst::CudaEllpack>));
}
