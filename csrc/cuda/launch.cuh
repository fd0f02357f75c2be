// How kernels are launched on torch's tensors.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include "../operators.h"
#include "grid.cuh"

namespace pydpst {
namespace {

// What operators.h asks of a back end.
class CudaDevice {
 public:
  explicit CudaDevice(const Tensor& tensor) : guard_(tensor.get_device_index()) {}

 private:
  torch::stable::accelerator::DeviceGuard guard_;
};

// Launches kernels of kThreads threads a block on the caller's stream of a tensor's device.
class Launch {
 public:
  explicit Launch(const Tensor& tensor) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) const {
    STD_TORCH_CHECK(blocks <= 0x7fffffff, "the image has too many pixels for one launch: ", blocks,
                    " blocks");
    if (blocks == 0) return;
    kernel<<<unsigned(blocks), kThreads, 0, stream_>>>(arguments...);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

 private:
  cudaStream_t stream_;
};

// A tensor's data, from one sample on.
template <typename S>
const S* read(const Tensor& tensor, int64_t sample) {
  return tensor.const_data_ptr<S>() + sample * tensor.stride(0);
}

template <typename S>
S* write(Tensor& tensor, int64_t sample) {
  return tensor.mutable_data_ptr<S>() + sample * tensor.stride(0);
}

}  // namespace
}  // namespace pydpst
