// Finds races in global memory: two accesses to the same word, at least one of which writes, that may happen in either order.
//
// In a launch whose blocks cannot wait for each other, all accesses of different blocks may happen in any order. In a
// cooperative launch, `release` and `look` (see kernels.h) order them. Each block has a clock for this: the epoch up to which
// each other block's accesses have happened before its own.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace gpu {

// The last read of each block; the epoch is 0 if the block has not read.
struct Readers {
  std::vector<Stamp> ofBlock;
};

class Clocks {
 public:
  // With 0 blocks, no block ever waits for another one.
  Clocks(uint32_t launch, uint32_t blocks);

  void released(const Thread* thread, uint64_t address);
  void looked(const Thread* thread, uint64_t address);
  void passedBarrier(const Block* block);

  // Returns null, or what is wrong about an access to a word, which it records.
  const char* note(const Thread* thread, Word* word, Access access);

 private:
  using Epochs = std::vector<uint32_t>;

  Stamp stampOf(const Thread* thread, Access access) const;
  bool isOrdered(const Stamp& earlier, const Thread* thread) const;
  bool areReadsOrdered(const Word* word, const Thread* thread) const;
  void noteRead(const Thread* thread, Word* word);

  uint32_t launch;
  std::vector<Epochs> known, afterBarrier;  // by block
  std::map<uint64_t, Epochs> ofRelease;     // by address
  std::vector<std::unique_ptr<Readers>> allReaders;
};

}  // namespace gpu
