// The API for modules and kernels, and the limits of launches.
//
// An image is the prefix IMAGE, followed by the path of a library that linking.py has translated and compiled.
#include "modules.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>

#include "api.h"
#include "findings.h"
#include "limits.h"
#include "streams.h"

namespace gpu {

static const char IMAGE[] = "software GPU: ";

int multiprocessors() {
  static const int count = setting("SOFTWARE_GPU_MULTIPROCESSORS", 16);
  return count;
}

static int roundedUp(int number, int unit) {
  return (number + unit - 1) / unit * unit;
}

// A warp gets a multiple of 256 registers.
uint32_t Kernel::registersPerWarp() const {
  return roundedUp(info->registers * WARP, 256);
}

// Computes as NVIDIA's occupancy calculator does: the bytes of shared memory are rounded up to a multiple of 128, and the
// number of warps that get registers to a multiple of 4.
uint32_t Kernel::blocksPerMultiprocessor(uint32_t threads, uint32_t dynamicBytes) const {
  const int warps = roundedUp(threads, WARP) / WARP;
  const int sharedBytes = roundedUp(info->staticBytes + dynamicBytes + RESERVED_SHARED_BYTES, 128);
  const int registers = registersPerWarp() * roundedUp(warps, 4);
  return std::min({MOST_BLOCKS_OF_MULTIPROCESSOR, MOST_WARPS_OF_MULTIPROCESSOR / warps,
                   SHARED_BYTES_OF_MULTIPROCESSOR / sharedBytes,
                   registers ? REGISTERS / registers : MOST_BLOCKS_OF_MULTIPROCESSOR});
}

void forgetAllocations(Module* module) {
  for (uint32_t k = 0; k < module->info->siteCount; k++) {
    Site* site = &module->info->sites[k];
    site->low = site->high = 0;
    site->allocation = nullptr;
  }
}

static CUresult load(Module** loaded, const char* image) {
  if (strncmp(image, IMAGE, sizeof IMAGE - 1)) {
    explain("an image that does not come from linking.py; is its folder startup/ in PYTHONPATH?");
    return CUDA_ERROR_INVALID_IMAGE;
  }
  void* library = dlopen(image + sizeof IMAGE - 1, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    explain("%s", dlerror());
    return CUDA_ERROR_INVALID_IMAGE;
  }
  auto info = reinterpret_cast<const ModuleInfo* (*)()>(dlsym(library, "moduleInfo"))();
  auto module = new Module{info, {}};
  for (uint32_t k = 0; k < info->kernelCount; k++) {
    const KernelInfo* kernel = &info->kernels[k];
    module->kernels[kernel->name] = Kernel{kernel, module, PLAIN_SHARED_BYTES - static_cast<int>(kernel->staticBytes)};
  }
  *loaded = module;
  return CUDA_SUCCESS;
}

static CUresult kernelAttribute(int* value, CUfunction_attribute attribute, const Kernel* kernel) {
  const KernelInfo* info = kernel->info;
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = std::min<int>(MOST_THREADS, REGISTERS / std::max<int>(1, kernel->registersPerWarp()) * WARP);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = info->staticBytes;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *value = info->localBytes;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *value = info->registers;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = kernel->dynamicLimit;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      *value = 0;
      return CUDA_SUCCESS;
    default:
      explain("attribute %d of a kernel", attribute);
      return CUDA_ERROR_INVALID_VALUE;
  }
}

static CUresult setKernelAttribute(CUfunction_attribute attribute, int value, Kernel* kernel) {
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    explain("to set attribute %d of a kernel", attribute);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (value < 0 || value + static_cast<int>(kernel->info->staticBytes) > MOST_SHARED_BYTES) {
    explain("%d bytes of dynamic and %u of static shared memory are more than a block can have", value,
            kernel->info->staticBytes);
    return CUDA_ERROR_INVALID_VALUE;
  }
  kernel->dynamicLimit = value;
  return CUDA_SUCCESS;
}

template <class Handle>
static Kernel* kernelOf(Handle handle) {
  return reinterpret_cast<Kernel*>(handle);
}

}  // namespace gpu

using namespace gpu;

EXPORT CUresult cuLibraryLoadData(CUlibrary* library, const void* image, CUjit_option*, void**, unsigned, CUlibraryOption*,
                                  void**, unsigned) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  return load(reinterpret_cast<Module**>(library), static_cast<const char*>(image));
}

EXPORT CUresult cuLibraryUnload(CUlibrary) {
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  auto& kernels = reinterpret_cast<Module*>(library)->kernels;
  auto found = kernels.find(name);
  if (found == kernels.end()) return CUDA_ERROR_NOT_FOUND;
  *kernel = reinterpret_cast<CUkernel>(&found->second);
  return CUDA_SUCCESS;
}

// The driver uses the same structure for a library and for its module.
EXPORT CUresult cuLibraryGetModule(CUmodule* module, CUlibrary library) {
  *module = reinterpret_cast<CUmodule>(library);
  return CUDA_SUCCESS;
}

// Translated kernels have no global variables.
EXPORT CUresult cuModuleGetGlobal(CUdeviceptr*, size_t*, CUmodule, const char*) {
  return CUDA_ERROR_NOT_FOUND;
}

EXPORT CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  *function = reinterpret_cast<CUfunction>(kernel);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuKernelGetParamInfo(CUkernel handle, size_t number, size_t* offset, size_t* bytes) {
  const KernelInfo* info = kernelOf(handle)->info;
  if (number >= info->parameterCount) return CUDA_ERROR_INVALID_VALUE;
  *offset = info->parameters[number].offset;
  if (bytes) *bytes = info->parameters[number].bytes;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attribute, CUkernel kernel, CUdevice) {
  return kernelAttribute(value, attribute, kernelOf(kernel));
}

EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  return kernelAttribute(value, attribute, kernelOf(function));
}

EXPORT CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice) {
  WITH_CONTEXT;
  return setKernelAttribute(attribute, value, kernelOf(kernel));
}

EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  WITH_CONTEXT;
  return setKernelAttribute(attribute, value, kernelOf(function));
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int threads,
                                                            size_t dynamicBytes) {
  if (threads < 1 || threads > MOST_THREADS) return CUDA_ERROR_INVALID_VALUE;
  *blocks = kernelOf(function)->blocksPerMultiprocessor(threads, dynamicBytes);
  return CUDA_SUCCESS;
}
