"""Who drives the loops. Every engine has the same face, see `numbanet.engines.interface`."""

from numbanet._compile import config
from numbanet.engines.cpu.threads import get_num_threads as get_num_threads
from numbanet.engines.cpu.threads import set_num_threads as set_num_threads
from numbanet.engines.interface import Engine as Engine
from numbanet.engines.topology import Topology as Topology


def make_engine(topology: Topology, device: str, kernels: str) -> Engine:
    """The engine for a device ("cpu" or "cuda") and a rung ("fast" or "reference").

    Where NUMBA_DISABLE_JIT is set, to step through the loops in Python, it is always the reference rung: the fast one exists
    compiled only.
    """
    if kernels == "fast" and not config.DISABLE_JIT:
        if device == "cpu":
            from numbanet.engines.cpu.engine import FastCpuEngine

            return FastCpuEngine(topology)
        from numbanet.engines.cuda.engine import FastCudaEngine
        from numbanet.engines.cuda.guarding import guarded

        return guarded(FastCudaEngine, topology)
    from numbanet.engines.reference import ReferenceEngine

    if device == "cpu":
        return ReferenceEngine(topology, device)
    from numbanet.engines.cuda.guarding import guarded

    return guarded(ReferenceEngine, topology, device)
