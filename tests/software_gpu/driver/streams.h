// Streams. Work waits in its stream until the program waits for the stream, so that a missing synchronisation causes wrong
// results. If the variable SOFTWARE_GPU_EARLY is 1, streams that do not wait for the default stream execute
// their work at once.
#pragma once

#include <cuda.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "launch.h"

// The operations of a graph, in their order. The structure is used for a graph that is being recorded, and for an executable
// graph.
struct CUgraph_st {
  std::vector<std::function<CUresult()>> operations;
};

namespace gpu {

struct Work {
  std::function<CUresult()> run;
  CUstream_st* stream;
  std::vector<std::shared_ptr<Work>> after;  // work in other streams that must run before this work
  bool isDone;
};

}  // namespace gpu

struct CUstream_st {
  unsigned flags;
  int priority;
  std::deque<std::shared_ptr<gpu::Work>> queue;
  std::shared_ptr<gpu::Work> last;
  std::vector<std::shared_ptr<gpu::Work>> awaited;  // the next work waits for this work
  CUstreamCaptureStatus capture;
  CUstreamCaptureMode captureMode;
  CUgraph recorded;

  bool waitsForLegacy() const {
    return !(flags & CU_STREAM_NON_BLOCKING);
  }
};

namespace gpu {

// The legacy default stream waits for the work of all streams except non-blocking streams, and all streams except non-blocking
// streams wait for the work of the legacy default stream.
extern CUstream_st legacyStream;

// Returns the stream of a handle, or null.
CUstream_st* streamOf(CUstream handle);

// Appends an operation to a stream. If the stream is being recorded, the operation is appended to its graph instead.
CUresult submit(CUstream_st* stream, std::function<CUresult()> operation);

// `finish` runs all work of a stream, and `finishAll` runs all work of all streams. Both return the error of the context.
CUresult finish(CUstream_st* stream);
CUresult finishAll();

// If a stream is being recorded in a mode that forbids the function, returns an error and invalidates the recording. Functions
// of the API that are not allowed during a recording call this function first.
CUresult forbidDuringCapture(const char* function, bool inEveryMode = false);
// Does the same if `stream` is the legacy stream, whose work would have to wait for the recorded stream.
CUresult forbidLegacyDuringCapture(const CUstream_st* stream, const char* function);

}  // namespace gpu

// Declares the variable `stream` for a handle. If no work may be submitted to the stream, the function that uses the macro
// returns an error.
#define WITH_STREAM(handle)                      \
  CUstream_st* stream = gpu::streamOf(handle);   \
  if (!stream) return CUDA_ERROR_INVALID_HANDLE; \
  RETURN_ERROR(gpu::forbidLegacyDuringCapture(stream, __func__))
