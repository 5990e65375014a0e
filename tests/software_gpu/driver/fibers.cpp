#include "fibers.h"

#include <sys/mman.h>

#include <cstdlib>
#include <vector>

// Pushes the registers that a function must keep, saves the stack pointer in *from, and continues at the place where the stack
// pointer `to` was saved. The C library's swapcontext does the same, but is a hundred times slower, because it makes two system
// calls.
extern "C" void softwareGpuSwitch(void** from, void* to);
asm(R"(
.text
.globl softwareGpuSwitch
.hidden softwareGpuSwitch
.type softwareGpuSwitch,@function
softwareGpuSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size softwareGpuSwitch,.-softwareGpuSwitch
)");

namespace gpu {

static const size_t STACK_BYTES = 64 << 10, STACKS_AT_ONCE = 256, SAVED_REGISTERS = 6;

static void* resumer;  // the stack pointer of the function that called `resume`
static Fiber* running;

// Returns the address after a stack's last byte, because stacks grow downwards. The memory of a stack is never freed.
static char* topOfStack(size_t number) {
  static std::vector<char*> tops;
  while (tops.size() <= number) {
    const size_t bytes = STACK_BYTES * STACKS_AT_ONCE;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) abort();
    for (size_t k = 1; k <= STACKS_AT_ONCE; k++) tops.push_back(static_cast<char*>(memory) + STACK_BYTES * k);
  }
  return tops[number];
}

void Fiber::enter() {
  running->body(running->argument);
  abort();
}

void Fiber::start(size_t stack, void (*body)(void*), void* argument) {
  this->body = body;
  this->argument = argument;
  void** top = reinterpret_cast<void**>(topOfStack(stack));
  *--top = nullptr;  // instead of a return address, so that the stack of `enter` is aligned as after a call
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  for (size_t k = 0; k < SAVED_REGISTERS; k++) *--top = nullptr;
  stackPointer = top;
}

void Fiber::resume() {
  running = this;
  softwareGpuSwitch(&resumer, stackPointer);
}

void Fiber::suspend() {
  softwareGpuSwitch(&running->stackPointer, resumer);
}

}  // namespace gpu
