// The interface between the driver and translated kernels. The headers arithmetic.h and access.h include this header. The code
// that translation/ writes includes all three headers.
#pragma once

#include <cstdint>

namespace gpu {

struct Allocation;

// An instruction that accesses memory or waits. A site keeps the allocation of the instruction's last access, because the next
// access is mostly in the same allocation.
struct Site {
  const char* text;  // the instruction's line in the PTX
  uint64_t low, high;
  Allocation* allocation;
};

struct Grid {
  uint32_t threads[3], blocks[3];
  uint32_t dynamicBytes, dynamicAt, sharedEnd;
  const uint8_t* parameters;
};

// The states of a byte of memory. A byte is in flight from the start of an asynchronous copy until a thread has waited for the
// copy.
enum : uint8_t { UNDEFINED = 0, DEFINED = 1, IN_FLIGHT = 2 };

// The states of four bytes of shared memory, and the last threads that wrote and read these bytes. An epoch is the time between
// two barriers of the block.
struct SharedWord {
  uint8_t states[4];
  uint32_t writeEpoch, readEpoch;
  uint16_t writeThread, readThread;
};

struct Block {
  Grid* grid;
  uint32_t index[3];
  uint32_t linear, epoch;
  uint8_t* shared;  // shared[address] is valid for addresses from SHARED_BEGIN on
  SharedWord* words;
};

struct Thread {
  Block* block;
  uint32_t index[3];
  uint32_t linear;
};

const uint32_t SHARED_BEGIN = 1024;  // compute capability 9.0 keeps the first KiB of shared memory for itself
const uint16_t SEVERAL = 0xFFFF;     // instead of a thread's number, if several threads read in this epoch

struct Parameter {
  uint32_t offset, bytes;
};

struct KernelInfo {
  const char *name, *title;  // the name in the PTX, and a readable name
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

// Read and Write are plain accesses. An Atomic access reads and writes in one step. A Look is a load with acquire semantics.
enum class Access { Read, Write, Atomic, Look };

// The functions of the driver that kernels call. The functions marked with [[noreturn]] end the launch.
#define CALLED_BY_KERNELS __attribute__((visibility("default")))

// Waits until all threads of the block have called `barrier`.
CALLED_BY_KERNELS void barrier(Thread* thread, Site* site);
// Stores in `site` the allocation that contains the accessed bytes. If no allocation contains them, the launch ends.
CALLED_BY_KERNELS void locate(Thread* thread, Site* site, uint64_t address, uint32_t bytes);
// Records an access to global memory, and reports races and reads of values that nobody has written.
CALLED_BY_KERNELS void note(Thread* thread, Site* site, uint64_t address, uint32_t bytes, Access access);
// Reports a faulty access to shared memory. The kernels themselves record and check the accesses to shared memory.
CALLED_BY_KERNELS void reportShared(Thread* thread, Site* site, uint64_t address, const char* fault);
// Report a faulty access, and end the launch with the error code of a GPU.
[[noreturn]] CALLED_BY_KERNELS void misaligned(Thread* thread, Site* site, uint64_t address, uint32_t bytes);
[[noreturn]] CALLED_BY_KERNELS void outsideShared(Thread* thread, Site* site, uint64_t address, uint32_t bytes);
[[noreturn]] CALLED_BY_KERNELS void outsideLocal(Thread* thread, Site* site, uint64_t address, uint32_t bytes, uint32_t size);
// If one block calls `release` and another block then calls `look` with the same address, the two blocks are ordered: all that
// the first block did before the last barrier before `release` happens before all that the other block does after the next
// barrier after `look`. `look` returns the value at the address. If the value has not changed since the thread's last look at
// this address, `look` first lets other threads run.
CALLED_BY_KERNELS void release(Thread* thread, uint64_t address);
CALLED_BY_KERNELS uint32_t look(Thread* thread, Site* site, uint64_t address);
// `copyLater` starts an asynchronous copy, and `awaitCopies` waits for all asynchronous copies that the thread has started.
CALLED_BY_KERNELS void copyLater(Thread* thread, Site* site, uint64_t shared, uint64_t global, uint32_t bytes);
CALLED_BY_KERNELS void awaitCopies(Thread* thread, Site* site);

}  // namespace gpu
