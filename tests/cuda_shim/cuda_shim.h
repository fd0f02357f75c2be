// Enough of CUDA to run kernels on the CPU: a test-only stand-in that finds indexing, halo and
// synchronisation mistakes without a GPU.
//
// The threads of a block are fibers that run one after the other, each as far as the next
// __syncthreads(), in rising or in falling order. So where a barrier is missing, a thread reads
// what another has not yet written in at least one of the two orders, every time.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(threads)
#define __shared__ static

struct Index {
  unsigned x;
};
inline Index threadIdx, blockIdx;

namespace shim {

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  unsigned thread;
  bool done;
};
inline ucontext_t scheduler;
inline Fiber* running;
inline std::function<void()> body;

inline void start() {
  body();
  running->done = true;
}

// Lets every fiber run to its next barrier, or to its end; whether any has not ended.
inline bool step(std::vector<Fiber>& fibers) {
  for (Fiber& fiber : fibers) {
    if (fiber.done) continue;
    running = &fiber;
    threadIdx.x = fiber.thread;
    swapcontext(&scheduler, &fiber.context);
  }
  return !std::all_of(fibers.begin(), fibers.end(), [](const Fiber& fiber) { return fiber.done; });
}

}  // namespace shim

inline void __syncthreads() { swapcontext(&shim::running->context, &shim::scheduler); }

// Does what a launch with <<<blocks, threads>>> does.
struct Launch {
  unsigned threads;
  bool falling;

  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) const {
    shim::body = [=] { kernel(arguments...); };
    std::vector<shim::Fiber> fibers(threads);
    for (int64_t block = 0; block < blocks; ++block) {
      blockIdx.x = unsigned(block);
      for (unsigned i = 0; i < threads; ++i) {
        shim::Fiber& fiber = fibers[i];
        fiber.thread = falling ? threads - 1 - i : i;
        fiber.done = false;
        getcontext(&fiber.context);
        fiber.context.uc_link = &shim::scheduler;
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, shim::start, 0);
      }
      while (shim::step(fibers)) {
      }
    }
  }
};

// What a test program is sent: whether the kernels are to be run in double, and the threads in
// falling order; a request of the program's own; and the arrays, each exactly as large as it must
// be, so that the address sanitizer sees an index that is off by one.
template <typename S>
std::vector<S> read_array(int64_t size) {
  std::vector<S> values(size);
  if (size > 0 && std::fread(values.data(), sizeof(S), size, stdin) != size_t(size)) std::exit(3);
  return values;
}

// And what it answers.
template <typename S>
void write_array(const std::vector<S>& values) {
  if (!values.empty()) std::fwrite(values.data(), sizeof(S), values.size(), stdout);
}

// Calls body<S>(launch, request).
template <typename Request, typename Body>
int answer(unsigned threads, const Body& body) {
  const auto options = read_array<int64_t>(2);
  const Launch launch{threads, options[1] != 0};
  const Request request = read_array<Request>(1)[0];
  if (options[0])
    body.template operator()<double>(launch, request);
  else
    body.template operator()<float>(launch, request);
  return 0;
}
