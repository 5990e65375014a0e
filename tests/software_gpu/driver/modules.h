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
  int dynamicLimit;  // how many bytes of dynamic shared memory a launch may ask for

  // The number of blocks that run on a multiprocessor at the same time.
  uint32_t blocksPerMultiprocessor(uint32_t threads, uint32_t dynamicBytes) const;
  uint32_t registersPerWarp() const;
};

struct Module {
  const ModuleInfo* info;
  std::map<std::string, Kernel> kernels;
};

// Makes the sites of a module look up their allocations again.
void forgetAllocations(Module* module);

}  // namespace gpu
