// The API for launches, and the checks of their sizes.
#include <cstring>

#include "api.h"
#include "findings.h"
#include "launch.h"
#include "limits.h"
#include "modules.h"
#include "streams.h"

namespace gpu {

struct Refusal {
  CUresult error;
  const char* reason;
};

static Refusal refusalOf(const Launch& launch) {
  const KernelInfo* info = launch.kernel->info;
  const uint64_t threads = uint64_t(launch.block[0]) * launch.block[1] * launch.block[2];
  const uint64_t blocks = uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2];
  if (!threads || !blocks) return {CUDA_ERROR_INVALID_VALUE, "no blocks or no threads"};
  if (threads > MOST_THREADS || launch.block[2] > MOST_THREADS_Z)
    return {CUDA_ERROR_INVALID_VALUE, "too many threads in a block"};
  if (info->maximalThreads && threads > info->maximalThreads)
    return {CUDA_ERROR_INVALID_VALUE, "more threads in a block than the kernel's launch bounds"};
  if (launch.grid[0] > MOST_BLOCKS_X || launch.grid[1] > MOST_BLOCKS_YZ || launch.grid[2] > MOST_BLOCKS_YZ)
    return {CUDA_ERROR_INVALID_VALUE, "too many blocks"};
  if (static_cast<int64_t>(launch.dynamicBytes) > launch.kernel->dynamicLimit)
    return {CUDA_ERROR_INVALID_VALUE, "more shared memory than the kernel may have; see MAX_DYNAMIC_SHARED_SIZE_BYTES"};
  const uint32_t atOnce = launch.kernel->blocksPerMultiprocessor(threads, launch.dynamicBytes);
  if (!atOnce) return {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many registers in a block"};
  if (launch.cooperative && blocks > uint64_t(atOnce) * multiprocessors())
    return {CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "more blocks than can run at the same time"};
  return {CUDA_SUCCESS, nullptr};
}

static void explainRefusal(const Launch& launch, const char* reason) {
  const uint32_t *grid = launch.grid, *block = launch.block;
  const KernelInfo* info = launch.kernel->info;
  explain("a launch of %s with %s: (%u, %u, %u) blocks of (%u, %u, %u) threads, %u registers, %u + %u bytes of shared memory%s",
          info->title, reason, grid[0], grid[1], grid[2], block[0], block[1], block[2], info->registers, info->staticBytes,
          launch.dynamicBytes, launch.cooperative ? ", cooperative" : "");
}

// Copies the arguments. The bytes between the arguments are 0xEE, so that a kernel that reads these bytes gets wrong values.
static std::vector<uint8_t> parametersOf(const KernelInfo* info, void** arguments) {
  std::vector<uint8_t> bytes(info->parameterBytes, 0xEE);
  for (uint32_t k = 0; k < info->parameterCount; k++)
    memcpy(bytes.data() + info->parameters[k].offset, arguments[k], info->parameters[k].bytes);
  return bytes;
}

static CUresult start(Launch launch, CUstream handle, void** arguments) {
  WITH_STREAM(handle);
  const Refusal refusal = refusalOf(launch);
  if (refusal.error) {
    explainRefusal(launch, refusal.reason);
    return refusal.error;
  }
  launch.parameters = parametersOf(launch.kernel->info, arguments);
  return submit(stream, [launch] { return execute(launch); });
}

static Kernel* kernelOf(CUfunction function) {
  return reinterpret_cast<Kernel*>(function);
}

}  // namespace gpu

using namespace gpu;

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                               unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream handle, void** arguments,
                               void**) {
  WITH_CONTEXT;
  return start({kernelOf(function), {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes, false, {}}, handle,
               arguments);
}

EXPORT CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                                          unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream handle,
                                          void** arguments) {
  WITH_CONTEXT;
  return start({kernelOf(function), {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes, true, {}}, handle, arguments);
}

EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments, void**) {
  WITH_CONTEXT;
  Launch launch = {kernelOf(function),
                   {config->gridDimX, config->gridDimY, config->gridDimZ},
                   {config->blockDimX, config->blockDimY, config->blockDimZ},
                   config->sharedMemBytes,
                   false,
                   {}};
  for (unsigned k = 0; k < config->numAttrs; k++) {
    if (config->attrs[k].id != CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      explain("launch attribute %d", config->attrs[k].id);
      return CUDA_ERROR_NOT_SUPPORTED;
    }
    launch.cooperative = config->attrs[k].value.cooperative;
  }
  return start(launch, config->hStream, arguments);
}
