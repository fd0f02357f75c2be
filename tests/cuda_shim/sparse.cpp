// Runs the CUDA kernels of sparse products and of free pixels under cuda_shim.h.

// clang-format off: the kernels need the shim before them
#include "cuda_shim.h"
#include "ellpack.cuh"
#include "free_pixels.cuh"
// clang-format on

using namespace pydpst;

struct Request {
  int64_t operation, a, b, rows, count, vectors, size;
};

template <typename S>
std::vector<double> product(const Launch& launch, const Request& r) {
  const auto blocks = read_array<S>(r.rows * r.count * r.a * r.b);
  const auto columns = read_array<int64_t>(r.rows * r.count);
  const auto x = read_array<double>(r.vectors * r.size * r.b);
  std::vector<double> out(r.vectors * r.rows * r.a);
  ellpack_product(launch, blocks.data(), columns.data(), x.data(), out.data(), r.a, r.b, r.rows,
                  r.count, r.vectors, r.size);
  return out;
}

// To the planes, of so many rows as there are pixels, and back; both.
std::vector<double> there_and_back(const Launch& launch, const Request& r) {
  const auto slots = read_array<int64_t>(r.rows);
  const auto x = read_array<double>(r.vectors * r.size);
  std::vector<double> planes(r.vectors * r.rows), back(x.size());
  const int64_t blocks = blocks_for(planes.size());
  launch(spread_kernel<double>, blocks, x.data(), slots.data(), planes.data(), r.vectors, r.rows,
         r.size);
  launch(collect_kernel<double>, blocks, planes.data(), slots.data(), back.data(), r.vectors,
         r.rows, r.size);
  planes.insert(planes.end(), back.begin(), back.end());
  return planes;
}

int main() {
  return answer<Request>(kThreads, []<typename S>(const Launch& launch, const Request& request) {
    write_array(request.operation == 1 ? there_and_back(launch, request)
                                       : product<S>(launch, request));
  });
}
