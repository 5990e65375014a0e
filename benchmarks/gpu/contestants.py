"""The contestants on a GPU, which are the implementations to compare: numbanet's kernels, PyTorch and JAX.

All data of the contestants is in GPU memory. All contestants implement the interface `benchmarks.peers.Contestant`. All
contestants compute in float32, not in TF32.
"""

from functools import partial
from typing import Any

from benchmarks import peers
from benchmarks.rungs import Problem, Rung

PEERS = ("PyTorch", "torch.compile", "CUDA graph", "JAX")
# The reference kernels are left out if a step has more operations than this, because they would take too long.
REFERENCE_OPERATIONS = 1e9
WARM_UP_STEPS = 3


class Reference(peers.Cuda):
    """numbanet's reference engine on the GPU, which computes with the kernels of `numbanet.equations`."""

    kernels = "reference"


class Torch(peers.Torch):
    """PyTorch in eager mode (nothing is compiled), with the usual training loop."""

    device = "cuda"

    def __init__(self, rung: Rung, problem: Problem):
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ImportError("the installed PyTorch finds no GPU")
        torch.set_float32_matmul_precision("highest")
        super().__init__(rung, problem)


class TorchCompiled(Torch):
    """PyTorch with the usual training loop, in which `torch.compile` compiles the network and the loss.

    `torch.compile` runs in the mode max-autotune, and compiles both the forward and the backward pass.
    """

    def __init__(self, rung: Rung, problem: Problem):
        super().__init__(rung, problem)

        def loss(x, labels):
            return self.loss(self.model(x), labels)

        self.compiled = self.torch.compile(loss, mode="max-autotune")

    def _loss(self, x, labels):
        self.torch.compiler.cudagraph_mark_step_begin()
        return self.compiled(x, labels)

    def _step(self, x, labels):
        return super()._step(x, labels).clone()  # clone, because the next step overwrites the tensor


class TorchGraph(Torch):
    """PyTorch that replays each training step as a CUDA graph, which also gathers the samples and adds up the losses."""

    def __init__(self, rung: Rung, problem: Problem):
        super().__init__(rung, problem)
        torch = self.torch
        self.order = torch.arange(rung.samples, device=self.device).view(rung.steps, rung.batch)
        self.number = torch.zeros(1, dtype=torch.int64, device=self.device)  # index of the step within its epoch
        self.total = torch.zeros((), device=self.device)
        start = [parameter.detach().clone() for parameter in self.model.parameters()]
        self.replay = self._captured()
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), start, strict=True):
                parameter.copy_(value)

    def prepare(self, order: peers.Order) -> Any:
        """Returns the row indices of the batches, as a tensor of shape (steps, batch size) on the GPU."""
        return self.ready(order).view(self.rung.steps, self.rung.batch)

    def train(self, batches: Any) -> float:
        """Trains one epoch, in which the CUDA graph is replayed once per batch, and returns the mean loss."""
        self.order.copy_(batches)
        self.number.zero_()
        self.total.zero_()
        for _ in range(self.rung.steps):
            self.replay()
        return self.total.item() / self.rung.steps

    def _numbered_step(self):
        rows = self.order[self.number].view(-1)
        self.total += self._step(self.x[rows], self.labels[rows])
        self.number += 1

    def _captured(self):
        """Captures a training step as a CUDA graph, and returns a function that replays the graph.

        PyTorch requires that some steps run on a separate CUDA stream before the capture.
        """
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
    """JAX.

    One compiled function trains a whole epoch with `lax.scan`. The parameters are donated, so that JAX can update them in
    place.
    """

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
# In a dry run, PyTorch and JAX compute on the CPU. Contestants that need a GPU are left out.
DRY: dict[str, peers.Maker] = CONTESTANTS | {"PyTorch": peers.Torch, "JAX": peers.Jax}
DRY_ABSENT = {"torch.compile": "needs a GPU", "CUDA graph": "needs a GPU"}


class Planned(peers.Cuda):
    """numbanet on a GPU, training with the given plan instead of the plan that numbanet would choose.

    Parameters
    ----------
    plan : numbanet.engines.cuda.planning.TrainingPlan
        The way to train, such as "products", and its settings.
    rung : Rung
        The benchmark network.
    problem : Problem
        The initial parameters and the data.
    """

    def __init__(self, plan: Any, rung: Rung, problem: Problem):
        super().__init__(rung, problem)
        self.engine.engine.plan = lambda batch_size, epoch: plan  # `engine.engine` is the engine that the guard wraps


def plans(rung: Rung) -> dict[str, Any]:
    """Returns a dict of the plans with which numbanet could train a benchmark network on this GPU.

    The key of a plan is the kind of its kernels: "products" (a kernel per matrix product), "resident" or "cooperative". The
    plan that numbanet chooses has the key "numbanet" instead.
    """
    from numbanet.engines.cuda import planning
    from numbanet.engines.cuda.limits import present_limits

    case = peers.topology(rung), rung.batch, present_limits()
    chosen = planning.plan(*case)
    return {"numbanet" if plan == chosen else plan.way: plan for plan in planning.possible_plans(*case)}


def makers(rung: Rung, dry: bool) -> dict[str, peers.Maker]:
    """Returns, for each contestant's name, the function that creates the contestant from a `Rung` and a `Problem`."""
    makers = dict(DRY if dry else CONTESTANTS)
    if rung.operations / rung.steps > REFERENCE_OPERATIONS:
        del makers["reference"]
    return makers | {name: partial(Planned, plan) for name, plan in plans(rung).items() if name not in makers}
