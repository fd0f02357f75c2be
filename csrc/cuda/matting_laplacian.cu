// The matting Laplacian on CUDA devices: small windows through shared memory, any others by window
// sums.

#include "free_pixels.cuh"
#include "launch.cuh"
#include "small_windows.cuh"
#include "window_sums.cuh"

namespace pydpst {
namespace {

Tensor new_workspace(const Tensor& image, int64_t planes, int64_t radius) {
  const int64_t size = workspace_size(planes, image.size(2), image.size(3), radius);
  return torch::stable::new_empty(image, {size}, ScalarType::Double);
}

struct CudaMatting {
  using Device = CudaDevice;

  template <typename S, int G>
  static void whitening(const Tensor& image, double eps, int64_t radius, Tensor& out) {
    Tensor workspace = new_workspace(image, Whitening<G>::features, radius);
    for (int64_t b = 0; b < image.size(0); ++b)
      whitening_sums<S, G>(Launch(image), read<S>(image, b), eps, write<S>(out, b), image.size(2),
                           image.size(3), radius, workspace.mutable_data_ptr<double>());
  }

  template <typename S, int G>
  static void matvec(const Tensor& image, const Tensor& whitening, const Tensor& p, int64_t radius,
                     Tensor& out) {
    const Launch launch(image);
    const int64_t height = image.size(2), width = image.size(3);
    if (radius <= 2) {
      const auto run =
          radius == 1 ? small_windows<S, G, 1, Launch> : small_windows<S, G, 2, Launch>;
      run(launch, read<S>(image, 0), read<S>(whitening, 0), read<S>(p, 0), write<S>(out, 0),
          p.size(0), p.size(1), height, width);
      return;
    }
    using Op = Product<G, 1>;
    Tensor workspace = new_workspace(image, kWorkspacePlanes<Op>, radius);
    for (int64_t b = 0; b < p.size(0); ++b)
      for (int64_t c = 0; c < p.size(1); ++c)
        window_sums(
            launch,
            InputPlanes<Op, S>{read<S>(image, b), read<S>(p, b) + c * height * width, nullptr},
            read<S>(whitening, b), false, write<S>(out, b) + c * height * width, height, width,
            radius, workspace.mutable_data_ptr<double>());
  }

  // A device is wide enough for all pixels, so tiles only serve the CPU.
  template <typename S, int G>
  static void free_matvec(const Tensor& image, const Tensor& whitening, const Tensor& slots,
                          const Tensor& tiles, const Tensor& x, int64_t radius, Tensor& out) {
    const int64_t pixels = slots.numel(), vectors = x.size(0), count = x.size(1);
    const Launch launch(x);
    const auto run = [&](auto kernel, const Tensor& from, Tensor& to) {
      launch(kernel, blocks_for(vectors * pixels), from.const_data_ptr<S>(),
             slots.const_data_ptr<int64_t>(), to.mutable_data_ptr<S>(), vectors, pixels, count);
    };
    Tensor planes = torch::stable::new_empty(x, {1, vectors, image.size(2), image.size(3)});
    Tensor products = new_like(planes);
    run(spread_kernel<S>, x, planes);
    matvec<S, G>(image, whitening, planes, radius, products);
    run(collect_kernel<S>, products, out);
  }

  template <typename S, int G>
  static void diagonal(const Tensor& image, const Tensor& whitening, int64_t radius, Tensor& out) {
    using Op = Diagonal<G>;
    const int64_t height = image.size(2), width = image.size(3);
    Tensor workspace = new_workspace(image, kWorkspacePlanes<Op>, radius);
    for (int64_t b = 0; b < image.size(0); ++b)
      window_sums(Launch(image), InputPlanes<Op, S>{read<S>(image, b), nullptr, nullptr},
                  read<S>(whitening, b), false, write<S>(out, b), height, width, radius,
                  workspace.mutable_data_ptr<double>());
  }

  template <typename S, int G>
  static void image_gradient(const Tensor& image, const Tensor& whitening, const Tensor& p,
                             const Tensor& q, int64_t radius, Tensor& out) {
    using Op = ImageGradient<G>;
    const int64_t height = image.size(2), width = image.size(3);
    Tensor workspace = new_workspace(image, kWorkspacePlanes<Op>, radius);
    for (int64_t b = 0; b < p.size(0); ++b)
      for (int64_t c = 0; c < p.size(1); ++c)
        window_sums(Launch(image),
                    InputPlanes<Op, S>{read<S>(image, b), read<S>(p, b) + c * height * width,
                                       read<S>(q, b) + c * height * width},
                    read<S>(whitening, b), c > 0, write<S>(out, b), height, width, radius,
                    workspace.mutable_data_ptr<double>());
  }
};

}  // namespace
}  // namespace pydpst

STABLE_TORCH_LIBRARY_IMPL(pydpst, CUDA, library) {
  library.impl("matting_whitening", TORCH_BOX(&pydpst::matting_whitening<pydpst::CudaMatting>));
  library.impl("matting_matvec", TORCH_BOX(&pydpst::matting_matvec<pydpst::CudaMatting>));
  library.impl("matting_free_matvec", TORCH_BOX(&pydpst::matting_free_matvec<pydpst::CudaMatting>));
  library.impl("matting_diagonal", TORCH_BOX(&pydpst::matting_diagonal<pydpst::CudaMatting>));
  library.impl("matting_image_gradient",
               TORCH_BOX(&pydpst::matting_image_gradient<pydpst::CudaMatting>));
}

#define PYDPST_TEXT(...) #__VA_ARGS__
#define PYDPST_EXPANDED_TEXT(...) PYDPST_TEXT(__VA_ARGS__)

// For `pydpst info`: the toolkit and the architectures of this build.
extern "C" __attribute__((visibility("default"))) const char* pydpst_cuda_contents() {
  return "CUDA " PYDPST_EXPANDED_TEXT(__CUDACC_VER_MAJOR__) "." PYDPST_EXPANDED_TEXT(
      __CUDACC_VER_MINOR__) ", architectures " PYDPST_EXPANDED_TEXT(__CUDA_ARCH_LIST__);
}
