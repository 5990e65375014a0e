#include "memory.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <random>

#include "findings.h"
#include "kernels.h"

namespace gpu {

static const size_t ADDRESS_SPACE = 4ull << 40, PAGE = 4096, GAP = 1 << 20, ALIGNMENT = 512;

static std::map<uint64_t, Allocation*> allocations;  // the key is the first address
static std::map<uint64_t, uint64_t> freed;           // the first address and the end of freed memory, for messages
static size_t usedBytes = 0;

size_t totalMemory() {
  static const size_t bytes = setting("SOFTWARE_GPU_MEMORY", 80ull << 30);
  return bytes;
}

size_t freeMemory() {
  return totalMemory() - usedBytes;
}

static size_t rounded(size_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

// Maps memory between two gaps that nobody can access, at an address that was never used before. A wrong address therefore
// rarely falls into other memory. The first address is a multiple of 512, as with cudaMalloc, but not always of 1,024.
static uint64_t mapped(size_t bytes, size_t* mappedBytes) {
  static uint64_t next = 0, end = 0;
  static std::mt19937_64 random(1);
  if (!next) {
    void* space = mmap(nullptr, ADDRESS_SPACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) return 0;
    next = reinterpret_cast<uint64_t>(space);
    end = next + ADDRESS_SPACE;
  }
  const uint64_t page = next + GAP + PAGE * (random() % 64);
  *mappedBytes = (bytes + 2 * PAGE) / PAGE * PAGE;
  if (page + *mappedBytes + GAP > end) return 0;
  if (mprotect(reinterpret_cast<void*>(page), *mappedBytes, PROT_READ | PROT_WRITE)) return 0;
  next = page + *mappedBytes;
  return page + ALIGNMENT * (random() % (PAGE / ALIGNMENT));
}

Allocation* allocate(size_t bytes, bool onDevice) {
  if (onDevice && rounded(bytes) > freeMemory()) return nullptr;
  size_t mappedBytes;
  const uint64_t low = mapped(bytes, &mappedBytes);
  if (!low) return nullptr;
  auto allocation = new Allocation{low, low + bytes, onDevice, mappedBytes, nullptr, nullptr};
  memset(reinterpret_cast<void*>(low), FILL, bytes);
  if (onDevice) {
    usedBytes += rounded(bytes);
    allocation->states.reset(static_cast<uint8_t*>(calloc(bytes + 4, 1)));  // a page takes memory only after a write to it
    allocation->words.reset(static_cast<Word*>(calloc(bytes / 4 + 1, sizeof(Word))));
  }
  allocations[low] = allocation;
  return allocation;
}

void release(Allocation* allocation) {
  const uint64_t page = allocation->low / PAGE * PAGE;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  mmap(reinterpret_cast<void*>(page), allocation->mappedBytes, PROT_NONE, flags, -1, 0);
  if (allocation->onDevice) usedBytes -= rounded(allocation->bytes());
  freed[allocation->low] = allocation->high;
  allocations.erase(allocation->low);
  delete allocation;
}

Allocation* allocationOf(uint64_t address, size_t bytes) {
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin()) return nullptr;
  Allocation* allocation = std::prev(after)->second;
  return address + bytes <= allocation->high ? allocation : nullptr;
}

std::string nearest(uint64_t address) {
  auto after = freed.upper_bound(address);
  if (after != freed.begin() && address < std::prev(after)->second) return "in memory that was freed";
  const Allocation* best = nullptr;
  int64_t smallest = INT64_MAX;
  for (auto& [low, allocation] : allocations) {
    const int64_t below = low - address, above = address - allocation->high, distance = address < low ? below : above;
    if (distance >= smallest) continue;
    smallest = distance;
    best = allocation;
  }
  if (!best) return "there are no arrays";
  return "at offset " + std::to_string(static_cast<int64_t>(address - best->low)) + " of an array of " +
         std::to_string(best->bytes()) + " bytes";
}

void define(uint64_t address, size_t bytes) {
  Allocation* allocation = allocationOf(address, bytes);
  if (allocation && allocation->states) memset(&allocation->states[address - allocation->low], DEFINED, bytes);
}

void copyWithin(uint64_t to, uint64_t from, size_t bytes) {
  memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  Allocation *target = allocationOf(to, bytes), *source = allocationOf(from, bytes);
  if (!target || !target->states) return;
  if (source && source->states)
    memmove(&target->states[to - target->low], &source->states[from - source->low], bytes);
  else
    define(to, bytes);
}

}  // namespace gpu
