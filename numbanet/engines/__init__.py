"""Engines: the objects that hold a network's parameters and perform its computations.

Every engine implements the protocol `numbanet.engines.interface.Engine`.
"""

from numbanet._compile import config
from numbanet.engines.cpu.threads import get_num_threads as get_num_threads
from numbanet.engines.cpu.threads import set_num_threads as set_num_threads
from numbanet.engines.interface import Engine as Engine
from numbanet.engines.topology import Topology as Topology


def make_engine(topology: Topology, device: str, kernels: str) -> Engine:
    """Returns a new engine for a network. All parameters of the new engine are 0.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    device : str
        The device that computes: "cpu" or "cuda".
    kernels : str
        "fast" for the optimised kernels; "reference" for the plain loops of `numbanet.equations`. If the environment variable
        NUMBA_DISABLE_JIT is set (for example to debug the loops in Python), the engine is always a reference engine, because
        the fast kernels exist only in compiled form. If `device` is "cpu" and the fast engine would need far more memory than
        the parameters take (see `wastes_memory`), the engine is also a reference engine.

    Returns
    -------
    Engine
        A `FastCpuEngine`, a `FastCudaEngine` or a `ReferenceEngine`. An engine for "cuda" is wrapped in a `GuardedEngine`,
        which restores the parameters if a call fails.
    """
    if kernels == "fast" and not config.DISABLE_JIT:
        if device == "cpu":
            from numbanet.engines.cpu.engine import FastCpuEngine
            from numbanet.engines.cpu.kernels.layout import wastes_memory

            if not wastes_memory(topology):
                return FastCpuEngine(topology)
        else:
            from numbanet.engines.cuda.engine import FastCudaEngine
            from numbanet.engines.cuda.guarding import guarded

            return guarded(FastCudaEngine, topology)
    from numbanet.engines.reference import ReferenceEngine

    if device == "cpu":
        return ReferenceEngine(topology, device)
    from numbanet.engines.cuda.guarding import guarded

    return guarded(ReferenceEngine, topology, device)
