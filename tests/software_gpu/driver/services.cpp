// The functions that kernels call; see kernels.h.
#include <cstring>

#include "access.h"
#include "execution.h"
#include "memory.h"

namespace gpu {

static std::string hexadecimal(uint64_t number) {
  char text[32];
  snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
  return text;
}

static std::string sized(const char* fault, uint32_t bytes, uint64_t address) {
  return std::string(fault) + " of " + std::to_string(bytes) + " bytes at " + hexadecimal(address);
}

// Waiting

static void wait(RunningThread* thread, Site* site, State state) {
  thread->state = state;
  thread->waitsAt = site;
  Fiber::suspend();
  thread->state = State::Ready;
}

void barrier(Thread* thread, Site* site) {
  running->progress++;
  wait(static_cast<RunningThread*>(thread), site, State::AtBarrier);
}

void release(Thread* thread, uint64_t address) {
  running->progress++;
  running->clocks.released(thread, address);
}

uint32_t look(Thread* thread, Site* site, uint64_t address) {
  auto looker = static_cast<RunningThread*>(thread);
  if (looker->hasSeenAllAt(address)) wait(looker, site, State::Looking);
  if (!looker->hasSeenAllAt(address)) running->progress++;
  looker->lookedAt = address;
  looker->seen = valueAt(address);
  running->clocks.looked(thread, address);
  return looker->seen;
}

// Global memory

void misaligned(Thread* thread, Site* site, uint64_t address, uint32_t bytes) {
  running->end(thread, site, CUDA_ERROR_MISALIGNED_ADDRESS, sized("MISALIGNED: an access", bytes, address));
}

void locate(Thread* thread, Site* site, uint64_t address, uint32_t bytes) {
  Allocation* allocation = allocationOf(address, bytes);
  if (!allocation)
    running->end(thread, site, CUDA_ERROR_ILLEGAL_ADDRESS,
                 sized("OUTSIDE: an access", bytes, address) + ", " + nearest(address));
  site->low = allocation->low;
  site->high = allocation->high;
  site->allocation = allocation;
}

// A thread that reads the same address very often probably waits for another thread, although it should wait with `look`.
// Without this function, the other thread would never run.
static void giveWay(RunningThread* reader, Site* site, uint64_t address) {
  const uint32_t MOST_READS = 100000;
  reader->reads = reader->readAt == address ? reader->reads + 1 : 0;
  reader->readAt = address;
  if (reader->reads < MOST_READS) return;
  reader->reads = 0;
  reader->lookedAt = address;
  reader->seen = valueAt(address);
  wait(reader, site, State::Looking);
}

void note(Thread* thread, Site* site, uint64_t address, uint32_t bytes, Access access) {
  Allocation* allocation = site->allocation;
  if (!allocation->onDevice) return;
  if (access == Access::Read && bytes >= sizeof(uint32_t)) giveWay(static_cast<RunningThread*>(thread), site, address);
  const uint64_t at = address - allocation->low;
  uint8_t* states = &allocation->states[at];
  if (access != Access::Write && memchr(states, UNDEFINED, bytes))
    running->report(thread, site, "UNWRITTEN: a thread reads what nobody has written, " + nearest(address));
  if (access == Access::Write) memset(states, DEFINED, bytes);
  for (uint64_t word = at / 4; word < (at + bytes + 3) / 4; word++)
    if (const char* fault = running->clocks.note(thread, &allocation->words[word], access))
      running->report(thread, site, std::string(fault) + " " + nearest(address));
}

// Shared memory

void reportShared(Thread* thread, Site* site, uint64_t address, const char* fault) {
  running->report(thread, site, std::string(fault) + ", at " + hexadecimal(address) + " of shared memory");
}

void outsideShared(Thread* thread, Site* site, uint64_t address, uint32_t bytes) {
  running->end(thread, site, CUDA_ERROR_ILLEGAL_ADDRESS,
               sized("OUTSIDE: an access", bytes, address) + ", shared memory is from " + hexadecimal(SHARED_BEGIN) + " to " +
                   hexadecimal(thread->block->grid->sharedEnd));
}

void outsideLocal(Thread* thread, Site* site, uint64_t address, uint32_t bytes, uint32_t size) {
  running->end(thread, site, CUDA_ERROR_ILLEGAL_ADDRESS,
               sized("OUTSIDE: an access", bytes, address) + ", local memory has " + std::to_string(size) + " bytes");
}

// An asynchronous copy changes shared memory as late as possible: when the thread waits for the copy.

void copyLater(Thread* thread, Site* site, uint64_t shared, uint64_t global, uint32_t bytes) {
  checkGlobal(thread, site, global, bytes, Access::Read);
  checkShared(thread, site, shared, bytes, true);
  memset(thread->block->shared + shared, FILL, bytes);
  for (uint64_t at = shared; at < shared + bytes; at++) thread->block->words[at / 4].states[at % 4] = IN_FLIGHT;
  auto source = reinterpret_cast<const uint8_t*>(global);
  static_cast<RunningThread*>(thread)->copies.push_back(Copy{site, shared, global, {source, source + bytes}});
}

void awaitCopies(Thread* thread, Site*) {
  auto& copies = static_cast<RunningThread*>(thread)->copies;
  for (const Copy& copy : copies) {
    const uint32_t bytes = copy.bytes.size();
    if (memcmp(reinterpret_cast<const void*>(copy.global), copy.bytes.data(), bytes))
      running->report(thread, copy.site, "COPY: the source of an asynchronous copy has changed before it was awaited");
    for (uint64_t at = copy.shared; at < copy.shared + bytes; at++) thread->block->words[at / 4].states[at % 4] = DEFINED;
    checkShared(thread, copy.site, copy.shared, bytes, true);
    memcpy(thread->block->shared + copy.shared, copy.bytes.data(), bytes);
  }
  copies.clear();
}

}  // namespace gpu
