// The memory of the device, and the memory of the host that it can access.
#pragma once

#include <cuda.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace gpu {

struct Readers;

// An access by a thread of a block, in an epoch (the time between two barriers of the block) of a launch.
struct Stamp {
  uint32_t launch, block, epoch;
  uint16_t thread;
  bool atomic;
};

// Four bytes of global memory: who wrote and read them last.
struct Word {
  Stamp write, read;
  Readers* readers;  // if several blocks of a cooperative launch have read: the last read of each block
};

struct Freed {
  void operator()(void* memory) const {
    free(memory);
  }
};

struct Allocation {
  uint64_t low, high;
  bool onDevice;
  size_t mappedBytes;
  // For memory of the device: a state (see kernels.h) for each byte, and a word for each four bytes. The host writes to its own
  // memory unseen, so that nothing is known about it.
  std::unique_ptr<uint8_t[], Freed> states;
  std::unique_ptr<Word[], Freed> words;

  size_t bytes() const {
    return high - low;
  }
};

size_t totalMemory();
size_t freeMemory();

// Returns null if there is not enough memory. The new memory holds bytes of 0xFF, which are NaN or -1.
Allocation* allocate(size_t bytes, bool onDevice);
void release(Allocation* allocation);

// The allocation that contains all these bytes, or null.
Allocation* allocationOf(uint64_t address, size_t bytes = 1);

// Says where an address lies that is in no allocation.
std::string nearest(uint64_t address);

// Marks bytes of memory as written by the host.
void define(uint64_t address, size_t bytes);
// Copies bytes of memory, and whether they have been written.
void copyWithin(uint64_t to, uint64_t from, size_t bytes);

const uint8_t FILL = 0xFF;

}  // namespace gpu
