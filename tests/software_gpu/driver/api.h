// For the files that define functions of the driver's API.
#pragma once

#include <cuda.h>

#include <mutex>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace gpu {

// Held by every function of the API. Recursive, because some of them call each other.
extern std::recursive_mutex mutex;

// The error that the functions of the API return from a failed kernel on.
extern CUresult lostContext;

// CUDA_SUCCESS if the calling thread has a usable context.
CUresult contextError();

}  // namespace gpu

#define RETURN_ERROR(call)                     \
  do {                                         \
    const CUresult error_ = (call);            \
    if (error_ != CUDA_SUCCESS) return error_; \
  } while (0)

// The beginning of a function that needs a context.
#define WITH_CONTEXT                                       \
  std::lock_guard<std::recursive_mutex> lock_(gpu::mutex); \
  RETURN_ERROR(gpu::contextError())
