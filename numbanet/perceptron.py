"""Class MultilayerPerceptron: all that reads a network's parameters: predictions, losses, gradients, traces."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet import checks, inputs
from numbanet.inputs import Data
from numbanet.tables import Encoding
from numbanet.trace import Trace
from numbanet.training.metrics import Metric, loss_and_accuracy, measure, metrics_of
from numbanet.training.model import Model

Pairs = list[tuple[NDArray[np.floating], NDArray[np.floating]]]
Output = TypeVar("Output")


class MultilayerPerceptron:
    """A multilayer perceptron with fixed parameters; `numbanet.Network` makes its model, and adds training and files."""

    _model: Model

    @property
    def sizes(self) -> list[int]:
        """Numbers of neurons, input first."""
        return list(self._model.topology.sizes)

    @property
    def activations(self) -> list[str]:
        """One name per layer."""
        return list(self._model.topology.activations)

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return self._model.topology.loss

    @property
    def dtype(self) -> str:
        """The name "float32" or "float64"."""
        return self._model.topology.dtype.name

    @property
    def dropout(self) -> list[float]:
        """One rate per hidden layer."""
        topology = self._model.topology
        return list(topology.dropout or [0.0] * (len(topology.sizes) - 2))

    @property
    def epsilon(self) -> float:
        """Slope of leaky_relu for z <= 0."""
        return self._model.topology.epsilon

    @property
    def device(self) -> str:
        """The name "cpu" or "cuda"."""
        return self._model.device

    @property
    def kernels(self) -> str:
        """The name "fast" or "reference"."""
        return self._model.kernels

    @property
    def table(self) -> Encoding | None:
        """The encoding of a table's rows as x and y, see `numbanet.tables`; saved with the network.

        Setting an encoding that does not fit the network raises ValueError.
        """
        return self._model.table

    @table.setter
    def table(self, encoding: Encoding | None) -> None:
        if encoding is not None:
            encoding.check(self._model.topology)
        self._model.table = encoding

    def __repr__(self) -> str:
        dropout = f"dropout={self.dropout}, " if self._model.topology.dropout else ""
        return (
            f"{type(self).__name__}({self.sizes}, activations={self.activations}, loss={self.loss!r}, dtype={self.dtype!r}, "
            f"{dropout}device={self.device!r}, kernels={self.kernels!r})"
        )

    def parameters(self) -> Pairs:
        """Returns copies of the parameters.

        Returns
        -------
        list of (w, b)
            One pair per layer, w (n_in, n_out) with w[i, j] from neuron i to neuron j, b (n_out,).
        """
        return self._model.topology.views(self._model.engine.read().copy())  # an engine may return an array that it keeps

    @overload
    def predict(self, x: ArrayLike, *, out: None = None, logits: bool = False) -> NDArray[np.floating]: ...

    @overload
    def predict(self, x: ArrayLike, *, out: Output, logits: bool = False) -> Output: ...

    def predict(self, x: ArrayLike, *, out: Any = None, logits: bool = False) -> Any:
        """Returns the network's outputs.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
            Finite real numbers.
        out : ndarray or GPU array, (n, n_out), optional
            The array to write to: of the network's dtype, contiguous in C order, and without memory in common with x.
        logits : bool
            If True, the outputs are z of the last layer, before its activation.

        Returns
        -------
        (n, n_out)
            y_hat, the activations of the last layer, or z with logits: `out` if given, else a NumPy array, also for x on the
            GPU.

        Raises
        ------
        ValueError, TypeError
            x or out is not as described above; out is unchanged.

        Notes
        -----
        A GPU array is an array that Numba, CuPy, PyTorch or another library holds on a GPU: it has
        `__cuda_array_interface__`, or DLPack. A network on the GPU takes it without a copy; it must be contiguous in C order
        and of the network's dtype. The call waits for the stream that the array names, and has finished its work on return.
        An array on a GPU that the network does not use is refused. This holds for y, too, and for every call with x and y.
        """
        model = self._model
        logits = checks.flag("logits", logits)
        samples = inputs.samples(x, model.topology, model.device)
        y_hat = None if out is None else inputs.output(out, samples.shape[0], model.topology, model.device)
        uploaded = model.engine.upload(samples)
        y_hat = model.engine.predict(uploaded, y_hat, logits=logits)
        return y_hat if out is None else out

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        metrics: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] = (),
    ) -> dict[str, float]:
        """Returns the loss and, for cce and bce, the accuracy over all samples.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
        y : array_like or GPU array
            For cce integer labels (n,), or rows of probabilities (n, n_out) that add up to 1; for bce numbers in [0, 1], for
            mse and sse any real numbers: (n, n_out), or (n,) for a single output.
        metrics : str, callable, or list or dict of them
            Further metrics, as for `fit`.

        Returns
        -------
        dict
            "loss"; "accuracy": for cce the fraction of samples whose largest output is that of their class, for bce the
            fraction of outputs on the correct side of 1/2; and the metrics by name.

        Raises
        ------
        ValueError, TypeError
            x, y or a metric is not as described above.
        """
        functions = metrics_of(metrics)
        data, engine = self._uploaded(x, y), self._model.engine
        figures = loss_and_accuracy(engine.evaluate(data.x, data.y), self._model.topology)
        if functions:
            figures |= measure(functions, inputs.on_host(data.y), engine.predict(data.x))
        return figures

    def gradients(self, x: ArrayLike, y: ArrayLike) -> tuple[float, Pairs]:
        """Returns the loss of a batch and its gradients at the current parameters.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`.

        Returns
        -------
        loss : float
        gradients : list of (dw, db)
            In the shapes of `parameters()`.

        Raises
        ------
        ValueError, TypeError
            x or y is not as for `evaluate`.
        """
        data = self._uploaded(x, y)
        total, flat = self._model.engine.loss_and_gradients(data.x, data.y)
        return self._batch_loss(total, data.n), self._model.topology.views(flat)

    def trace(self, x: ArrayLike, y: ArrayLike) -> Trace:
        """Returns every symbol of one training step, without taking the step.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`.

        Returns
        -------
        Trace

        Raises
        ------
        ValueError, TypeError
            x or y is not as for `evaluate`.
        """
        engine, topology = self._model.engine, self._model.topology
        data = self._uploaded(x, y)
        total, flat = engine.loss_and_gradients(data.x, data.y)
        (w, b), (dw, db) = (zip(*views, strict=True) for views in (self.parameters(), topology.views(flat)))
        symbols: dict[str, Any] = engine.trace(data.x, data.y)
        symbols |= {"w": list(w), "b": list(b), "dw": list(dw), "db": list(db)}
        symbols |= {name: np.array(inputs.on_host(array)) for name, array in (("x", data.x), ("y", data.y))}
        return Trace(y_hat=symbols["a"][-1], loss=self._batch_loss(total, data.n), **symbols)

    def _uploaded(self, x: ArrayLike, y: ArrayLike) -> Data:
        return Data.checked(x, y, self._model.topology, self._model.device).uploaded(self._model.engine)

    def _batch_loss(self, total: float, n: int) -> float:
        return total if self._model.topology.loss == "sse" else total / n
