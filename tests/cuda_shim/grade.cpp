// Runs the CUDA kernels of grade_change under cuda_shim.h.

// clang-format off: the kernels need the shim before them
#include "cuda_shim.h"
#include "grade.cuh"
// clang-format on

using namespace pydpst;

struct Request {
  GradeShape shape;
  int64_t add;
};

template <typename S>
void run(const Launch& launch, const Request& request) {
  const GradeShape& shape = request.shape;
  const bool add = request.add != 0;
  const auto maps = read_array<S>(shape.coefficients());
  const auto masks = read_array<S>(shape.regions * shape.pixels());
  const auto image = read_array<S>(3 * shape.pixels()), grad = read_array<S>(image.size());
  std::vector<S> out(image.size()), maps_out(maps.size()), masks_out(masks.size());
  std::vector<S> image_out(image.size()), parts(grade_parts(shape) * maps.size());
  launch_change(launch, shape, maps.data(), masks.data(), image.data(), add, out.data());
  launch_maps_gradient(launch, shape, grad.data(), masks.data(), image.data(), maps_out.data(),
                       parts.data());
  launch_pixel_gradients(launch, shape, grad.data(), maps.data(), masks.data(), image.data(), add,
                         masks_out.data(), image_out.data());
  write_array(out);
  write_array(maps_out);
  write_array(masks_out);
  write_array(image_out);
}

int main() {
  return answer<Request>(kThreads, []<typename S>(const Launch& launch, const Request& request) {
    run<S>(launch, request);
  });
}
