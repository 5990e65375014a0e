"""class Network: topology, parameters, device. Everything numerical is asked of an engine."""

import math
import os
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from numbanet import _cuda, checks, inputs, persist
from numbanet.distributed.communicators import communicator_of
from numbanet.distributed.training import DistributedTraining
from numbanet.engines import make_engine
from numbanet.persist.checkpoint import Checkpoint, checkpoint_of, conditions, exists, progress, resumed
from numbanet.tables import Encoding
from numbanet.trace import Trace
from numbanet.training import loop as training
from numbanet.training import weighting
from numbanet.training.callbacks import callbacks_of
from numbanet.training.history import History
from numbanet.training.loop import Data, measured
from numbanet.training.metrics import metrics_of
from numbanet.training.optimizers import GradientDescent, Optimizer, optimizer_of
from numbanet.training.schedules import schedule_of

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
    dropout : float or list of float
        The share of a hidden layer's neurons that drop out of each training step, in [0, 1): for all hidden layers, or one
        number for each. What remains is scaled up, so that predictions need no change (Srivastava et al., 2014, JMLR 15:1929).
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
        dropout=0.0,
        device="cpu",
        kernels="fast",
    ):
        self._topology = inputs.topology(sizes, activations, loss, dtype, epsilon, dropout)
        self._kernels = checks.choice("kernels", kernels, KERNELS)
        self._generator = np.random.Generator(np.random.PCG64(None if seed is None else checks.integer("seed", seed, 0)))
        self._device = _usable_device(device)
        self._engine = make_engine(self._topology, self._device, self._kernels)
        self._engine.write(_initial_parameters(self._topology, self._generator))
        self._optimizer, self._state = GradientDescent(), training.State(self._generator)
        self._table = None

    sizes = property(lambda self: list(self._topology.sizes), doc="Numbers of neurons, input first.")
    activations = property(lambda self: list(self._topology.activations), doc="One name per layer.")
    loss = property(lambda self: self._topology.loss, doc="Name of the loss.")
    dtype = property(lambda self: self._topology.dtype.name, doc='"float32" or "float64".')
    dropout = property(
        lambda self: list(self._topology.dropout or [0.0] * (len(self._topology.sizes) - 2)), doc="One rate per hidden layer."
    )
    epsilon = property(lambda self: self._topology.epsilon, doc="Slope of leaky_relu for z <= 0.")
    device = property(lambda self: self._device, doc='"cpu" or "cuda".')
    kernels = property(lambda self: self._kernels, doc='"fast" or "reference".')

    @property
    def table(self) -> Encoding | None:
        """How the rows of a table become x and y, see `numbanet.tables`; kept in the file.

        Set to an encoding that does not fit the network it is refused with ValueError.
        """
        return self._table

    @table.setter
    def table(self, encoding: Encoding | None) -> None:
        if encoding is not None:
            encoding.check(self._topology)
        self._table = encoding

    def __repr__(self):
        dropout = f"dropout={self.dropout}, " if self._topology.dropout else ""
        return (
            f"Network({self.sizes}, activations={self.activations}, loss={self.loss!r}, dtype={self.dtype!r}, {dropout}"
            f"device={self.device!r}, kernels={self.kernels!r})"
        )

    def __getstate__(self):
        """For pickle and copy: plain data in place of the engine."""
        state = vars(self).copy()
        engine = state.pop("_engine")
        return state | {"parameters": engine.read(), "moments": engine.read_moments(self._optimizer.rule().moments)}

    def __setstate__(self, state):
        """On the CPU, with a warning, where the network was on a GPU and none can be used here."""
        parameters, moments = state.pop("parameters"), state.pop("moments")
        vars(self).update(state)
        self._device = _usable_device("cpu" if self._device == "cpu" else "auto")
        self._engine = make_engine(self._topology, self._device, self._kernels)
        self._engine.write(parameters)
        self._engine.write_moments(moments)

    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Copies of the parameters.

        Returns
        -------
        list of (w, b)
            One pair per layer, w (n_in, n_out) with w[i, j] from neuron i to neuron j, b (n_out,).
        """
        return self._topology.views(self._engine.read().copy())  # an engine may return an array that it keeps

    def set_parameters(self, parameters) -> None:
        """Replaces all parameters; what an optimizer remembers of the old ones is forgotten.

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
        self._forget(self._optimizer)

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

    def evaluate(self, x, y, *, metrics=()) -> dict[str, float]:
        """The loss and, for cce and bce, the accuracy over all samples given.

        Parameters
        ----------
        x : array_like or GPU array, (n, n_in)
        y : array_like or GPU array
            For cce integer labels (n,), or rows of probabilities (n, n_out) that add up to 1; for bce numbers in [0, 1], for
            mse and sse any: (n, n_out), or (n,) where there is one output.
        metrics : str, callable, or list or dict of them
            What else to measure, as for `fit`.

        Returns
        -------
        dict
            "loss"; "accuracy": for cce the share of samples whose largest output is the right one, for bce the share of outputs
            on the right side of 1/2; and the metrics by name.

        Raises
        ------
        ValueError, TypeError
            Where x or y is not as above.
        """
        found = metrics_of(metrics)
        data = Data(*self._upload(x, y))
        return training.metrics(self._engine.evaluate(data.x, data.y), self._topology) | measured(self._engine, data, found)

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

    def train_step(self, x, y, learning_rate, *, optimizer="gradient_descent", sample_weight=None) -> float:
        """One update on one batch: w <- w - eta dL/dw and b <- b - eta dL/db, or what another optimizer makes of it.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`.
        learning_rate : float
            eta, positive.
        optimizer, sample_weight
            As for `fit`.

        Returns
        -------
        float
            The loss of the batch before the update.

        Raises
        ------
        ValueError, TypeError
            Where an argument is not as above; the network is then as it was.
        """
        return self._pass(x, y, None, learning_rate, optimizer, sample_weight)["loss"]

    def partial_fit(
        self, x, y, *, batch_size=32, learning_rate=None, optimizer="gradient_descent", sample_weight=None
    ) -> dict[str, float]:
        """One pass over some more samples, in the order given: for data that come bit by bit.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`.
        batch_size : int
            Samples per update; the last batch may be smaller.
        learning_rate, optimizer, sample_weight
            As for `fit`.

        Returns
        -------
        dict
            "loss" and, for cce and bce, "accuracy" of the batches as they were trained on.

        Raises
        ------
        ValueError, TypeError
            Where an argument is not as above; the network is then as it was.
        """
        return self._pass(x, y, checks.integer("batch_size", batch_size), learning_rate, optimizer, sample_weight)

    def fit(
        self,
        x,
        y=None,
        *,
        epochs,
        batch_size=32,
        learning_rate=None,
        optimizer="gradient_descent",
        schedule=None,
        shuffle=True,
        validation_data=None,
        validation_split=0.0,
        sample_weight=None,
        class_weight=None,
        label_smoothing=0.0,
        metrics=(),
        early_stopping=None,
        callbacks=(),
        checkpoint=None,
        communicator=None,
        sharded=False,
        verbose=1,
    ) -> History:
        """Trains on batches.

        Another `fit` goes on where this one ended: with the same optimizer, to the same bits as one `fit` over all epochs whose
        learning rates are the same. Another kind of optimizer, or parameters that were set, begin afresh what parameters
        remember; other constants do not.

        Ctrl-C ends the training early: the network keeps its last finished step, and the history of the finished epochs is
        returned, with `interrupted` set.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`. Or, without y, x is what gives the batches of an epoch: a callable that returns an iterable of
            (x, y) or (x, y, sample_weight), or an object that can be iterated over once an epoch, such as a list or a loader.
            Each is trained on as one batch, in the order given.
        epochs : int
            How many times to go through all samples.
        batch_size : int
            Samples per update; the last batch of an epoch may be smaller.
        learning_rate : float, optional
            eta, positive: 0.01, or 0.001 for adam and adamw, unless told.
        optimizer : str or Optimizer
            "gradient_descent", "momentum", "nesterov", "adam", "adamw", or an object such as `Adam(beta_2=0.99, clip_norm=1)`.
        schedule : str, Schedule or callable, optional
            How the learning rate changes: "constant", "step", "exponential", "cosine", "plateau", an object such as
            `Cosine(warm_up=5)`, or a function of the epoch, counted from 1, that returns the learning rate.
        shuffle : bool
            Whether each epoch takes the samples in a new random order, which the network's seed decides.
        validation_data : tuple (x, y), optional
            Evaluated after each epoch, never trained on.
        validation_split : float
            Instead: the share of the samples, from the last on, that is kept for validation.
        sample_weight : array_like (n,), optional
            What a sample counts, at least 0: its loss times that, and means divide by the weight of a batch instead of its
            number of samples.
        class_weight : dict or "balanced", optional
            What the samples of a class count, by label, for cce and for bce with one output; "balanced": all classes the same.
        label_smoothing : float
            How far, in [0, 1), the targets of bce and cce move from certainty to indifference, in training only.
        metrics : str, callable, or list or dict of them
            What else to measure after each epoch, on the data and on the validation data: "mae", "mse", "rmse", "r2",
            "balanced_accuracy", "f1", or functions of targets and predictions, (n, n_out) each.
        early_stopping : int or EarlyStopping, optional
            How many epochs without progress end the training. The network then has the parameters of the best epoch, however
            the training ended.
        callbacks : Callback or list of them
            What looks on, by Keras's hooks.
        checkpoint : path or Checkpoint, optional
            A file that holds all of the training's state, replaced after each epoch. If it is there when `fit` begins, the
            training goes on from it, to the bits it would have had; the arguments and the data have to be the same.
        communicator : Communicator, optional
            Of several processes, each of which makes this call, to train one network together: `MPICommunicator()`. Each has
            a share of every batch; batch_size counts the whole one. But for rounding all get the network that one process
            would get. Rank 0 calls the callbacks, prints, and has the checkpoint.
        sharded : bool
            Whether x, y, sample_weight and validation_data are samples of this process alone, and all those of all processes
            are to be trained on, instead of the same ones everywhere. Where x gives batches, they always are.
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
        optimizer = optimizer_of(optimizer)
        smoothing = checks.share("label_smoothing", label_smoothing)
        communicator, sharded = communicator_of(communicator), checks.flag("sharded", sharded)
        settings = training.Settings(
            epochs=checks.integer("epochs", epochs),
            batch_size=checks.integer("batch_size", batch_size),
            learning_rate=self._learning_rate(learning_rate, optimizer),
            rule=optimizer.rule(),
            schedule=None if schedule is None else schedule_of(schedule),
            shuffle=checks.flag("shuffle", shuffle),
            metrics=metrics_of(metrics),
            early_stopping=training.early_stopping_of(early_stopping),
            callbacks=callbacks_of(callbacks, self),
            verbose=checks.flag("verbose", verbose),
        )
        if y is None:
            self._refuse_for_batches(validation_split, sample_weight)
            data = inputs.batches(x, settings.epochs, lambda *batch: self._data(*batch, class_weight, smoothing))
            validation = None if validation_data is None else self._validation(validation_data)
        else:
            add_up = communicator.sum if sharded else weighting.nothing_to_add
            data = self._data(x, y, sample_weight, class_weight, 0.0, add_up)
            data, validation = self._split(data, validation_split, validation_data)
            data = data._replace(y=weighting.smoothed(data.y, smoothing, self._topology))
        self._use(optimizer)
        self._state = state = training.State(self._generator, self._state.step)
        checkpoint, together = checkpoint_of(checkpoint), communicator.size > 1
        found = conditions(settings, data, validation, sharded) if checkpoint or together else {}
        if checkpoint and communicator.rank == 0:
            settings = self._resumed(checkpoint, state, settings, found)
        this = training.Training(self._engine, self._topology, state, settings)
        if together:
            found |= {"network": repr(self), "optimizer": repr(optimizer), "epochs": settings.epochs, "sharded": sharded}
            this = DistributedTraining(self._engine, self._topology, state, settings, communicator, sharded, found)
        try:
            return this.run(data, validation)
        finally:
            self._state = training.State(self._generator, state.step)

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
            engine.write_moments(self._engine.read_moments(self._optimizer.rule().moments))
            self._engine, self._device = engine, device
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Writes everything needed to go on, exactly at this path: topology, parameters and the state of shuffling.

        The file is replaced in one move: a crash leaves the old one whole.

        Parameters
        ----------
        path : path
            A name that ends in .safetensors makes a safetensors file, any other an NPZ file.

        Raises
        ------
        OSError
            The file cannot be written.
        ModuleNotFoundError
            The package safetensors is not installed; the message says what to install.
        """
        persist.save(path, self._description(), self._vectors())

    def export(self, path: str | os.PathLike) -> None:
        """Writes an ONNX file, for other programs to predict with: opset 17, input x (N, n_in), output y_hat (N, n_out).

        Its nodes are a Gemm and an activation per layer, its metadata have a description of the network in JSON under the
        key numbanet. The file is replaced in one move, as by `save`.

        Parameters
        ----------
        path : path
            A name that ends in .onnx.

        Raises
        ------
        ValueError
            The name ends otherwise, or the network is too large for a file of ONNX, 2 GiB.
        OSError
            The file cannot be written.
        ModuleNotFoundError
            The package onnx is not installed; the message says what to install.
        """
        persist.export(path, self._description(), self._engine.read())

    @classmethod
    def load(cls, path: str | os.PathLike, *, device="cpu", kernels="fast") -> "Network":
        """Reads a network that `save` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : path
            Of a file of either format; the content tells which, not the name.
        device, kernels : str
            As for `Network`; a file is not bound to the device it was trained on.

        Raises
        ------
        ValueError
            The file is damaged, or not a network; the message says in what.
        OSError
            The file cannot be read.
        ModuleNotFoundError
            It is a safetensors file, and that package is not installed; the message says what to install.
        """
        description, vectors = persist.load(path)
        topology = description.topology
        network = cls(
            topology.sizes,
            topology.activations,
            topology.loss,
            dtype=topology.dtype,
            epsilon=topology.epsilon,
            dropout=topology.dropout or 0.0,
            device=device,
            kernels=kernels,
        )
        network._take_up(description, vectors)
        return network

    def _description(self) -> persist.Description:
        state = self._generator.bit_generator.state
        return persist.Description(self._topology, state, self._optimizer, self._state.step, table=self._table)

    def _vectors(self) -> dict[str, np.ndarray]:
        """The parameters, and what they remember if there has been an update."""
        moments = self._engine.read_moments(self._optimizer.rule().moments)
        return {"parameters": self._engine.read()} | {f"moment_{k}": moment for k, moment in enumerate(moments, start=1)}

    def _take_up(self, description: persist.Description, vectors: dict[str, np.ndarray]) -> None:
        """What a file holds becomes this network's."""
        self._engine.write(vectors["parameters"])
        self._forget(description.optimizer)
        if description.step:
            self._engine.write_moments([vectors[name] for name in description.vectors if name.startswith("moment")])
        self._state.step, self._table = description.step, description.table
        self._generator.bit_generator.state = description.generator

    def _resumed(self, checkpoint: Checkpoint, state, settings, found: dict):
        """The settings, which then save the state; the state is that of the file, if there is one."""

        def save():
            description = replace(self._description(), step=state.step, training=progress(state, found))
            best = {} if state.best is None else {"best": state.best}
            persist.save(checkpoint.path, description, self._vectors() | best)

        if exists(checkpoint):
            description, vectors = persist.load(checkpoint.path)
            if description.topology != self._topology or description.optimizer != self._optimizer:
                other = "network" if description.topology != self._topology else "optimizer"
                raise ValueError(f"{os.fspath(checkpoint.path)} is the checkpoint of another {other}: give another path")
            resumed(state, checkpoint.path, description, vectors, found)
            self._take_up(description, vectors)
        return replace(settings, save=save, save_every=checkpoint.every)

    def _checked(self, x, y, x_name="x", y_name="y"):
        x = inputs.samples(x, self._topology, self._device, x_name)
        return x, inputs.targets(y, x.shape[0], self._topology, self._device, y_name)

    def _upload(self, x, y):
        return [self._engine.upload(array) for array in self._checked(x, y)]

    def _use(self, optimizer: Optimizer) -> None:
        """From here on parameters descend by this optimizer, and remember nothing of one of another kind."""
        if type(optimizer) is not type(self._optimizer):
            self._forget(optimizer)
        self._optimizer = optimizer

    def _forget(self, optimizer: Optimizer) -> None:
        nothing = np.zeros(self._topology.parameter_count, self._topology.dtype)
        self._engine.write_moments([nothing] * optimizer.rule().moments)
        self._optimizer, self._state.step = optimizer, 0

    def _learning_rate(self, learning_rate, optimizer: Optimizer) -> float:
        learning_rate = optimizer.learning_rate if learning_rate is None else learning_rate
        return checks.positive("learning_rate", learning_rate, self._topology.dtype)

    def _pass(self, x, y, batch_size, learning_rate, optimizer, sample_weight) -> dict[str, float]:
        """One pass over samples, in one batch if no size is given."""
        optimizer = optimizer_of(optimizer)
        eta = self._learning_rate(learning_rate, optimizer)
        data = self._data(x, y, sample_weight, None, 0.0)
        self._use(optimizer)
        settings = training.Settings.of_pass(optimizer.rule(), batch_size or data.x.shape[0], eta)
        return training.Training(self._engine, self._topology, self._state, settings).run_pass(data)

    def _data(self, x, y, sample_weight, class_weight, smoothing, add_up=weighting.nothing_to_add) -> Data:
        x, y = self._checked(x, y)
        weights = weighting.weights(sample_weight, class_weight, y, self._topology, add_up)
        return Data(x, weighting.smoothed(y, smoothing, self._topology), weights)

    def _validation(self, validation_data) -> Data:
        try:
            x, y = validation_data
        except (TypeError, ValueError):
            raise ValueError("validation_data must be a pair (x, y)") from None
        return Data(*self._checked(x, y, "x of validation_data", "y of validation_data"))

    def _split(self, data: Data, validation_split, validation_data) -> tuple[Data, Data | None]:
        """What to train on, and what to validate with."""
        split = checks.share("validation_split", validation_split)
        if validation_data is not None:
            if split:
                raise ValueError("validation_data and validation_split are two ways to say the same: give one of them")
            return data, self._validation(validation_data)
        if not split:
            return data, None
        count = data.x.shape[0]
        first = count - round(split * count)
        if not 0 < first < count:
            raise ValueError(f"validation_split {split} of {count} samples leaves none to train on, or none to validate with")
        weights = None if data.weights is None else data.weights[:first]
        return Data(data.x[:first], data.y[:first], weights), Data(data.x[first:], data.y[first:])

    @staticmethod
    def _refuse_for_batches(validation_split, sample_weight) -> None:
        if validation_split or sample_weight is not None:
            raise ValueError(
                "where x gives batches, validation_split cannot be: give validation_data; weights go as (x, y, weight)"
            )

    def _batch_loss(self, total: float, n: int) -> float:
        return total if self._topology.loss == "sse" else total / n


def _host_copy(array) -> np.ndarray:
    return array.copy() if isinstance(array, np.ndarray) else array.copy_to_host()


_auto_told = False


def _usable_device(device) -> str:
    """ "cpu" or "cuda", the latter only where it can be used."""
    global _auto_told
    device = checks.choice("device", device, DEVICES)
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
