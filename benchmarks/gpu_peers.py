"""Who trains on a GPU: numbanet's two rungs, and its peers, each with everything it needs on the device.

They are made and driven as `benchmarks.peers` says. Everybody computes in float32; nobody may round to TF32.
"""

from functools import partial

from . import peers

PEERS = ("PyTorch", "torch.compile", "CUDA graph", "JAX")
# The plain kernels of the reference take too long beyond so many operations per step.
REFERENCE_OPERATIONS = 1e9
WARM_UP_STEPS = 3


class Reference(peers.Cuda):
    """The kernels of `numbanet.equations` as they stand."""

    kernels = "reference"


class Torch(peers.Torch):
    """The plain loop of eager PyTorch."""

    device = "cuda"

    def __init__(self, rung, problem):
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ImportError("the PyTorch that is installed finds no GPU")
        torch.set_float32_matmul_precision("highest")
        super().__init__(rung, problem)


class TorchCompiled(Torch):
    """The same loop; network and loss, forwards and backwards, go through `torch.compile`, which tries what is fastest."""

    def __init__(self, rung, problem):
        super().__init__(rung, problem)

        def loss(x, labels):
            return self.loss(self.model(x), labels)

        self.compiled = self.torch.compile(loss, mode="max-autotune")

    def _loss(self, x, labels):
        self.torch.compiler.cudagraph_mark_step_begin()
        return self.compiled(x, labels)

    def _step(self, rows):
        return super()._step(rows).clone()  # the next step writes its loss to the same place


class TorchGraph(Torch):
    """The same step, the choice of its samples and the sum of the losses included, as one CUDA graph."""

    def __init__(self, rung, problem):
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

    def prepare(self, order):
        return self.ready(order).view(self.rung.steps, self.rung.batch)

    def train(self, order):
        self.order.copy_(order)
        self.number.zero_()
        self.total.zero_()
        for _ in range(self.rung.steps):
            self.replay()
        return self.total.item() / self.rung.steps

    def _numbered_step(self):
        self.total += self._step(self.order[self.number].view(-1))
        self.number += 1

    def _captured(self):
        """A function that replays a step, captured as PyTorch asks for: after a few steps on a stream of their own."""
        cuda = self.torch.cuda
        beside = cuda.Stream()
        beside.wait_stream(cuda.current_stream())
        with cuda.stream(beside):
            for _ in range(WARM_UP_STEPS):
                self.number.zero_()
                self._numbered_step()
        cuda.current_stream().wait_stream(beside)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            self._numbered_step()
        return graph.replay


class Jax(peers.Jax):
    """`jit` over a `lax.scan` of the whole epoch, which updates donated parameters."""

    def __init__(self, rung, problem):
        import jax

        if jax.default_backend() != "gpu":
            raise ImportError("the JAX that is installed finds no GPU")
        jax.config.update("jax_default_matmul_precision", "highest")
        super().__init__(rung, problem)


CONTESTANTS = {
    "numbanet": peers.Cuda,
    "reference": Reference,
    "PyTorch": Torch,
    "torch.compile": TorchCompiled,
    "CUDA graph": TorchGraph,
    "JAX": Jax,
}
# In a dry run peers are on their CPU devices, and those that have nothing to do there stay away.
DRY = CONTESTANTS | {"PyTorch": peers.Torch, "JAX": peers.Jax}
DRY_ABSENT = {"torch.compile": "needs a GPU", "CUDA graph": "needs a GPU"}


class Planned(peers.Cuda):
    """numbanet, by a way to train that it might not take."""

    def __init__(self, plan, rung, problem):
        super().__init__(rung, problem)
        self.engine.engine.plan = lambda batch_size, epoch: plan  # of the engine that is guarded


def plans(rung) -> dict:
    """Every way in which numbanet can train a rung on this GPU, by name: "numbanet" is the one it takes."""
    from numbanet.engines.cuda import planning
    from numbanet.engines.cuda.memory.limits import present_limits

    case = peers.topology(rung), rung.batch, present_limits()
    taken = planning.plan(*case)
    return {"numbanet" if plan == taken else plan.way: plan for plan in planning.possible_plans(*case)}


def contestants(rung, dry) -> dict:
    """{name: what makes the contestant of a rung and a problem}."""
    makers = dict(DRY if dry else CONTESTANTS)
    if rung.operations / rung.steps > REFERENCE_OPERATIONS:
        del makers["reference"]
    return makers | {name: partial(Planned, plan) for name, plan in plans(rung).items() if name not in makers}
