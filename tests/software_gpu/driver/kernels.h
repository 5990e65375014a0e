// The interface between the driver and translated kernels. The headers arithmetic.h and access.h build on it; translation/
// writes code that includes all three.
#pragma once

#include <cstdint>

namespace gpu {

struct Allocation;

// An instruction that accesses memory or waits. It keeps the allocation of its last access, in which the next one mostly lies.
struct Site {
  const char* text;  // the line of the PTX
  uint64_t low, high;
  Allocation* allocation;
};

struct Grid {
  uint32_t threads[3], blocks[3];
  uint32_t dynamicBytes, dynamicAt, sharedEnd;
  const uint8_t* parameters;
};

// Whether a byte of memory has a value. A byte is in flight from the start of an asynchronous copy until it is awaited.
enum : uint8_t { UNDEFINED = 0, DEFINED = 1, IN_FLIGHT = 2 };

// Four bytes of shared memory: who wrote and read them last. An epoch is the time between two barriers of the block.
struct SharedWord {
  uint8_t states[4];
  uint32_t writeEpoch, readEpoch;
  uint16_t writeThread, readThread;
};

struct Block {
  Grid* grid;
  uint32_t index[3];
  uint32_t linear, epoch;
  uint8_t* shared;  // shared[address], for addresses from SHARED_BEGIN on
  SharedWord* words;
};

struct Thread {
  Block* block;
  uint32_t index[3];
  uint32_t linear;
};

const uint32_t SHARED_BEGIN = 1024;  // compute capability 9.0 keeps the first KiB of shared memory for itself
const uint16_t SEVERAL = 0xFFFF;     // in place of a thread: several threads read in this epoch

struct Parameter {
  uint32_t offset, bytes;
};

struct KernelInfo {
  const char *name, *title;  // the name in the PTX, and a readable one
  void (*run)(Thread*);
  const Parameter* parameters;
  uint32_t parameterCount, parameterBytes, staticBytes, dynamicAt, maximalThreads, registers, localBytes;
};

struct ModuleInfo {
  const KernelInfo* kernels;
  uint32_t kernelCount;
  Site* sites;
  uint32_t siteCount;
};

// Read and Write are plain accesses. Atomic reads and writes in one step. A Look is a load with acquire semantics.
enum class Access { Read, Write, Atomic, Look };

// The functions of the driver that kernels call. Those marked with [[noreturn]] end the launch.
#define CALLED_BY_KERNELS __attribute__((visibility("default")))

// Waits until all threads of the block have called it.
CALLED_BY_KERNELS void barrier(Thread* thread, Site* site);
// Makes `site` know the allocation that the access lies in, and ends the launch if there is none.
CALLED_BY_KERNELS void locate(Thread* thread, Site* site, uint64_t address, uint32_t bytes);
// Records an access to global memory, and reports races and values that nobody has written.
CALLED_BY_KERNELS void note(Thread* thread, Site* site, uint64_t address, uint32_t bytes, Access access);
// The same for shared memory, which the kernels record themselves: reports an access to a word.
CALLED_BY_KERNELS void reportShared(Thread* thread, Site* site, uint64_t address, const char* fault);
// Ends the launch as a GPU would.
[[noreturn]] CALLED_BY_KERNELS void misaligned(Thread* thread, Site* site, uint64_t address, uint32_t bytes);
[[noreturn]] CALLED_BY_KERNELS void outsideShared(Thread* thread, Site* site, uint64_t address, uint32_t bytes);
[[noreturn]] CALLED_BY_KERNELS void outsideLocal(Thread* thread, Site* site, uint64_t address, uint32_t bytes, uint32_t size);
// All that a block did before the barrier before its `release` happens before all that another block does after the barrier
// that follows its `look` at the same address. `look` returns the value there. It waits if the thread has just looked at that
// value.
CALLED_BY_KERNELS void release(Thread* thread, uint64_t address);
CALLED_BY_KERNELS uint32_t look(Thread* thread, Site* site, uint64_t address);
// Starts an asynchronous copy, and waits for all those that the thread has started.
CALLED_BY_KERNELS void copyLater(Thread* thread, Site* site, uint64_t shared, uint64_t global, uint32_t bytes);
CALLED_BY_KERNELS void awaitCopies(Thread* thread, Site* site);

}  // namespace gpu
