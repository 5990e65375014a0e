// The state of a running launch: its blocks, their threads, and who waits.
#pragma once

#include <cuda.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "fibers.h"
#include "kernels.h"
#include "launch.h"
#include "races.h"

namespace gpu {

// An asynchronous copy that has not been awaited. `bytes` are those of the source when it started.
struct Copy {
  Site* site;
  uint64_t shared, global;
  std::vector<uint8_t> bytes;
};

inline uint32_t valueAt(uint64_t address) {
  return *reinterpret_cast<const volatile uint32_t*>(address);
}

enum class State { Ready, AtBarrier, Looking, Done };

struct RunningThread : Thread {
  Fiber fiber;
  State state;
  Site* waitsAt;
  uint64_t lookedAt;  // the address of the last look; 0 before it
  uint32_t seen;      // the value of the last look
  std::vector<Copy> copies;

  // True if the value at an address is still that of the last look.
  bool hasSeenAllAt(uint64_t address) const {
    return lookedAt == address && seen == valueAt(address);
  }
};

class RunningBlock : public Block {
 public:
  // The block with this number. Its threads get the stacks from `firstStack` on.
  RunningBlock(Grid* grid, uint32_t number, size_t firstStack);

  // Runs all threads that can run until they wait, and opens the barrier if all threads are there. Returns false if no thread
  // could run. With `again`, threads that look at a value that has not changed may look once more.
  bool advance(bool again);

  bool isDone() const {
    return threadsLeft == 0;
  }
  // A thread that waits, for messages.
  const RunningThread& someWaiting() const;

 private:
  void shuffle();
  bool canRun(const RunningThread& thread) const;
  void openBarrier();

  std::vector<RunningThread> threads;
  std::vector<uint32_t> order;
  std::vector<uint8_t> sharedMemory;
  std::vector<SharedWord> sharedWords;
  uint32_t threadsLeft;
};

struct Execution {
  explicit Execution(const Launch& launch);

  const Launch& launch;
  Grid grid;
  uint32_t number;  // launches are counted from 1 on
  Clocks clocks;
  CUresult error = CUDA_SUCCESS;
  uint64_t progress = 0;  // how often a thread did more than to look again at the same value

  // The kernel's name, the block, the thread and the instruction, for messages.
  std::string place(const Thread* thread, const Site* site) const;
  // Reports a finding, once per instruction and only the first few of a launch.
  void report(const Thread* thread, const Site* site, const std::string& fault);
  // Reports a finding and ends the launch. Called by the threads themselves.
  [[noreturn]] void end(const Thread* thread, const Site* site, CUresult error, const std::string& fault);
  void run();

 private:
  using Blocks = std::vector<std::unique_ptr<RunningBlock>>;

  void runTogether(Blocks& blocks);
  bool runEach(Blocks& blocks);
  void endWaiting(const RunningBlock& block);

  std::set<std::string> reported;
};

// The launch that runs now. There is never more than one, because all functions of the driver hold a lock.
extern Execution* running;

// For all random orders; seeded by SOFTWARE_GPU_SEED.
std::mt19937& randomness();

}  // namespace gpu
