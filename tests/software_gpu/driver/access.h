// The loads and stores of kernels, with checks that a GPU does not make.
#pragma once

#include <cstring>

#include "kernels.h"

namespace gpu {

template <class T, int N>
struct Vector {
  T v[N];
};

template <class T>
static inline T parameter(Thread* thread, uint32_t offset) {
  T value;
  memcpy(&value, thread->block->grid->parameters + offset, sizeof value);
  return value;
}

// Global memory

__attribute__((noinline)) static void checkGlobal(Thread* thread, Site* site, uint64_t address, uint32_t bytes, Access access) {
  if (__builtin_expect(address % bytes != 0, 0)) misaligned(thread, site, address, bytes);
  if (__builtin_expect(address < site->low || address + bytes > site->high, 0)) locate(thread, site, address, bytes);
  note(thread, site, address, bytes, access);
}

template <class T, int N>
static inline Vector<T, N> loadGlobal(Thread* thread, Site* site, uint64_t address) {
  checkGlobal(thread, site, address, sizeof(Vector<T, N>), Access::Read);
  Vector<T, N> value;
  memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

template <class T, int N>
static inline void storeGlobal(Thread* thread, Site* site, uint64_t address, Vector<T, N> value) {
  checkGlobal(thread, site, address, sizeof value, Access::Write);
  memcpy(reinterpret_cast<void*>(address), &value, sizeof value);
}

static inline uint32_t loadAcquire(Thread* thread, Site* site, uint64_t address) {
  checkGlobal(thread, site, address, sizeof(uint32_t), Access::Look);
  return look(thread, site, address);
}

// Replaces a value in memory by replacement(value, operand), and returns the value before the replacement.
template <class T, class Replacement>
static inline T atomic(Thread* thread, Site* site, uint64_t address, T operand, Replacement replacement) {
  checkGlobal(thread, site, address, sizeof(T), Access::Atomic);
  T value;
  memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  const T replaced = replacement(value, operand);
  memcpy(reinterpret_cast<void*>(address), &replaced, sizeof replaced);
  return value;
}

static inline void addRelease(Thread* thread, Site* site, uint64_t address, uint32_t number) {
  release(thread, address);
  atomic(thread, site, address, number, [](uint32_t x, uint32_t y) { return x + y; });
}

// Local memory: an array on the thread's stack

static inline void checkLocal(Thread* thread, Site* site, uint64_t address, uint32_t bytes, const uint8_t* array,
                              uint32_t size) {
  if (__builtin_expect(address % bytes != 0, 0)) misaligned(thread, site, address, bytes);
  const uint64_t offset = address - reinterpret_cast<uint64_t>(array);
  if (__builtin_expect(offset > size || offset + bytes > size, 0)) outsideLocal(thread, site, address, bytes, size);
}

template <class T, int N>
static inline Vector<T, N> loadLocal(Thread* thread, Site* site, uint64_t address, const uint8_t* array, uint32_t size) {
  checkLocal(thread, site, address, sizeof(Vector<T, N>), array, size);
  Vector<T, N> value;
  memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

template <class T, int N>
static inline void storeLocal(Thread* thread, Site* site, uint64_t address, Vector<T, N> value, const uint8_t* array,
                              uint32_t size) {
  checkLocal(thread, site, address, sizeof value, array, size);
  memcpy(reinterpret_cast<void*>(address), &value, sizeof value);
}

// A generic address is an address of local memory or an address of global memory.

template <class T, int N>
static inline Vector<T, N> loadGeneric(Thread* thread, Site* site, uint64_t address, const uint8_t* array, uint32_t size) {
  const bool local = address - reinterpret_cast<uint64_t>(array) < size;
  return local ? loadLocal<T, N>(thread, site, address, array, size) : loadGlobal<T, N>(thread, site, address);
}

template <class T, int N>
static inline void storeGeneric(Thread* thread, Site* site, uint64_t address, Vector<T, N> value, const uint8_t* array,
                                uint32_t size) {
  if (address - reinterpret_cast<uint64_t>(array) < size)
    storeLocal<T, N>(thread, site, address, value, array, size);
  else
    storeGlobal<T, N>(thread, site, address, value);
}

// Shared memory

// Records an access, and reports races. A thread may read a word if no other thread writes to the word in the same epoch. A
// thread may write to a word if no other thread reads the word or writes to it in the same epoch.
static inline void noteShared(Thread* thread, Site* site, SharedWord* word, uint64_t address, bool writes) {
  const uint32_t epoch = thread->block->epoch;
  const uint16_t me = thread->linear;
  if (word->writeEpoch == epoch && word->writeThread != me)
    reportShared(thread, site, address, writes ? "RACE: two threads write" : "RACE: a thread reads while another one writes");
  if (writes) {
    if (word->readEpoch == epoch && word->readThread != me)
      reportShared(thread, site, address, "RACE: a thread writes while another one reads");
    word->writeEpoch = epoch;
    word->writeThread = me;
  } else if (word->readEpoch != epoch) {
    word->readEpoch = epoch;
    word->readThread = me;
  } else if (word->readThread != me) {
    word->readThread = SEVERAL;
  }
}

static inline void checkStates(Thread* thread, Site* site, SharedWord* word, uint64_t address, uint32_t bytes, bool writes) {
  for (uint32_t k = 0; k < bytes; k++) {
    uint8_t* state = &word->states[address % 4 + k];
    if (*state == IN_FLIGHT)
      reportShared(thread, site, address, "COPY: an asynchronous copy is used before it is awaited");
    else if (!writes && *state == UNDEFINED)
      reportShared(thread, site, address, "UNWRITTEN: a thread reads what nobody has written");
    if (writes) *state = DEFINED;
  }
}

__attribute__((noinline)) static void checkShared(Thread* thread, Site* site, uint64_t address, uint32_t bytes, bool writes) {
  if (__builtin_expect(address % bytes != 0, 0)) misaligned(thread, site, address, bytes);
  if (__builtin_expect(address < SHARED_BEGIN || address + bytes > thread->block->grid->sharedEnd, 0))
    outsideShared(thread, site, address, bytes);
  static const uint8_t DEFINED_WORD[4] = {DEFINED, DEFINED, DEFINED, DEFINED};
  const uint32_t step = bytes < 4 ? bytes : 4;
  for (uint64_t at = address; at < address + bytes; at += 4) {
    SharedWord* word = thread->block->words + at / 4;
    noteShared(thread, site, word, at, writes);
    if (__builtin_expect(memcmp(word->states, DEFINED_WORD, 4) != 0, 0)) checkStates(thread, site, word, at, step, writes);
  }
}

template <class T, int N>
static inline Vector<T, N> loadShared(Thread* thread, Site* site, uint64_t address) {
  checkShared(thread, site, address, sizeof(Vector<T, N>), false);
  Vector<T, N> value;
  memcpy(&value, thread->block->shared + address, sizeof value);
  return value;
}

template <class T, int N>
static inline void storeShared(Thread* thread, Site* site, uint64_t address, Vector<T, N> value) {
  checkShared(thread, site, address, sizeof value, true);
  memcpy(thread->block->shared + address, &value, sizeof value);
}

}  // namespace gpu
