"""The contestants on a GPU: numbanet's reference and fast kernels, and its peers, with all data on the device.

They have the interface `benchmarks.peers.Contestant`. All compute in float32, none in TF32.
"""

from functools import partial
from typing import Any

from benchmarks import peers
from benchmarks.rungs import Problem, Rung

PEERS = ("PyTorch", "torch.compile", "CUDA graph", "JAX")
# The reference kernels take too long beyond this many operations per step.
REFERENCE_OPERATIONS = 1e9
WARM_UP_STEPS = 3


class Reference(peers.Cuda):
    """The kernels of `numbanet.equations`."""

    kernels = "reference"


class Torch(peers.Torch):
    """The plain training loop of PyTorch in eager mode."""

    device = "cuda"

    def __init__(self, rung: Rung, problem: Problem):
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ImportError("the installed PyTorch finds no GPU")
        torch.set_float32_matmul_precision("highest")
        super().__init__(rung, problem)


class TorchCompiled(Torch):
    """The same loop, with network and loss, forward and backward, compiled by `torch.compile` in the mode max-autotune."""

    def __init__(self, rung: Rung, problem: Problem):
        super().__init__(rung, problem)

        def loss(x, labels):
            return self.loss(self.model(x), labels)

        self.compiled = self.torch.compile(loss, mode="max-autotune")

    def _loss(self, x, labels):
        self.torch.compiler.cudagraph_mark_step_begin()
        return self.compiled(x, labels)

    def _step(self, rows):
        return super()._step(rows).clone()  # the next step overwrites the loss


class TorchGraph(Torch):
    """The same step as one CUDA graph, which also chooses the samples and adds up the losses."""

    def __init__(self, rung: Rung, problem: Problem):
        super().__init__(rung, problem)
        torch = self.torch
        self.order = torch.arange(rung.samples, device=self.device).view(rung.steps, rung.batch)
        self.number = torch.zeros(1, dtype=torch.int64, device=self.device)  # of the step, in its epoch
        self.total = torch.zeros((), device=self.device)
        start = [parameter.detach().clone() for parameter in self.model.parameters()]
        self.replay = self._captured()
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), start, strict=True):
                parameter.copy_(value)

    def prepare(self, order: peers.Order) -> Any:
        """Returns the batches as a tensor (steps, batch) on the device."""
        return self.ready(order).view(self.rung.steps, self.rung.batch)

    def train(self, batches: Any) -> float:
        """Trains one epoch of batches by replays of the graph; returns its mean loss."""
        self.order.copy_(batches)
        self.number.zero_()
        self.total.zero_()
        for _ in range(self.rung.steps):
            self.replay()
        return self.total.item() / self.rung.steps

    def _numbered_step(self):
        self.total += self._step(self.order[self.number].view(-1))
        self.number += 1

    def _captured(self):
        """Returns a function that replays a step, captured as PyTorch requires: after some steps on another stream."""
        cuda = self.torch.cuda
        warm_up = cuda.Stream()
        warm_up.wait_stream(cuda.current_stream())
        with cuda.stream(warm_up):
            for _ in range(WARM_UP_STEPS):
                self.number.zero_()
                self._numbered_step()
        cuda.current_stream().wait_stream(warm_up)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            self._numbered_step()
        return graph.replay


class Jax(peers.Jax):
    """JAX: `jit` over a `lax.scan` of the whole epoch, which updates donated parameters."""

    def __init__(self, rung: Rung, problem: Problem):
        import jax

        if jax.default_backend() != "gpu":
            raise ImportError("the installed JAX finds no GPU")
        jax.config.update("jax_default_matmul_precision", "highest")
        super().__init__(rung, problem)


CONTESTANTS: dict[str, peers.Maker] = {
    "numbanet": peers.Cuda,
    "reference": Reference,
    "PyTorch": Torch,
    "torch.compile": TorchCompiled,
    "CUDA graph": TorchGraph,
    "JAX": Jax,
}
# In a dry run the peers compute on the CPU, and those that exist for GPUs only take no part.
DRY: dict[str, peers.Maker] = CONTESTANTS | {"PyTorch": peers.Torch, "JAX": peers.Jax}
DRY_ABSENT = {"torch.compile": "needs a GPU", "CUDA graph": "needs a GPU"}


class Planned(peers.Cuda):
    """numbanet, by a given plan in place of the one it would choose.

    Parameters
    ----------
    plan : numbanet.engines.cuda.planning.Plan
    rung : Rung
    problem : Problem
    """

    def __init__(self, plan: Any, rung: Rung, problem: Problem):
        super().__init__(rung, problem)
        self.engine.engine.plan = lambda batch_size, epoch: plan  # of the engine that is guarded


def plans(rung: Rung) -> dict[str, Any]:
    """Returns numbanet's plans for a rung on this GPU, by way of training; the plan that it chooses is named "numbanet"."""
    from numbanet.engines.cuda import planning
    from numbanet.engines.cuda.memory.limits import present_limits

    case = peers.topology(rung), rung.batch, present_limits()
    chosen = planning.plan(*case)
    return {"numbanet" if plan == chosen else plan.way: plan for plan in planning.possible_plans(*case)}


def makers(rung: Rung, dry: bool) -> dict[str, peers.Maker]:
    """Returns, by name, the function of a rung and a problem that makes each contestant."""
    makers = dict(DRY if dry else CONTESTANTS)
    if rung.operations / rung.steps > REFERENCE_OPERATIONS:
        del makers["reference"]
    return makers | {name: partial(Planned, plan) for name, plan in plans(rung).items() if name not in makers}
