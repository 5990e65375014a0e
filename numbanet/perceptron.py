"""Class MultilayerPerceptron: the methods of `Network` that do not change the network, such as `predict` and `save`."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet import checks, inputs, pages, persist
from numbanet.files import Location
from numbanet.formulas import Activation, Loss
from numbanet.inputs import Data
from numbanet.persist import models
from numbanet.tables import Encoding
from numbanet.trace import Trace
from numbanet.training.metrics import Metric, loss_and_accuracy, measure, metrics_of
from numbanet.training.model import Model

Pairs = list[tuple[NDArray[np.floating], NDArray[np.floating]]]
Output = TypeVar("Output")


class MultilayerPerceptron:
    """The base class of `Network`, with all methods that do not change the parameters."""

    _model: Model
    # `numbanet.notebook` sets this method, because this module must not import `numbanet.pictures`.
    _repr_html_: ClassVar[Callable[[Any], str]]

    @property
    def sizes(self) -> list[int]:
        """The number of neurons of each layer, beginning with the number of inputs."""
        return list(self._model.topology.sizes)

    @property
    def activations(self) -> list[str]:
        """The names of the activation functions, one per layer."""
        return list(self._model.topology.activations)

    @property
    def loss(self) -> str:
        """The name of the loss: "sse", "mse", "bce" or "cce", or the name of a `Loss`."""
        return self._model.topology.loss

    @property
    def formulas(self) -> list[Activation | Loss]:
        """The activations and the loss that you wrote, each once; pass them to `load` to load the saved network."""
        return [formula for formula in self._model.topology.formulas if not formula.is_built_in]

    @property
    def dtype(self) -> str:
        """The dtype of the parameters and of all arithmetic: "float32" or "float64"."""
        return self._model.topology.dtype.name

    @property
    def dropout(self) -> list[float]:
        """The dropout rates, one per hidden layer."""
        topology = self._model.topology
        return list(topology.dropout or [0.0] * (len(topology.sizes) - 2))

    @property
    def epsilon(self) -> float:
        """The slope of leaky_relu for z <= 0."""
        return self._model.topology.epsilon

    @property
    def device(self) -> str:
        """The device on which the network computes: "cpu" or "cuda"."""
        return self._model.device

    @property
    def kernels(self) -> str:
        """The implementation with which the network computes: "fast" or "reference"."""
        return self._model.kernels

    @property
    def columns(self) -> list[str] | None:
        """The column names of the DataFrame x on which the network was trained. `save` also saves the column names.

        `columns` is None if the network was not trained on a DataFrame x, or if a column name is not a string. All methods with
        an argument x raise ValueError for a DataFrame with other column names than the training data, or with the columns in
        another order. The columns of arrays have no names, and are not checked. `target_columns` is the same for y.
        """
        return None if self._model.columns is None else list(self._model.columns)

    @property
    def target_columns(self) -> list[str] | None:
        """The column names of the DataFrame y on which the network was trained, or None; see `columns`."""
        return None if self._model.target_columns is None else list(self._model.target_columns)

    @property
    def table(self) -> Encoding | None:
        """The encoding that converts rows of a table to x and y (see `numbanet.tables`); `save` also saves the encoding.

        Assigning an encoding raises ValueError if the encoding does not match the loss, the inputs or the outputs of the
        network, and TypeError if the value is not an encoding.
        """
        return self._model.table

    @table.setter
    def table(self, encoding: Encoding | None) -> None:
        if encoding is not None:
            if not isinstance(encoding, Encoding):
                raise TypeError(
                    "net.table must be an Encoding, as tables.learn(table, target) returns it, or None, not "
                    f"{checks.shown(encoding)}"
                )
            encoding.check(self._model.topology)
        self._model.table = encoding

    def __repr__(self) -> str:
        dropout = f"dropout={self.dropout}, " if self._model.topology.dropout else ""
        return (
            f"{type(self).__name__}({self.sizes}, activations={self.activations}, loss={self.loss!r}, dtype={self.dtype!r}, "
            f"{dropout}device={self.device!r}, kernels={self.kernels!r})"
        )

    def summary(self) -> str:
        """Returns a table of the layers, and the number of all parameters, as text, which `print` shows."""
        return f"{checks.aligned(pages.layers(self))}\n{pages.facts(self)}"

    def parameters(self) -> Pairs:
        """Returns copies of the weights and biases of all layers.

        Returns
        -------
        list of (w, b)
            One pair per layer: the weights w of shape (n_in, n_out) and the biases b of shape (n_out,). w[i, j] is the weight
            from neuron i of the previous layer to neuron j.
        """
        return self._model.topology.views(self._model.engine.read().copy())  # a copy, because an engine may still use the array

    @overload
    def predict(self, x: ArrayLike, *, out: None = None, logits: bool = False) -> NDArray[np.floating]: ...

    @overload
    def predict(self, x: ArrayLike, *, out: Output, logits: bool = False) -> Output: ...

    @checks.none_is_default
    def predict(self, x: ArrayLike, *, out: Any = None, logits: bool = False) -> Any:
        """Returns the outputs of the network for the samples x.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
            The inputs, finite real numbers, with one row per sample.
        out : ndarray or GPU array, (n, n_out), optional
            The array that receives the outputs. The array `out` must have the network's dtype, be contiguous in C order, and
            share no memory with x.
        logits : bool
            If True, the outputs are the pre-activations z of the last layer: the values to which the layer applies its
            activation function.

        Returns
        -------
        (n, n_out)
            The activations y_hat of the last layer, or its pre-activations z if `logits` is True. If `out` is given, the method
            returns `out`; otherwise it returns a NumPy array, even if x is on the GPU.

        Raises
        ------
        ValueError, TypeError
            `x` or `out` does not match its description above; the content of `out` is unchanged.

        Notes
        -----
        An array_like may also be a DataFrame whose columns are numbers or booleans, a sparse matrix, or a tensor.

        A GPU array is an array of Numba, CuPy, PyTorch or another library that is stored on a GPU and supports
        `__cuda_array_interface__` or DLPack. The GPU array must be contiguous in C order and have the network's dtype. A
        network on the GPU uses a GPU array without copying it. If a GPU array names a CUDA stream, the call first waits for the
        work in this stream. The call returns only after the work in the GPU's default stream has finished. If x or `out` is on
        a GPU that the network does not use, the call raises ValueError. All methods with arguments x and y treat GPU arrays as
        `predict` does.
        """
        model, engine = self._model, self._model.engine
        logits = checks.flag("logits", logits)
        model.refuse_other_columns(x)
        search = out is not None or not engine.finds_not_finite  # invalid samples must not change `out`
        samples = inputs.samples(x, model.topology, model.device, search=search)
        y_hat = None if out is None else inputs.output(out, samples.shape[0], model.topology, model.device)
        uploaded = engine.upload(samples)
        y_hat = inputs.searched(lambda: engine.predict(uploaded, y_hat, logits=logits), samples, x)
        if isinstance(y_hat, np.ndarray):  # one value, because a search of all values would slow down predictions of one sample
            model.warn_if_lost("the first output", y_hat.item(0))
        return y_hat if out is None else out

    @checks.none_is_default
    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        metrics: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] = (),
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]:
        """Returns the loss, the accuracy (for cce and bce) and the chosen metrics, computed over all samples.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
            The inputs, as for `predict`.
        y : array_like or GPU array
            The targets. For cce, y contains integer labels and has the shape (n,) or (n, 1), or it contains rows of
            probabilities that add up to 1 and has the shape (n, n_out). For bce, y contains numbers in [0, 1]; for mse and sse,
            any finite real numbers. For bce, mse and sse, the shape of y is (n, n_out), or (n,) for a single output.
        metrics : str, callable, or list or dict of them
            Additional metrics to compute, in the same form as for `Network.fit`.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples. With sample weights, the loss and the accuracy are weighted means (for sse, the
            loss is a weighted sum). The additional metrics leave out samples with the weight 0, and count all other samples
            once.

        Returns
        -------
        dict
            A dict with "loss", "accuracy" (for cce and bce) and the additional metrics by name. For cce, the accuracy is the
            fraction of samples whose largest output belongs to the correct class. For bce, the accuracy is the fraction of
            outputs that are on the correct side of 1/2.

        Raises
        ------
        ValueError, TypeError
            `x`, `y`, `metrics` or `sample_weight` does not match its description above.
        """
        functions = metrics_of(metrics, self._model.topology)
        engine = self._model.engine
        data = self._checked(x, y, not engine.finds_not_finite).weighted(sample_weight).to_evaluate().uploaded(engine)
        totals = inputs.searched(lambda: engine.evaluate(data.x, data.y, data.weights), data.x, x)
        values = loss_and_accuracy(totals._replace(samples=data.total_weight), self._model.topology)
        self._model.warn_if_lost("the loss", values["loss"])
        if functions:
            values |= measure(functions, data.counted(inputs.on_host(data.y)), data.counted(engine.predict(data.x)))
        return values

    def gradients(self, x: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> tuple[float, Pairs]:
        """Returns the loss of a batch, and the gradients of the loss with respect to the parameters.

        Parameters
        ----------
        x, y : array_like or GPU array
            Inputs and targets, as for `evaluate`.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples, which are used as they are, without scaling them. With sample weights, the loss
            is 1/n times the sum of each sample's weight times its loss, and the gradients are 1/n times the sum of each
            sample's weight times its gradient. If the loss of the network is sse, the loss and the gradients are the weighted
            sums without the factor 1/n.

        Returns
        -------
        loss : float
            The loss of the batch.
        gradients : list of (dw, db)
            One pair per layer, with the shapes of the pairs (w, b) that `parameters()` returns.

        Raises
        ------
        ValueError, TypeError
            `x`, `y` or `sample_weight` does not match its description above.
        """
        engine = self._model.engine
        data = self._checked(x, y, not engine.finds_not_finite).weighted(sample_weight).as_given().uploaded(engine)
        total, flat = inputs.searched(lambda: engine.loss_and_gradients(data.x, data.y, data.weights), data.x, x)
        return self._batch_loss(total, data.n), self._model.topology.views(flat)

    def trace(self, x: ArrayLike, y: ArrayLike) -> Trace:
        """Returns all intermediate values of one training step, without updating the parameters.

        `trace` uses no dropout and no sample weights: each sample counts once.

        Parameters
        ----------
        x, y : array_like or GPU array
            Inputs and targets, as for `evaluate`.

        Returns
        -------
        Trace
            The values of all layers, as named arrays.

        Raises
        ------
        ValueError, TypeError
            `x` or `y` does not match its description in `evaluate`.
        """
        engine, topology = self._model.engine, self._model.topology
        data = self._checked(x, y).uploaded(engine)
        total, flat = engine.loss_and_gradients(data.x, data.y)
        (w, b), (dw, db) = (zip(*views, strict=True) for views in (self.parameters(), topology.views(flat)))
        symbols: dict[str, Any] = engine.trace(data.x, data.y)
        symbols |= {"w": list(w), "b": list(b), "dw": list(dw), "db": list(db)}
        symbols |= {name: np.array(inputs.on_host(array)) for name, array in (("x", data.x), ("y", data.y))}
        symbols |= {"activations": self.activations, "loss_name": self.loss, "epsilon": self.epsilon}
        return Trace(y_hat=symbols["a"][-1], loss=self._batch_loss(total, data.n), **symbols)

    def save(self, path: Location) -> None:
        """Saves the network with all that is needed to continue training: parameters, optimizer state and random generator.

        `save` adds no suffix to the path. An existing file is replaced atomically, so that a crash leaves the old file intact.
        If the path is a symbolic link, the file to which it points is replaced. Devices, pipes, and files with several hard
        links are written in place.

        Parameters
        ----------
        path : path or binary file object
            The file to write. If the name ends in .safetensors, `save` writes a safetensors file, otherwise an NPZ file. If
            `path` is a file object, such as `io.BytesIO()`, the network is written at its current position.

        Raises
        ------
        ValueError
            The name has the ending of another format, such as .pt, .h5, .json or .onnx.
        FloatingPointError
            A parameter is infinite or NaN; an existing file is unchanged.
        TypeError
            `path` is neither a path nor a binary file object.
        OSError
            The file cannot be written.
        ModuleNotFoundError
            The package safetensors is required but not installed; the error message says what to install.
        """
        persist.save(path, models.description_of(self._model), models.vectors_of(self._model.snapshot()))

    def export(self, path: Location) -> None:
        """Writes an ONNX file, with which other programs can compute predictions.

        The model in the file uses ONNX's operator set 17. The input x of the model has the shape (N, n_in), and the output
        y_hat has the shape (N, n_out), where N is the number of samples. If the network has a `table`, the model takes the raw
        columns of a table instead of x, and returns classes or numbers (see docs/files.md). The metadata of the file contain a
        description of the network as JSON, under the key numbanet. An existing file is replaced atomically.

        Parameters
        ----------
        path : path or binary file object
            The file to write. The path must end in .onnx.

        Raises
        ------
        ValueError
            The path does not end in .onnx, or the network exceeds the 2 GiB limit of ONNX files.
        FloatingPointError
            A parameter is infinite or NaN; an existing file is unchanged.
        OSError
            The file cannot be written.
        ModuleNotFoundError
            The package onnx is not installed; the error message says what to install.
        """
        persist.export(path, models.description_of(self._model), self._model.engine.read())

    def _checked(self, x: ArrayLike, y: ArrayLike, search: bool = True) -> Data:
        return self._model.checked(x, y, search=search)

    def _batch_loss(self, total: float, n: int) -> float:
        self._model.warn_if_lost("the loss", total)
        return total if self._model.topology.loss == "sse" else total / n


# Python's error about a missing argument shows the qualified name of the method; it should name `Network`, which users know.
for _method in filter(inspect.isfunction, list(vars(MultilayerPerceptron).values())):
    for _function in (_method, inspect.unwrap(_method)):
        _function.__module__, _function.__qualname__ = "numbanet.network", f"Network.{_method.__name__}"
