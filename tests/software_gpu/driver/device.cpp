// The API for the driver itself, the device and its context. There is one device, which has the limits of an H100, and one
// context.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "api.h"
#include "findings.h"
#include "limits.h"
#include "memory.h"

struct CUctx_st {};

namespace gpu {

std::recursive_mutex mutex;
CUresult lostContext = CUDA_SUCCESS;

static CUctx_st context;
static bool isInitialized = false;
static thread_local std::vector<CUcontext> contexts;  // the contexts of this thread; the last context is current

CUresult contextError() {
  if (!isInitialized) return CUDA_ERROR_NOT_INITIALIZED;
  return contexts.empty() || !contexts.back() ? CUDA_ERROR_INVALID_CONTEXT : lostContext;
}

}  // namespace gpu

using namespace gpu;

EXPORT CUresult cuInit(unsigned) {
  isInitialized = true;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = CUDA_VERSION;
  return CUDA_SUCCESS;
}

// Finds a function of the API by its name. Names are tried with suffixes, because cuda.h renames a function with a macro each
// time that the function's parameters change.
EXPORT CUresult cuGetProcAddress(const char* name, void** function, int, cuuint64_t, CUdriverProcAddressQueryResult* status) {
  static void* self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  const std::string plain = strcmp(name, "cuGraphInstantiate") ? name : "cuGraphInstantiateWithFlags";
  *function = nullptr;
  for (const char* suffix : {"_v4", "_v3", "_v2", ""})
    if (!*function) *function = dlsym(self, (plain + suffix).c_str());
  if (status) *status = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

// Errors

struct Error {
  CUresult code;
  const char *name, *text;
};

#define ERROR(name, text) {name, #name, text}

static const Error ERRORS[] = {
    ERROR(CUDA_SUCCESS, "no error"),
    ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    ERROR(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in cooperative launch"),
    ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "operation would make the legacy stream depend on a capturing blocking stream"),
};

static const Error* errorOf(CUresult code) {
  for (const Error& error : ERRORS)
    if (error.code == code) return &error;
  return nullptr;
}

EXPORT CUresult cuGetErrorName(CUresult code, const char** name) {
  const Error* error = errorOf(code);
  *name = error ? error->name : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult code, const char** text) {
  const Error* error = errorOf(code);
  *text = error ? error->text : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// The device

EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice* device, int number) {
  *device = number;
  return number == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice) {
  snprintf(name, length, "software GPU");
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice) {
  memset(uuid, 0x42, sizeof *uuid);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) {
  *bytes = totalMemory();
  return CUDA_SUCCESS;
}

// All other attributes are 0, because the device does not have the features that these attributes describe.
EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  static const std::map<int, int> ATTRIBUTES = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, multiprocessors()},
      {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, MOST_THREADS},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, MOST_THREADS},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, MOST_THREADS},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, MOST_THREADS_Z},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, MOST_BLOCKS_X},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, MOST_BLOCKS_YZ},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, MOST_BLOCKS_YZ},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, PLAIN_SHARED_BYTES},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, MOST_SHARED_BYTES},
      {CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, RESERVED_SHARED_BYTES},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, SHARED_BYTES_OF_MULTIPROCESSOR},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, REGISTERS},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, REGISTERS},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, MOST_WARPS_OF_MULTIPROCESSOR * WARP},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, MOST_BLOCKS_OF_MULTIPROCESSOR},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, WARP},
      {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
      {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
      {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1980000},
      {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 2619000},
      {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
      {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 52428800},
      {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2},
  };
  auto found = ATTRIBUTES.find(attribute);
  *value = found == ATTRIBUTES.end() ? 0 : found->second;
  return CUDA_SUCCESS;
}

// The context

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* retained, CUdevice) {
  *retained = &context;
  return isInitialized ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice) {
  return CUDA_SUCCESS;
}

// Makes a lost context usable again. Unlike on a GPU, memory and modules remain valid, so that a test that loses the context
// does not disturb later tests.
EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice) {
  lostContext = CUDA_SUCCESS;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext* current) {
  *current = contexts.empty() ? nullptr : contexts.back();
  return isInitialized ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

EXPORT CUresult cuCtxPushCurrent(CUcontext pushed) {
  contexts.push_back(pushed);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent(CUcontext* popped) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (popped) *popped = contexts.back();
  contexts.pop_back();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext current) {
  if (!contexts.empty()) contexts.pop_back();
  if (current) contexts.push_back(current);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  *device = 0;
  return contexts.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCtx(CUstream, CUcontext* ofStream) {
  *ofStream = &context;
  return CUDA_SUCCESS;
}
