"""class Network: topology, parameters, device. Everything numerical is asked of an engine."""

import math
import os
import warnings
from typing import Any

import numpy as np

from numbanet import _cuda, inputs, persist, training
from numbanet.engines import make_engine
from numbanet.trace import Trace
from numbanet.training import History

DEVICES = ("cpu", "cuda", "auto")
KERNELS = ("fast", "reference")


class Network:
    """A multilayer perceptron trained by gradient descent.

    Parameters
    ----------
    sizes : list of int
        Numbers of neurons, input first: [n_in, ..., n_out].
    activations : str or list of str
        One name per layer; or one name for all hidden layers, the output layer then taking what is natural for the loss
        (cce: softmax, bce: sigmoid, mse and sse: identity). Known: identity, sigmoid, tanh, relu, leaky_relu, softmax.
    loss : {"sse", "mse", "bce", "cce"}
        Sum or mean of squared errors, binary or categorical cross-entropy. With n samples in a batch, sse is the sum over
        samples and outputs; mse, bce and cce are 1/n times it. cce needs a softmax output, bce a sigmoid or softmax one.
    dtype : {"float32", "float64"}
        Of parameters and all arithmetic.
    seed : int, optional
        Of the initial weights and of all shuffling. The same seed gives the same bits.
    epsilon : float
        Slope of leaky_relu for z <= 0.
    device : {"cpu", "cuda", "auto"}
        "auto" is "cuda" where a GPU can be used, else "cpu".
    kernels : {"fast", "reference"}
        "reference" computes with the loops of `numbanet.equations` as they stand.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not as above; the message names it.
    RuntimeError
        device="cuda" where no GPU can be used; the message says what was found and what is missing.

    Notes
    -----
    On a GPU, host arrays that fit lie there as long as a call takes; `fit`, `evaluate` and `predict` bring others in chunks,
    one while the GPU works with the one before, and no bit of a result depends on it. `gradients`, `trace` and `train_step`
    need the room that the whole batch takes: MemoryError says how much is free and what would fit. A call that fails on the GPU
    leaves the parameters from before it, or, of `fit`, from the last finished epoch. Where the GPU cannot be used by this
    process any more it says so, and `parameters`, `save` and `to("cpu")` go on to work.

    Weights start uniformly in +-sqrt(6 / n_in) before relu and leaky_relu (He et al., 2015, doi:10.1109/ICCV.2015.123), in
    +-sqrt(6 / (n_in + n_out)) before the others (Glorot and Bengio, 2010, PMLR 9:249-256); biases at 0.
    """

    def __init__(
        self,
        sizes,
        activations,
        loss,
        *,
        dtype="float32",
        seed=None,
        epsilon=0.01,
        device="cpu",
        kernels="fast",
    ):
        self._topology = inputs.topology(sizes, activations, loss, dtype, epsilon)
        self._kernels = inputs.choice("kernels", kernels, KERNELS)
        self._generator = np.random.Generator(np.random.PCG64(None if seed is None else inputs.integer("seed", seed, 0)))
        self._device = _usable_device(device)
        self._engine = make_engine(self._topology, self._device, self._kernels)
        self._engine.write(_initial_parameters(self._topology, self._generator))

    sizes = property(lambda self: list(self._topology.sizes), doc="Numbers of neurons, input first.")
    activations = property(lambda self: list(self._topology.activations), doc="One name per layer.")
    loss = property(lambda self: self._topology.loss, doc="Name of the loss.")
    dtype = property(lambda self: self._topology.dtype.name, doc='"float32" or "float64".')
    epsilon = property(lambda self: self._topology.epsilon, doc="Slope of leaky_relu for z <= 0.")
    device = property(lambda self: self._device, doc='"cpu" or "cuda".')
    kernels = property(lambda self: self._kernels, doc='"fast" or "reference".')

    def __repr__(self):
        return (
            f"Network({self.sizes}, activations={self.activations}, loss={self.loss!r}, dtype={self.dtype!r}, "
            f"device={self.device!r}, kernels={self.kernels!r})"
        )

    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Copies of the parameters.

        Returns
        -------
        list of (w, b)
            One pair per layer, w (n_in, n_out) with w[i, j] from neuron i to neuron j, b (n_out,).
        """
        return self._topology.views(self._engine.read())

    def set_parameters(self, parameters) -> None:
        """Replaces all parameters.

        Parameters
        ----------
        parameters : list of (w, b)
            One pair per layer, in the shapes `parameters()` returns; finite.

        Raises
        ------
        ValueError, TypeError
            Where they are not; the network is then as it was.
        """
        self._engine.write(inputs.parameters(parameters, self._topology))

    def predict(self, x, *, out=None):
        """The network's answers.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
            Finite real numbers.
        out : ndarray or GPU array, (n, n_out), optional
            What to write to: of the network's dtype, contiguous in C order, and sharing no memory with x.

        Returns
        -------
        (n, n_out)
            y_hat, the activations of the last layer: out where it is given, else a NumPy array, also for x on the GPU.

        Raises
        ------
        ValueError, TypeError
            Where x or out is not as above; out is then as it was.

        Notes
        -----
        A GPU array is one that Numba, CuPy, PyTorch or another library holds on a GPU: it has `__cuda_array_interface__`, or
        DLPack. A network on the GPU takes it without a copy; it has to be contiguous in C order and of the network's dtype.
        The call waits for the stream that the array names, and is done with it on return. An array on another GPU than the one
        in use is refused. All this holds for y, too, and for every call that takes x and y.
        """
        x = inputs.samples(x, self._topology, self._device)
        y_hat = None if out is None else inputs.output(out, x.shape[0], self._topology, self._device)
        y_hat = self._engine.predict(self._engine.upload(x), y_hat)
        return y_hat if out is None else out

    def evaluate(self, x, y) -> dict[str, float]:
        """The loss and, for cce and bce, the accuracy over all samples given.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
        y : array_like or GPU array
            For cce integer labels (n,), or rows of probabilities (n, n_out) that add up to 1; for bce numbers in [0, 1], for
            mse and sse any: (n, n_out), or (n,) where there is one output.

        Returns
        -------
        dict
            "loss", and "accuracy": for cce the share of samples whose largest output is the right one, for bce the share of
            outputs on the right side of 1/2.

        Raises
        ------
        ValueError, TypeError
            Where x or y is not as above.
        """
        return training.metrics(self._engine.evaluate(*self._upload(x, y)), self._topology)

    def gradients(self, x, y) -> tuple[float, list[tuple[np.ndarray, np.ndarray]]]:
        """The loss of a batch and its gradients at the present parameters.

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
            Where x or y is not as for `evaluate`.
        """
        x, y = self._upload(x, y)
        total, flat = self._engine.loss_and_gradients(x, y)
        return self._batch_loss(total, x.shape[0]), self._topology.views(flat)

    def trace(self, x, y) -> Trace:
        """Every symbol of one step, without taking it.

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
            Where x or y is not as for `evaluate`.
        """
        given = self._checked(x, y)
        x, y = map(self._engine.upload, given)
        total, flat = self._engine.loss_and_gradients(x, y)
        (w, b), (dw, db) = (zip(*views, strict=True) for views in (self.parameters(), self._topology.views(flat)))
        symbols: dict[str, Any] = self._engine.trace(x, y)
        symbols |= {"w": list(w), "b": list(b), "dw": list(dw), "db": list(db)}
        symbols |= {symbol: _host_copy(array) for symbol, array in zip("xy", given, strict=True)}
        return Trace(y_hat=symbols["a"][-1], loss=self._batch_loss(total, x.shape[0]), **symbols)

    def train_step(self, x, y, learning_rate) -> float:
        """One gradient descent update, w <- w - eta dL/dw and b <- b - eta dL/db, on one batch.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`.
        learning_rate : float
            eta, positive.

        Returns
        -------
        float
            The loss of the batch before the update.

        Raises
        ------
        ValueError, TypeError
            Where an argument is not as above; the network is then as it was.
        """
        eta = inputs.positive("learning_rate", learning_rate, self._topology.dtype)
        x, y = self._upload(x, y)
        n = x.shape[0]
        *_, totals = self._engine.train_epoch(x, y, np.arange(n), n, eta)
        return self._batch_loss(totals.loss, n)

    def fit(self, x, y, *, epochs, batch_size=32, learning_rate=0.01, shuffle=True, validation_data=None, verbose=1) -> History:
        """Trains by gradient descent on batches.

        Ctrl-C ends the training early: the network keeps its last finished step, and the history of the finished epochs is
        returned, with `interrupted` set.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`.
        epochs : int
            How many times to go through all samples.
        batch_size : int
            Samples per update; the last batch of an epoch may be smaller.
        learning_rate : float
            eta, positive.
        shuffle : bool
            Whether each epoch takes the samples in a new random order, which the network's seed decides.
        validation_data : tuple (x, y), optional
            Evaluated after each epoch, never trained on.
        verbose : {0, 1}
            1 prints a line per epoch and, on a terminal, shows a bar in an epoch that lasts. 0 prints nothing.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            Where an argument is not as above; the network is then as it was.
        FloatingPointError
            The loss or a parameter stopped being finite; the network keeps the parameters of the last finite epoch.
        """
        data = self._checked(x, y)
        if validation_data is not None:
            try:
                x_val, y_val = validation_data
            except (TypeError, ValueError):
                raise ValueError("validation_data must be a pair (x, y)") from None
            validation_data = self._checked(x_val, y_val, "x of validation_data", "y of validation_data")
        return training.fit(
            self._engine,
            self._topology,
            self._generator,
            data,
            validation_data,
            epochs=inputs.integer("epochs", epochs),
            batch_size=inputs.integer("batch_size", batch_size),
            learning_rate=inputs.positive("learning_rate", learning_rate, self._topology.dtype),
            shuffle=inputs.flag("shuffle", shuffle),
            verbose=inputs.flag("verbose", verbose),
        )

    def to(self, device) -> "Network":
        """Moves the network to another device.

        Parameters
        ----------
        device : {"cpu", "cuda", "auto"}

        Returns
        -------
        Network
            This very network.

        Raises
        ------
        ValueError, RuntimeError
            An unknown device, or one that cannot be used; the network stays where it was.
        """
        device = _usable_device(device)
        if device != self._device:
            engine = make_engine(self._topology, device, self._kernels)
            engine.write(self._engine.read())
            self._engine, self._device = engine, device
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Writes everything needed to go on to an NPZ file, exactly at this path.

        That is topology, parameters and the state of shuffling. The file is replaced in one move: a crash leaves the old one
        whole.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        persist.save(path, self._topology, self._engine.read(), self._generator.bit_generator.state)

    @classmethod
    def load(cls, path: str | os.PathLike, *, device="cpu", kernels="fast") -> "Network":
        """Reads a network that `save` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : path
        device, kernels : str
            As for `Network`; a file is not bound to the device it was trained on.

        Raises
        ------
        ValueError
            The file is damaged, or not a network; the message says in what.
        OSError
            The file cannot be read.
        """
        topology, flat, generator_state = persist.load(path)
        network = cls(
            topology.sizes,
            topology.activations,
            topology.loss,
            dtype=topology.dtype,
            epsilon=topology.epsilon,
            device=device,
            kernels=kernels,
        )
        network._engine.write(flat)
        network._generator.bit_generator.state = generator_state
        return network

    def _checked(self, x, y, x_name="x", y_name="y"):
        x = inputs.samples(x, self._topology, self._device, x_name)
        return x, inputs.targets(y, x.shape[0], self._topology, self._device, y_name)

    def _upload(self, x, y):
        return [self._engine.upload(array) for array in self._checked(x, y)]

    def _batch_loss(self, total: float, n: int) -> float:
        return total if self._topology.loss == "sse" else total / n


def _host_copy(array) -> np.ndarray:
    return array.copy() if isinstance(array, np.ndarray) else array.copy_to_host()


_auto_told = False


def _usable_device(device) -> str:
    """ "cpu" or "cuda", the latter only where it can be used."""
    global _auto_told
    device = inputs.choice("device", device, DEVICES)
    if device == "cpu":
        return "cpu"
    reason = _cuda.unusable_reason()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise RuntimeError(reason)
    if not _auto_told:
        _auto_told = True
        warnings.warn(f"device='auto' takes the CPU. {reason}", RuntimeWarning, stacklevel=3)
    return "cpu"


def _initial_parameters(topology, generator) -> np.ndarray:
    flat = np.zeros(topology.parameter_count, topology.dtype)
    for (w, _), name in zip(topology.views(flat), topology.activations, strict=True):
        n_in, n_out = w.shape
        limit = math.sqrt(6 / n_in) if name in ("relu", "leaky_relu") else math.sqrt(6 / (n_in + n_out))
        w[...] = generator.uniform(-limit, limit, w.shape)
    return flat
