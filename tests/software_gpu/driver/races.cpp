#include "races.h"

#include <algorithm>

namespace gpu {

static const uint32_t SEVERAL_BLOCKS = 0xFFFFFFFF;  // instead of a block's number

static void raise(std::vector<uint32_t>& epochs, const std::vector<uint32_t>& others) {
  for (size_t k = 0; k < others.size(); k++) epochs[k] = std::max(epochs[k], others[k]);
}

Clocks::Clocks(uint32_t launch, uint32_t blocks) : launch(launch), known(blocks, Epochs(blocks)), afterBarrier(known) {}

void Clocks::released(const Thread* thread, uint64_t address) {
  if (known.empty()) return;
  const Block* block = thread->block;
  Epochs& epochs = ofRelease[address];
  epochs.resize(known.size());
  raise(epochs, known[block->linear]);
  epochs[block->linear] = std::max(epochs[block->linear], block->epoch - 1);
}

void Clocks::looked(const Thread* thread, uint64_t address) {
  if (!known.empty()) raise(afterBarrier[thread->block->linear], ofRelease[address]);
}

void Clocks::passedBarrier(const Block* block) {
  if (!known.empty()) raise(known[block->linear], afterBarrier[block->linear]);
}

Stamp Clocks::stampOf(const Thread* thread, Access access) const {
  const Block* block = thread->block;
  return Stamp{launch, block->linear, block->epoch, static_cast<uint16_t>(thread->linear), access == Access::Atomic};
}

// Returns true if an access happened before what the thread does now. All accesses of earlier launches did.
bool Clocks::isOrdered(const Stamp& earlier, const Thread* thread) const {
  if (earlier.launch != launch) return true;
  const Block* block = thread->block;
  if (earlier.block == block->linear) return earlier.epoch < block->epoch || earlier.thread == thread->linear;
  return !known.empty() && earlier.block != SEVERAL_BLOCKS && known[block->linear][earlier.block] >= earlier.epoch;
}

bool Clocks::areReadsOrdered(const Word* word, const Thread* thread) const {
  if (word->read.launch != launch || !word->readers) return isOrdered(word->read, thread);
  const auto& reads = word->readers->ofBlock;
  return std::all_of(reads.begin(), reads.end(), [&](const Stamp& read) { return isOrdered(read, thread); });
}

void Clocks::noteRead(const Thread* thread, Word* word) {
  const Stamp now = stampOf(thread, Access::Read);
  Stamp* last = &word->read;
  if (last->launch != launch) {
    *last = now;
    word->readers = nullptr;
    return;
  }
  if (last->block == SEVERAL_BLOCKS && !word->readers) return;  // in a plain launch, any write of a block is a race from now on
  if (last->block != now.block && !word->readers) {
    if (!known.empty()) {
      allReaders.emplace_back(new Readers{std::vector<Stamp>(known.size())});
      word->readers = allReaders.back().get();
      word->readers->ofBlock[last->block] = *last;
    }
    last->block = SEVERAL_BLOCKS;
    if (!word->readers) return;
  }
  if (word->readers) last = &word->readers->ofBlock[now.block];
  if (last->launch != launch || last->epoch != now.epoch)
    *last = now;
  else if (last->thread != now.thread)
    last->thread = SEVERAL;
}

const char* Clocks::note(const Thread* thread, Word* word, Access access) {
  const char* fault = nullptr;
  const bool atomics = access == Access::Atomic || access == Access::Look;
  if (!(atomics && word->write.atomic) && !isOrdered(word->write, thread))
    fault = access == Access::Read ? "RACE: a thread reads while another one writes" : "RACE: two threads write";
  if (access == Access::Read) noteRead(thread, word);
  if (access == Access::Read || access == Access::Look) return fault;
  if (!areReadsOrdered(word, thread)) fault = "RACE: a thread writes while another one reads";
  word->write = stampOf(thread, access);
  word->read = Stamp{};
  word->readers = nullptr;
  return fault;
}

}  // namespace gpu
