// Modules: the translated kernels that a program has loaded.
#pragma once

#include <map>
#include <string>

#include "kernels.h"

namespace gpu {

struct Module;

struct Kernel {
  const KernelInfo* info;
  Module* module;
  int dynamicLimit;  // the largest number of bytes of dynamic shared memory for a launch

  // Returns how many blocks can run on a multiprocessor at the same time.
  uint32_t blocksPerMultiprocessor(uint32_t threads, uint32_t dynamicBytes) const;
  uint32_t registersPerWarp() const;
};

struct Module {
  const ModuleInfo* info;
  std::map<std::string, Kernel> kernels;
};

// Deletes the allocations that the sites of a module keep, so that the next accesses look up the allocations again.
void forgetAllocations(Module* module);

}  // namespace gpu
