// Declarations for the files that define functions of the driver's API.
#pragma once

#include <cuda.h>

#include <mutex>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace gpu {

// Every function of the API locks this mutex. It is recursive, because some of the functions call each other.
extern std::recursive_mutex mutex;

// CUDA_SUCCESS, or after a kernel has failed, the error that the functions of the API return from then on.
extern CUresult lostContext;

// Returns CUDA_SUCCESS if the calling thread has a usable context, and an error otherwise.
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
