// Streams. Work waits in its stream until somebody needs the result, so that a missing synchronisation shows. With the variable
// SOFTWARE_GPU_EARLY, work beside the default stream does not wait.
#pragma once

#include <cuda.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "launch.h"

// A graph while it is recorded, and one that can be launched: operations in their order.
struct CUgraph_st {
  std::vector<std::function<CUresult()>> operations;
};

namespace gpu {

struct Work {
  std::function<CUresult()> run;
  CUstream_st* stream;
  std::vector<std::shared_ptr<Work>> after;  // work in other streams that must come before
  bool isDone;
};

}  // namespace gpu

struct CUstream_st {
  unsigned flags;
  int priority;
  std::deque<std::shared_ptr<gpu::Work>> queue;
  std::shared_ptr<gpu::Work> last;
  std::vector<std::shared_ptr<gpu::Work>> awaited;  // by the next work
  CUstreamCaptureStatus capture;
  CUstreamCaptureMode captureMode;
  CUgraph recorded;

  bool waitsForLegacy() const {
    return !(flags & CU_STREAM_NON_BLOCKING);
  }
};

namespace gpu {

// The legacy default stream waits for the work of all streams but non-blocking ones, and these wait for its work.
extern CUstream_st legacyStream;

// The stream of a handle, or null.
CUstream_st* streamOf(CUstream handle);

// Appends an operation to a stream, or to the graph that is recorded from it.
CUresult submit(CUstream_st* stream, std::function<CUresult()> operation);

// Runs all work of a stream, or of all streams. Returns the error of the context.
CUresult finish(CUstream_st* stream);
CUresult finishAll();

// Fails, and invalidates the recording, if a stream is being recorded in a mode that forbids the function.
CUresult forbidDuringCapture(const char* function, bool inEveryMode = false);
// The same for work in the legacy stream, which would have to wait for the recorded stream.
CUresult forbidLegacyDuringCapture(const CUstream_st* stream, const char* function);

}  // namespace gpu

// Declares `stream` for a handle. Goes on only if work may be submitted to the stream.
#define WITH_STREAM(handle)                      \
  CUstream_st* stream = gpu::streamOf(handle);   \
  if (!stream) return CUDA_ERROR_INVALID_HANDLE; \
  RETURN_ERROR(gpu::forbidLegacyDuringCapture(stream, __func__))
