// The API for streams and events.
#include "streams.h"

#include <chrono>
#include <set>

#include "api.h"
#include "findings.h"

struct CUevent_st {
  std::shared_ptr<gpu::Work> work;
  std::shared_ptr<double> seconds;
};

namespace gpu {

CUstream_st legacyStream = {};
static CUstream_st perThreadStream = {};
static std::set<CUstream_st*> created;

CUstream_st* streamOf(CUstream handle) {
  if (handle == nullptr || handle == CU_STREAM_LEGACY) return &legacyStream;
  if (handle == CU_STREAM_PER_THREAD) return &perThreadStream;
  return created.count(handle) ? handle : nullptr;
}

static std::vector<CUstream_st*> allStreams() {
  std::vector<CUstream_st*> streams(created.begin(), created.end());
  streams.insert(streams.end(), {&perThreadStream, &legacyStream});
  return streams;
}

static void finish(const std::shared_ptr<Work>& work) {
  while (!work->isDone) {
    const std::shared_ptr<Work> first = work->stream->queue.front();
    for (const auto& earlier : first->after) finish(earlier);
    if (first->isDone) continue;
    work->stream->queue.pop_front();
    first->isDone = true;
    const CUresult error = lostContext ? lostContext : first->run();
    if (error && !lostContext) lostContext = error;
    first->run = nullptr;
    first->after.clear();
  }
}

CUresult finish(CUstream_st* stream) {
  if (stream->last) finish(stream->last);
  return lostContext;
}

CUresult finishAll() {
  for (CUstream_st* stream : allStreams()) finish(stream);
  return lostContext;
}

static void awaitLastOf(CUstream_st* other, Work* work) {
  if (other->last && !other->last->isDone) work->after.push_back(other->last);
}

// Work in a stream that does not wait for the default stream may be done before earlier work of other streams. The setting
// is read each time, because tests change the variable while they run.
static bool isEarly(const CUstream_st* stream) {
  return stream != &legacyStream && !stream->waitsForLegacy() && setting("SOFTWARE_GPU_EARLY", 0);
}

static void enqueue(CUstream_st* stream, std::function<CUresult()> operation) {
  const size_t MOST_WORK = 1000;  // a longer queue would need much memory
  auto work = std::make_shared<Work>(Work{std::move(operation), stream, std::move(stream->awaited), false});
  stream->awaited.clear();
  if (stream != &legacyStream && stream->waitsForLegacy()) awaitLastOf(&legacyStream, work.get());
  if (stream == &legacyStream)
    for (CUstream_st* other : allStreams())
      if (other != stream && other->waitsForLegacy()) awaitLastOf(other, work.get());
  stream->queue.push_back(work);
  stream->last = work;
  if (stream->queue.size() > MOST_WORK || isEarly(stream)) finish(work);
}

CUresult submit(CUstream_st* stream, std::function<CUresult()> operation) {
  if (stream->capture == CU_STREAM_CAPTURE_STATUS_INVALIDATED) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (stream->capture == CU_STREAM_CAPTURE_STATUS_ACTIVE)
    stream->recorded->operations.push_back(std::move(operation));
  else
    enqueue(stream, std::move(operation));
  return CUDA_SUCCESS;
}

// Recording. The mode CU_STREAM_CAPTURE_MODE_GLOBAL forbids all calls that may be unsafe. The driver treats all other modes as
// CU_STREAM_CAPTURE_MODE_RELAXED, which forbids only calls that wait for the recorded stream.

static CUresult invalidate(CUstream_st* recorded, const char* function, CUresult error) {
  report("CAPTURE: %s is not allowed while a stream is recorded", function);
  recorded->capture = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
  return error;
}

CUresult forbidDuringCapture(const char* function, bool inEveryMode) {
  for (CUstream_st* stream : created)
    if (stream->capture == CU_STREAM_CAPTURE_STATUS_ACTIVE &&
        (inEveryMode || stream->captureMode == CU_STREAM_CAPTURE_MODE_GLOBAL))
      return invalidate(stream, function, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  return CUDA_SUCCESS;
}

CUresult forbidLegacyDuringCapture(const CUstream_st* stream, const char* function) {
  if (stream != &legacyStream) return CUDA_SUCCESS;
  for (CUstream_st* other : created)
    if (other->capture == CU_STREAM_CAPTURE_STATUS_ACTIVE && other->waitsForLegacy())
      return invalidate(other, function, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  return CUDA_SUCCESS;
}

}  // namespace gpu

using namespace gpu;

EXPORT CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  WITH_CONTEXT;
  *stream = new CUstream_st{};
  (*stream)->flags = flags;
  (*stream)->priority = priority;
  created.insert(*stream);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  return cuStreamCreateWithPriority(stream, flags, 0);
}

// The structure is not freed, because work that is done may still point to it.
EXPORT CUresult cuStreamDestroy(CUstream handle) {
  WITH_CONTEXT;
  if (!created.count(handle)) return CUDA_ERROR_INVALID_HANDLE;
  finish(handle);
  created.erase(handle);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream handle) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  if (stream->capture) return invalidate(stream, __func__, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  if (stream == &legacyStream)
    for (CUstream_st* other : allStreams())
      if (other->waitsForLegacy()) finish(other);
  return finish(stream);
}

EXPORT CUresult cuCtxSynchronize(void) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__, true));
  return finishAll();
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return CUDA_SUCCESS;
}

// Events

EXPORT CUresult cuEventCreate(CUevent* event, unsigned) {
  WITH_CONTEXT;
  *event = new CUevent_st{};
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy(CUevent event) {
  delete event;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream handle) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  if (stream->capture) {
    explain("events in a recorded stream are not emulated");
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  auto seconds = std::make_shared<double>(0);
  enqueue(stream, [seconds] {
    *seconds = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    return CUDA_SUCCESS;
  });
  event->work = stream->last;
  event->seconds = seconds;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent event) {
  WITH_CONTEXT;
  RETURN_ERROR(forbidDuringCapture(__func__));
  if (event->work) finish(event->work);
  return lostContext;
}

EXPORT CUresult cuEventQuery(CUevent event) {
  return cuEventSynchronize(event);
}

EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  WITH_CONTEXT;
  if (!begin->work || !end->work) return CUDA_ERROR_INVALID_HANDLE;
  if (!begin->work->isDone || !end->work->isDone) return CUDA_ERROR_NOT_READY;
  *milliseconds = (*end->seconds - *begin->seconds) * 1e3;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  if (stream->capture) {
    explain("events in a recorded stream are not emulated");
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (event->work && !event->work->isDone) stream->awaited.push_back(event->work);
  return CUDA_SUCCESS;
}
