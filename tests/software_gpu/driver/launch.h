// A launch of a kernel, and its execution.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <vector>

#include "kernels.h"

namespace gpu {

struct Kernel;

struct Launch {
  Kernel* kernel;
  uint32_t grid[3], block[3];
  uint32_t dynamicBytes;
  bool cooperative;
  std::vector<uint8_t> parameters;

  uint32_t blocks() const {
    return grid[0] * grid[1] * grid[2];
  }
  uint32_t threads() const {
    return block[0] * block[1] * block[2];
  }
};

// Runs all threads of a launch. Returns the error code that a GPU would return for the launch.
CUresult execute(const Launch& launch);

}  // namespace gpu
