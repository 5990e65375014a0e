// A fiber is a function that runs on a stack of its own, until it suspends itself. Each CUDA thread is a fiber.
#pragma once

#include <cstddef>

namespace gpu {

class Fiber {
 public:
  // After `start`, the next `resume` calls body(argument) on stack number `stack`. `body` must never return; instead, its last
  // call must be `suspend`.
  void start(size_t stack, void (*body)(void*), void* argument);

  // Continues the fiber, and returns when the fiber suspends itself.
  void resume();

  // Suspends the running fiber: the `resume` that continued the fiber returns.
  static void suspend();

 private:
  static void enter();

  void* stackPointer;
  void (*body)(void*);
  void* argument;
};

}  // namespace gpu
