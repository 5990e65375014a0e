// The API that allocates, copies and sets memory.
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "api.h"
#include "findings.h"
#include "memory.h"
#include "streams.h"

namespace gpu {

static CUresult checkMemory(uint64_t address, size_t bytes, const char* function) {
  if (!bytes || allocationOf(address, bytes)) return CUDA_SUCCESS;
  explain("%s of %zu bytes of memory that the device cannot access, %s", function, bytes, nearest(address).c_str());
  return CUDA_ERROR_INVALID_VALUE;
}

static std::function<CUresult()> copyToDevice(CUdeviceptr to, const void* from, size_t bytes) {
  return [=] {
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    define(to, bytes);
    return CUDA_SUCCESS;
  };
}

static std::function<CUresult()> copyToHost(void* to, CUdeviceptr from, size_t bytes) {
  return [=] {
    memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return CUDA_SUCCESS;
  };
}

static bool isPageable(const void* host, size_t bytes) {
  return !allocationOf(reinterpret_cast<uint64_t>(host), bytes);
}

static CUresult freeAllocation(uint64_t address, bool onDevice) {
  Allocation* allocation = allocationOf(address);
  if (!allocation || allocation->low != address || allocation->onDevice != onDevice) {
    explain("to free what is not allocated, %s", nearest(address).c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  finishAll();
  release(allocation);
  return CUDA_SUCCESS;
}

}  // namespace gpu

using namespace gpu;

EXPORT CUresult cuMemGetInfo(size_t* free, size_t* total) {
  WITH_CONTEXT;
  *free = freeMemory();
  *total = totalMemory();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc(CUdeviceptr* address, size_t bytes) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  Allocation* allocation = bytes ? allocate(bytes, true) : nullptr;
  if (!allocation) return bytes ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
  *address = allocation->low;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree(CUdeviceptr address) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  return freeAllocation(address, true);
}

EXPORT CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  Allocation* allocation = bytes ? allocate(bytes, false) : nullptr;
  if (!allocation) return bytes ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
  *address = reinterpret_cast<void*>(allocation->low);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void* address) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  return freeAllocation(reinterpret_cast<uint64_t>(address), false);
}

EXPORT CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr address) {
  WITH_CONTEXT;
  const Allocation* allocation = allocationOf(address);
  if (!allocation) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return cuCtxGetCurrent(static_cast<CUcontext*>(value));
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(value) = allocation->onDevice ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      *static_cast<CUdeviceptr*>(value) = address;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(value) = 0;
      return CUDA_SUCCESS;
    default:
      explain("attribute %d of a pointer", attribute);
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream handle) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  RETURN_ERROR(checkMemory(to, bytes, __func__));
  if (stream->capture || !isPageable(from, bytes)) return submit(stream, copyToDevice(to, from, bytes));
  auto begin = static_cast<const uint8_t*>(from);  // the call reads pageable memory before it returns
  auto staged = std::make_shared<std::vector<uint8_t>>(begin, begin + bytes);
  return submit(stream, [=] { return copyToDevice(to, staged->data(), bytes)(); });
}

EXPORT CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  RETURN_ERROR(cuMemcpyHtoDAsync(to, from, bytes, nullptr));
  return finish(&legacyStream);
}

EXPORT CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream handle) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  RETURN_ERROR(checkMemory(from, bytes, __func__));
  RETURN_ERROR(submit(stream, copyToHost(to, from, bytes)));
  return isPageable(to, bytes) && !stream->capture ? finish(stream) : CUDA_SUCCESS;  // a copy to pageable memory waits
}

EXPORT CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  RETURN_ERROR(cuMemcpyDtoHAsync(to, from, bytes, nullptr));
  return finish(&legacyStream);
}

EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  RETURN_ERROR(checkMemory(to, bytes, __func__));
  RETURN_ERROR(checkMemory(from, bytes, __func__));
  return submit(stream, [=] {
    copyWithin(to, from, bytes);
    return CUDA_SUCCESS;
  });
}

EXPORT CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  return cuMemcpyDtoDAsync(to, from, bytes, nullptr);
}
