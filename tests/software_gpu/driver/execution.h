// The state of a running launch: its blocks, their threads, and which of the threads wait.
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

// An asynchronous copy for which the thread has not waited. `bytes` contains the bytes of the source at the start of the copy.
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
  uint64_t lookedAt;  // the address of the last look, or 0 if there was no look
  uint32_t seen;      // the value of the last look
  uint64_t readAt;    // the address of the last read of global memory, or 0 if there was no read
  uint32_t reads;     // the number of successive reads at this address
  std::vector<Copy> copies;

  // True if the value at an address is still that of the last look.
  bool hasSeenAllAt(uint64_t address) const {
    return lookedAt == address && seen == valueAt(address);
  }
};

class RunningBlock : public Block {
 public:
  // Makes block `number` of the grid. The block's threads get the stacks from number `firstStack` on.
  RunningBlock(Grid* grid, uint32_t number, size_t firstStack);

  // Runs each thread that can run, until the thread waits. If all threads wait at the barrier, the barrier opens. Returns false
  // if no thread could run. If `again` is true, threads that wait for a value to change may look at the value once more.
  bool advance(bool again);

  bool isDone() const {
    return threadsLeft == 0;
  }
  // Returns a thread that waits; messages name this thread.
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
  uint64_t progress = 0;  // how often a thread did something else than look again at an unchanged value

  // Returns text for messages: the kernel's name, the block, the thread and the instruction.
  std::string place(const Thread* thread, const Site* site) const;
  // Reports a finding: at most once per kind of finding and instruction, and only the first few findings of a launch.
  void report(const Thread* thread, const Site* site, const std::string& fault);
  // Reports a finding and ends the launch. The function is called on the stack of the thread that made the error.
  [[noreturn]] void end(const Thread* thread, const Site* site, CUresult error, const std::string& fault);
  void run();

 private:
  using Blocks = std::vector<std::unique_ptr<RunningBlock>>;

  void runTogether(Blocks& blocks);
  bool runEach(Blocks& blocks);
  void endWaiting(const RunningBlock& block);

  std::set<std::string> reported;
};

// The launch that runs now. Two launches never run at the same time, because all functions of the driver hold a lock.
extern Execution* running;

// The generator of all random orders. The environment variable SOFTWARE_GPU_SEED is its seed.
std::mt19937& randomness();

}  // namespace gpu
