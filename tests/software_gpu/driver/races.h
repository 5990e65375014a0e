// Finds races in global memory. A race is two accesses to the same word that may happen in either order, at least one of them a
// write.
//
// In a launch whose blocks cannot wait for each other, the accesses of different blocks may happen in any order. In a
// cooperative launch, `release` and `look` (see kernels.h) order the accesses. Each block therefore has a clock. The clock
// contains an epoch for each other block: the accesses of the other block up to this epoch happened before the accesses that
// follow now.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace gpu {

// The last read of each block. If a block has not read, the epoch of its read is 0.
struct Readers {
  std::vector<Stamp> ofBlock;
};

class Clocks {
 public:
  // If `blocks` is 0, no block can wait for another block.
  Clocks(uint32_t launch, uint32_t blocks);

  void released(const Thread* thread, uint64_t address);
  void looked(const Thread* thread, uint64_t address);
  void passedBarrier(const Block* block);

  // Records an access to a word. Returns a text that says what is wrong about the access, or null.
  const char* note(const Thread* thread, Word* word, Access access);

 private:
  using Epochs = std::vector<uint32_t>;

  Stamp stampOf(const Thread* thread, Access access) const;
  bool isOrdered(const Stamp& earlier, const Thread* thread) const;
  bool areReadsOrdered(const Word* word, const Thread* thread) const;
  void noteRead(const Thread* thread, Word* word);

  uint32_t launch;
  std::vector<Epochs> known, afterBarrier;  // the index is the block
  std::map<uint64_t, Epochs> ofRelease;     // the key is the address
  std::vector<std::unique_ptr<Readers>> allReaders;
};

}  // namespace gpu
