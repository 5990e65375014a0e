// The memory of the device, and the memory of the host that it can access.
#pragma once

#include <cuda.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace gpu {

struct Readers;

// An access to memory: the launch, the block, the thread, and the epoch (the time between two barriers of the block).
struct Stamp {
  uint32_t launch, block, epoch;
  uint16_t thread;
  bool atomic;
};

// The last write and the last read of four bytes of global memory.
struct Word {
  Stamp write, read;
  Readers* readers;  // the last read of each block, if several blocks of a cooperative launch have read
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
  // Memory of the device has a state (see kernels.h) for each byte, and a word for each four bytes. Memory of the host has
  // neither, because the driver does not see what the host writes to it.
  std::unique_ptr<uint8_t[], Freed> states;
  std::unique_ptr<Word[], Freed> words;

  size_t bytes() const {
    return high - low;
  }
};

size_t totalMemory();
size_t freeMemory();

// Returns null if there is not enough memory. Each byte of the new memory is 0xFF; numbers of such bytes are NaN or -1.
Allocation* allocate(size_t bytes, bool onDevice);
void release(Allocation* allocation);

// Returns the allocation that contains all `bytes` bytes from `address` on, or null.
Allocation* allocationOf(uint64_t address, size_t bytes = 1);

// Returns text for messages: the position of an address relative to the nearest allocation.
std::string nearest(uint64_t address);

// Marks bytes of memory as written.
void define(uint64_t address, size_t bytes);
// Copies bytes of memory and their states.
void copyWithin(uint64_t to, uint64_t from, size_t bytes);

const uint8_t FILL = 0xFF;

}  // namespace gpu
