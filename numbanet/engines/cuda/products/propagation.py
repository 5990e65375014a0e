"""Passes a batch through the layers of a network, forward and backward, with one matrix product per layer and direction.

The kernel of a matrix product usually also applies the activation function, or its derivative, to each complete sum. In the
layers that `workspace.separate_layers` selects, a separate kernel applies the activation function or its derivative.
"""

from collections.abc import Iterator
from typing import Any

from numbanet._cuda import configured
from numbanet.engines.binding import binding_of
from numbanet.engines.cuda import output
from numbanet.engines.cuda.output import OutputLayer
from numbanet.engines.cuda.products import dropout
from numbanet.engines.cuda.products.batch import Batch
from numbanet.engines.cuda.products.descent import ParameterUpdate
from numbanet.engines.cuda.products.epilogues import Activation
from numbanet.engines.cuda.products.launch import Products
from numbanet.engines.cuda.workspace import Workspace
from numbanet.engines.loops import CudaLoops
from numbanet.engines.topology import Topology
from numbanet.equations import activations, backprop
from numbanet.equations.activations import IDENTITY, SOFTMAX


class Propagation:
    """Passes batches through the layers of a network, forward and backward.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    multiprocessors : int
        Number of multiprocessors of the GPU.
    parameters, gradients : device array (p,)
        `parameters` is the vector of all p parameters w and b; `gradients` is the vector of all p gradients dL/dw and dL/db.
    """

    def __init__(self, topology: Topology, multiprocessors: int, parameters: Any, gradients: Any):
        self.topology = topology
        self.last = len(topology.kinds) - 1
        self.epsilon = topology.dtype.type(topology.epsilon)
        self.bound = binding_of(topology)
        self.products = Products(topology.dtype, multiprocessors, bound=self.bound)
        self.loops = CudaLoops(self.bound)
        self.wb, self.d_wb = topology.matrices(parameters), topology.matrices(gradients)

    def step(self, x: Any, y: Any, batch: Batch, work: Workspace, update: ParameterUpdate) -> None:
        """Launches the kernels of a training step.

        In plain gradient descent, the kernels that compute the weight gradients also update w and b.
        """
        if update.plain:
            for l, x_l, order in self._layers_to_change(x, y, batch, work):
                self.products.update(batch.rates, x_l, order, work.delta[l], self.wb[l])
        else:
            self.gradients(x, y, batch, work)
            update.launch(batch.rates)

    def gradients(self, x: Any, y: Any, batch: Batch, work: Workspace) -> None:
        """Computes a batch's gradients, and writes the loss and the correct outputs of each sample to `batch.notes`."""
        for l, x_l, order in self._layers_to_change(x, y, batch, work):
            self.products.gradient(x_l, order, work.delta[l], self.d_wb[l])

    def _layers_to_change(self, x: Any, y: Any, batch: Batch, work: Workspace) -> Iterator[tuple[int, Any, Any]]:
        """Yields the index of each layer, from last to first, when no later kernel of the pass reads w and b of the layer.

        The caller may therefore change w and b. With each layer's index, the method also yields the layer's input x and the row
        indices of the batch's samples in x.
        """
        self.forward(x, batch, work)
        self.score(y, batch, work)
        for l in self._backward(batch, work):
            yield l, *self._input(l, x, batch, work)

    def forward(self, x: Any, batch: Batch, work: Workspace) -> None:
        """Computes the activations a of every layer except the last, and the pre-activations z of the last layer."""
        for l, kind in enumerate(self.topology.kinds):
            separate = l in work.z
            z = work.z[l] if separate else work.a[l]
            x_l, order = self._input(l, x, batch, work)
            self.products.forward(self._activation(IDENTITY if separate else kind), x_l, order, self.wb[l], z)
            if separate and l < self.last:
                self.activate(l, work)
            if batch.counter is not None and l in work.x:
                dropout.drop(self.topology.dropout_rates[l], l + 1, batch.counter, work.a[l], work.x[l])

    def logits(self, x: Any, work: Workspace) -> list[Any]:
        """Returns the pre-activations z of every layer, each in a new array. Call `Propagation.forward` first."""
        return [self._logits(l, x, work) for l in range(self.last + 1)]

    def _logits(self, l: int, x: Any, work: Workspace) -> Any:
        x_l, order = self._input(l, x, work.batch(), work)
        z = self.loops.empty(work.a[l].shape, self.topology.dtype)
        self.products.forward(self._activation(IDENTITY), x_l, order, self.wb[l], z)
        return z

    def activate(self, l: int, work: Workspace) -> None:
        """Computes a from z with a separate kernel, if the kernel for the forward product of layer l stores z instead of a."""
        if self.topology.kinds[l] == SOFTMAX:
            self.loops.run(activations.softmax_sum, work.z[l], work.z_max, work.others)
            self.loops.run(activations.softmax_activation, work.z[l], work.z_max, work.others, work.a[l])
        else:
            self.loops.run(activations.activation, self.topology.kinds[l], self.epsilon, work.z[l], work.a[l])

    def score(self, y: Any, batch: Batch, work: Workspace) -> None:
        """Computes a and delta of the last layer from its z and from the targets y.

        Also writes the loss and the number of correct outputs of each sample to `batch.notes`. The loss of a sample is
        multiplied by the sample's weight, but not divided by n, the divisor of the mean loss.
        """
        blocks = -(-batch.order.size // output.THREADS)
        configured(self.bound(output.output_rows), blocks, output.THREADS)(
            OutputLayer(self.topology.loss_kind, self.topology.kinds[-1], self.epsilon),
            batch.rates,
            batch.weights,
            y,
            batch.order,
            work.z[self.last],
            work.a[-1],
            work.delta[-1],
            work.u,
            work.dl[self.last],
            work.z_max,
            work.others,
            batch.notes.loss,
            batch.notes.hits,
        )

    def _backward(self, batch: Batch, work: Workspace) -> Iterator[int]:
        """Yields each layer index l, from the last to 0. Before yielding l > 0, computes delta of layer l - 1."""
        for l in range(self.last, 0, -1):
            kind, a, delta = self.topology.kinds[l - 1], work.a[l - 1], work.delta[l - 1]
            separate = l - 1 in work.dl
            to = work.dl[l - 1] if separate else delta
            activation = self._activation(IDENTITY if separate else kind)
            self.products.backward(activation, self.wb[l], work.delta[l], a, to)
            if batch.counter is not None and l - 1 in work.x:
                dropout.drop(self.topology.dropout_rates[l - 1], l, batch.counter, to, to)
            if kind == SOFTMAX:
                self.loops.run(backprop.softmax_error, to, a, delta)
            elif separate:
                self.loops.run(backprop.activation_error, kind, self.epsilon, to, work.z[l - 1], a, delta)
            yield l
        yield 0

    def _activation(self, kind: int) -> Activation:
        return Activation(kind, self.epsilon)

    def _input(self, l: int, x: Any, batch: Batch, work: Workspace) -> tuple[Any, Any]:
        """Returns the input x of layer l, and the row indices of the batch's samples in x."""
        if l == 0:
            return x, batch.order
        drops = batch.counter is not None and l - 1 in work.x
        return work.x[l - 1] if drops else work.a[l - 1], work.order
