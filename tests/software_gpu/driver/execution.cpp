#include "execution.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "findings.h"
#include "modules.h"

namespace gpu {

static const size_t MOST_FINDINGS = 5;         // of a launch are reported
static const uint32_t DEFAULT_MXCSR = 0x1F80;  // rounds to nearest, and keeps subnormal numbers

Execution* running = nullptr;

std::mt19937& randomness() {
  static std::mt19937 generator(seed());
  return generator;
}

// Blocks

static void runThread(void* argument) {
  auto thread = static_cast<RunningThread*>(argument);
  running->launch.kernel->info->run(thread);
  awaitCopies(thread, nullptr);
  thread->state = State::Done;
  running->progress++;
  Fiber::suspend();
}

static void split(uint32_t linear, const uint32_t* sizes, uint32_t* index) {
  index[0] = linear % sizes[0];
  index[1] = linear / sizes[0] % sizes[1];
  index[2] = linear / sizes[0] / sizes[1];
}

RunningBlock::RunningBlock(Grid* grid, uint32_t number, size_t firstStack)
    : Block{grid, {}, number, 1, nullptr, nullptr},
      threads(running->launch.threads()),
      order(threads.size()),
      sharedMemory(grid->sharedEnd, FILL),
      sharedWords(grid->sharedEnd / 4 + 1),
      threadsLeft(threads.size()) {
  shared = sharedMemory.data();
  words = sharedWords.data();
  split(number, grid->blocks, index);
  std::iota(order.begin(), order.end(), 0);
  for (uint32_t k = 0; k < threads.size(); k++) {
    RunningThread& thread = threads[k];
    thread.block = this;
    thread.linear = k;
    split(k, grid->threads, thread.index);
    thread.state = State::Ready;
    thread.lookedAt = thread.readAt = 0;
    thread.fiber.start(firstStack + k, runThread, &thread);
  }
}

void RunningBlock::shuffle() {
  if (seed()) std::shuffle(order.begin(), order.end(), randomness());
}

bool RunningBlock::canRun(const RunningThread& thread) const {
  return thread.state == State::Ready || (thread.state == State::Looking && !thread.hasSeenAllAt(thread.lookedAt));
}

bool RunningBlock::advance(bool again) {
  bool ran = false;
  shuffle();
  for (uint32_t k : order) {
    RunningThread& thread = threads[k];
    if (!canRun(thread) && !(again && thread.state == State::Looking)) continue;
    ran = true;
    thread.fiber.resume();
    if (running->error) return true;
    if (thread.state == State::Done) threadsLeft--;
  }
  uint32_t waiting = std::count_if(threads.begin(), threads.end(), [](auto& t) { return t.state == State::AtBarrier; });
  if (waiting && waiting == threadsLeft) openBarrier();
  return ran;
}

// All threads that have not ended must wait at the same barrier; otherwise, the driver reports a divergence.
void RunningBlock::openBarrier() {
  const Site* site = nullptr;
  for (RunningThread& thread : threads) {
    if (thread.state != State::AtBarrier) continue;
    if (site && site != thread.waitsAt)
      running->report(&thread, thread.waitsAt, "DIVERGENCE: other threads wait at another barrier");
    site = thread.waitsAt;
    thread.state = State::Ready;
  }
  epoch++;
  running->clocks.passedBarrier(this);
}

const RunningThread& RunningBlock::someWaiting() const {
  auto waits = [](const RunningThread& thread) { return thread.state != State::Done; };
  return *std::find_if(threads.begin(), threads.end(), waits);
}

// Launches

static uint32_t launches = 0;

static Grid gridOf(const Launch& launch) {
  const KernelInfo* info = launch.kernel->info;
  Grid grid = {};
  memcpy(grid.threads, launch.block, sizeof grid.threads);
  memcpy(grid.blocks, launch.grid, sizeof grid.blocks);
  grid.dynamicBytes = launch.dynamicBytes;
  grid.dynamicAt = info->dynamicAt;
  grid.sharedEnd = launch.dynamicBytes ? info->dynamicAt + launch.dynamicBytes : SHARED_BEGIN + info->staticBytes;
  grid.parameters = launch.parameters.data();
  return grid;
}

Execution::Execution(const Launch& launch)
    : launch(launch), grid(gridOf(launch)), number(++launches), clocks(number, launch.cooperative ? launch.blocks() : 0) {}

static std::string written(const uint32_t* index) {
  return "(" + std::to_string(index[0]) + ", " + std::to_string(index[1]) + ", " + std::to_string(index[2]) + ")";
}

std::string Execution::place(const Thread* thread, const Site* site) const {
  std::string text = std::string(launch.kernel->info->title) + ", block " + written(thread->block->index) + " of " +
                     written(grid.blocks) + ", thread " + written(thread->index) + " of " + written(grid.threads);
  return site ? text + ", " + site->text : text;
}

void Execution::report(const Thread* thread, const Site* site, const std::string& fault) {
  if (reported.size() >= MOST_FINDINGS || !reported.insert(fault.substr(0, fault.find(':')) + site->text).second) return;
  gpu::report("%s: %s", fault.c_str(), place(thread, site).c_str());
}

void Execution::end(const Thread* thread, const Site* site, CUresult error, const std::string& fault) {
  this->error = error;
  gpu::report("%s: %s", fault.c_str(), place(thread, site).c_str());
  Fiber::suspend();
  abort();
}

void Execution::endWaiting(const RunningBlock& block) {
  const RunningThread& thread = block.someWaiting();
  error = CUDA_ERROR_LAUNCH_TIMEOUT;
  const char* fault = launch.cooperative
                          ? "DEADLOCK: all blocks wait for each other"
                          : "DEADLOCK: a block waits, but the blocks of this launch need not run at the same time";
  gpu::report("%s: %s", fault, place(&thread, thread.waitsAt).c_str());
}

// In a launch that is not cooperative, the blocks run one after another, as on a GPU that can hold only one block at a time.
void Execution::run() {
  std::vector<uint32_t> order(launch.blocks());
  std::iota(order.begin(), order.end(), 0);
  if (seed()) std::shuffle(order.begin(), order.end(), randomness());
  Blocks blocks;
  for (uint32_t k : order) {
    blocks.emplace_back(new RunningBlock(&grid, k, blocks.size() * launch.threads()));
    if (launch.cooperative && blocks.size() < order.size()) continue;
    runTogether(blocks);
    if (error) return;
    blocks.clear();
  }
}

// Runs blocks until all are done. If no thread can run, threads that wait for a value to change may look at the value again,
// because it may be the value for which they wait. If no thread makes progress after this second look, no thread ever will.
void Execution::runTogether(Blocks& blocks) {
  uint64_t before = UINT64_MAX;
  auto isLeft = [](const std::unique_ptr<RunningBlock>& block) { return !block->isDone(); };
  while (std::any_of(blocks.begin(), blocks.end(), isLeft) && !error) {
    if (runEach(blocks)) continue;
    if (before == progress) return endWaiting(**std::find_if(blocks.begin(), blocks.end(), isLeft));
    before = progress;
    for (auto& block : blocks)
      if (!error) block->advance(true);
  }
}

// Runs each block that can run. With seed 0, each block runs as far as it can. With any other seed, most blocks run only to the
// next barrier, and a few blocks run as far as they can: if a block does not wait as it should, it then gets far ahead of the
// other blocks, and the error shows. Returns false if no block could run.
bool Execution::runEach(Blocks& blocks) {
  bool ran = false;
  if (seed()) std::shuffle(blocks.begin(), blocks.end(), randomness());
  for (auto& block : blocks) {
    const bool farAhead = !seed() || randomness()() % 4 == 0;
    while (!error && block->advance(false)) {
      ran = true;
      if (!farAhead) break;
    }
  }
  return ran;
}

// The number of launches and the time of each kernel, for the report at the end of the process.
static struct Statistics {
  ~Statistics() {
    for (auto& [name, entry] : ofKernel)
      append("launches", (std::to_string(entry.first) + "\t" + std::to_string(entry.second) + "\t" + name + "\n").c_str());
  }
  std::map<std::string, std::pair<uint64_t, double>> ofKernel;  // by kernel: the number of launches, and the seconds
} statistics;

CUresult execute(const Launch& launch) {
  const auto begin = std::chrono::steady_clock::now();
  Execution execution(launch);
  running = &execution;
  forgetAllocations(launch.kernel->module);
  uint32_t mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  asm volatile("ldmxcsr %0" : : "m"(DEFAULT_MXCSR));
  execution.run();
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
  running = nullptr;
  auto& entry = statistics.ofKernel[launch.kernel->info->name];
  entry.first++;
  entry.second += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return execution.error;
}

}  // namespace gpu
