// Runs the CUDA kernels of the matting Laplacian under cuda_shim.h.

#include "cuda_shim.h"
#include "small_windows.cuh"
#include "window_sums.cuh"

using namespace pydpst;

struct Request {
  int64_t operation, guide_channels, batch, channels, height, width, radius;
  double eps;
};

template <typename S, int G>
void run(const Launch& launch, const Request& request) {
  const auto& [operation, guide_channels, batch, channels, height, width, radius, eps] = request;
  const int64_t plane = height * width;
  const int64_t windows = (height - 2 * radius) * (width - 2 * radius);
  const std::vector<S> image = read_array<S>(batch * G * plane);
  const auto workspace = [&](int64_t planes) {
    return std::vector<double>(workspace_size(planes, height, width, radius));
  };

  std::vector<S> whitening(batch * triangle(G) * windows), out;
  if (operation == 0) {
    auto space = workspace(Whitening<G>::features);
    for (int64_t b = 0; b < batch; ++b)
      whitening_sums<S, G>(launch, &image[b * G * plane], eps,
                           &whitening[b * triangle(G) * windows], height, width, radius,
                           space.data());
    out = whitening;
  } else {
    whitening = read_array<S>(whitening.size());
    const std::vector<S> p = read_array<S>(batch * channels * plane);
    if (operation == 1) {
      out.resize(p.size());
      const auto small =
          radius == 1 ? small_windows<S, G, 1, Launch> : small_windows<S, G, 2, Launch>;
      small(launch, image.data(), whitening.data(), p.data(), out.data(), batch, channels, height,
            width);
    } else if (operation == 2) {
      using Op = Product<G, 1>;
      out.resize(p.size());
      auto space = workspace(kWorkspacePlanes<Op>);
      for (int64_t i = 0; i < batch * channels; ++i)
        window_sums(launch,
                    InputPlanes<Op, S>{&image[i / channels * G * plane], &p[i * plane], nullptr},
                    &whitening[i / channels * triangle(G) * windows], false, &out[i * plane],
                    height, width, radius, space.data());
    } else if (operation == 3) {
      using Op = Diagonal<G>;
      out.resize(batch * plane);
      auto space = workspace(kWorkspacePlanes<Op>);
      for (int64_t b = 0; b < batch; ++b)
        window_sums(launch, InputPlanes<Op, S>{&image[b * G * plane], nullptr, nullptr},
                    &whitening[b * triangle(G) * windows], false, &out[b * plane], height, width,
                    radius, space.data());
    } else {
      using Op = ImageGradient<G>;
      const std::vector<S> q = read_array<S>(p.size());
      out.resize(image.size());
      auto space = workspace(kWorkspacePlanes<Op>);
      for (int64_t i = 0; i < batch * channels; ++i)
        window_sums(
            launch,
            InputPlanes<Op, S>{&image[i / channels * G * plane], &p[i * plane], &q[i * plane]},
            &whitening[i / channels * triangle(G) * windows], i % channels > 0,
            &out[i / channels * G * plane], height, width, radius, space.data());
    }
  }
  write_array(out);
}

int main() {
  return answer<Request>(kThreads, []<typename S>(const Launch& launch, const Request& request) {
    request.guide_channels == 1 ? run<S, 1>(launch, request) : run<S, 3>(launch, request);
  });
}
