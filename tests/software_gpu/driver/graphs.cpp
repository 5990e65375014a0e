// The API for graphs, which record the work of a stream so that a program can launch the recorded work many times.
#include <map>

#include "api.h"
#include "findings.h"
#include "streams.h"

// An object that is kept as long as graphs need it, such as a Python object with the arguments of a launch.
struct CUuserObject_st {
  void* pointer;
  CUhostFn destroy;
  long references;
};

namespace gpu {

static std::map<CUgraph, std::map<CUuserObject, unsigned>> objectsOf;

static void letGo(CUuserObject object, unsigned count) {
  object->references -= count;
  if (object->references > 0) return;
  object->destroy(object->pointer);
  delete object;
}

static void destroyGraph(CUgraph graph) {
  for (auto& [object, count] : objectsOf[graph]) letGo(object, count);
  objectsOf.erase(graph);
  delete graph;
}

}  // namespace gpu

using namespace gpu;

EXPORT CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  if (stream == &legacyStream || stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  stream->capture = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  stream->captureMode = mode;
  stream->recorded = new CUgraph_st;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  *status = stream->capture;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
                                       const CUgraphNode** nodes, const CUgraphEdgeData** edges, size_t* count) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  *status = stream->capture;
  if (id) *id = reinterpret_cast<cuuint64_t>(stream->recorded);
  if (graph) *graph = stream->recorded;
  if (nodes) *nodes = nullptr;
  if (edges) *edges = nullptr;
  if (count) *count = 0;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  const CUstreamCaptureStatus status = stream->capture;
  stream->capture = CU_STREAM_CAPTURE_STATUS_NONE;
  *graph = status == CU_STREAM_CAPTURE_STATUS_ACTIVE ? stream->recorded : nullptr;
  if (status == CU_STREAM_CAPTURE_STATUS_NONE) return CUDA_ERROR_INVALID_VALUE;
  return status == CU_STREAM_CAPTURE_STATUS_ACTIVE ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
}

EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  WITH_CONTEXT;
  destroyGraph(graph);
  return CUDA_SUCCESS;
}

// An executable graph is a copy of the recorded graph, and keeps the same user objects.
EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec* executable, CUgraph graph,
                                             CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  WITH_CONTEXT;
  auto copy = new CUgraph_st(*graph);
  for (auto& [object, count] : objectsOf[graph]) {
    objectsOf[copy][object] = 1;
    object->references++;
  }
  *executable = reinterpret_cast<CUgraphExec>(copy);
  parameters->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiate(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  CUDA_GRAPH_INSTANTIATE_PARAMS parameters = {};
  return cuGraphInstantiateWithParams(executable, graph, &parameters);
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec executable) {
  WITH_CONTEXT;
  finishAll();
  destroyGraph(reinterpret_cast<CUgraph>(executable));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec executable, CUstream handle) {
  WITH_CONTEXT;
  WITH_STREAM(handle);
  if (stream->capture) {
    explain("graphs within graphs are not emulated");
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  append("graphs", "1\n");
  for (const auto& operation : reinterpret_cast<CUgraph>(executable)->operations) RETURN_ERROR(submit(stream, operation));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuUserObjectCreate(CUuserObject* object, void* pointer, CUhostFn destroy, unsigned count, unsigned) {
  *object = new CUuserObject_st{pointer, destroy, static_cast<long>(count)};
  return CUDA_SUCCESS;
}

EXPORT CUresult cuUserObjectRelease(CUuserObject object, unsigned count) {
  WITH_CONTEXT;
  letGo(object, count);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned count, unsigned flags) {
  WITH_CONTEXT;
  objectsOf[graph][object] += count;
  if (!(flags & CU_GRAPH_USER_OBJECT_MOVE)) object->references += count;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned count) {
  WITH_CONTEXT;
  if ((objectsOf[graph][object] -= count) == 0) objectsOf[graph].erase(object);
  letGo(object, count);
  return CUDA_SUCCESS;
}
