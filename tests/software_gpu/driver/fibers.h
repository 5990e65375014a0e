// Functions that run on stacks of their own and give way to each other: one for each CUDA thread.
#pragma once

#include <cstddef>

namespace gpu {

class Fiber {
 public:
  // Makes the next `resume` call body(argument) on stack number `stack`. `body` must end by `suspend`, and never return.
  void start(size_t stack, void (*body)(void*), void* argument);

  // Continues the fiber. Returns when the fiber suspends itself.
  void resume();

  // Returns from the `resume` that continued the running fiber.
  static void suspend();

 private:
  static void enter();

  void* stackPointer;
  void (*body)(void*);
  void* argument;
};

}  // namespace gpu
