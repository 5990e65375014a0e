"""Class Network: a multilayer perceptron, its training and its files. Engines do everything numerical."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbanet import checks, fitting, inputs, persist
from numbanet.distributed.communicators import Communicator
from numbanet.fitting import Samples
from numbanet.perceptron import MultilayerPerceptron
from numbanet.persist import models
from numbanet.persist.checkpoint import Checkpoint
from numbanet.training.callbacks import Callback, callbacks_of
from numbanet.training.early_stopping import EarlyStopping, early_stopping_of
from numbanet.training.history import History
from numbanet.training.loop import Settings
from numbanet.training.metrics import Metric, metrics_of
from numbanet.training.model import Model
from numbanet.training.optimizers import Optimizer, optimizer_of
from numbanet.training.schedules import Schedule, schedule_of


class Network(MultilayerPerceptron):
    """A multilayer perceptron trained by gradient descent.

    Parameters
    ----------
    sizes : list of int
        Numbers of neurons, input first: [n_in, ..., n_out].
    activations : str or list of str
        One name per layer; or one name for all hidden layers, the output layer then having the natural activation for the
        loss (cce: softmax, bce: sigmoid, mse and sse: identity). Known: identity, sigmoid, tanh, relu, leaky_relu, softmax.
    loss : {"sse", "mse", "bce", "cce"}
        Sum or mean of squared errors, binary or categorical cross-entropy. With n samples in a batch, sse is the sum over
        samples and outputs; mse, bce and cce are 1/n times the sum. cce needs a softmax output, bce sigmoid or softmax.
    dtype : {"float32", "float64"}
        Of parameters and all arithmetic.
    seed : int, optional
        Of the initial weights and of all shuffling. The same seed gives the same bits.
    epsilon : float
        Slope of leaky_relu for z <= 0.
    dropout : float or list of float
        The fraction of a hidden layer's neurons that drop out of each training step, in [0, 1): for all hidden layers, or one
        number for each. The remaining activations are scaled up, so that predictions need no change (Srivastava et al., 2014,
        JMLR 15:1929).
    device : {"cpu", "cuda", "auto"}
        "auto" is "cuda" if a GPU can be used, else "cpu".
    kernels : {"fast", "reference"}
        "reference" computes with the loops of `numbanet.equations`, unchanged.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described above; the message names it.
    RuntimeError
        device="cuda", but no GPU can be used; the message says what was found and what is missing.

    Notes
    -----
    On a GPU, host arrays that fit stay there for the duration of a call. `fit`, `evaluate` and `predict` bring larger arrays in
    chunks, the next while the GPU works on the current one, with bit-identical results. `gradients`, `trace` and `train_step`
    need room for the whole batch; MemoryError says how much is free and what would fit. If a call fails on the GPU, the network
    keeps the parameters from before it; after `fit`, those of the last finished epoch. If this process cannot use the GPU any
    more, the error says so, and `parameters`, `save` and `to("cpu")` still work.

    Weights start uniformly in +-sqrt(6 / n_in) before relu and leaky_relu (He et al., 2015, doi:10.1109/ICCV.2015.123), in
    +-sqrt(6 / (n_in + n_out)) before the other activations (Glorot and Bengio, 2010, PMLR 9:249-256); biases at 0.
    """

    def __init__(
        self,
        sizes: Iterable[SupportsIndex],
        activations: str | Iterable[str],
        loss: str,
        *,
        dtype: DTypeLike = "float32",
        seed: SupportsIndex | None = None,
        epsilon: float = 0.01,
        dropout: float | Iterable[float] = 0.0,
        device: str = "cpu",
        kernels: str = "fast",
    ):
        topology = inputs.make_topology(sizes, activations, loss, dtype, epsilon, dropout)
        kernels = checks.choice("kernels", kernels, inputs.KERNELS)
        generator = np.random.Generator(np.random.PCG64(None if seed is None else checks.integer("seed", seed, 0)))
        self._model = Model(topology, inputs.usable_device(device), kernels, generator)
        self._model.initialize()

    def set_parameters(self, parameters: Iterable[tuple[ArrayLike, ArrayLike]]) -> None:
        """Replaces all parameters, and resets the optimizer state.

        Parameters
        ----------
        parameters : list of (w, b)
            One pair per layer, finite, in the shapes that `parameters()` returns.

        Raises
        ------
        ValueError, TypeError
            parameters is not as described above; the network is unchanged.
        """
        self._model.engine.write(inputs.parameters(parameters, self._model.topology))
        self._model.reset(self._model.optimizer)

    def train_step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        learning_rate: float,
        *,
        optimizer: str | Optimizer = "gradient_descent",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Updates the parameters once, by one batch: w <- w - eta dL/dw and b <- b - eta dL/db, or by another optimizer's rule.

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
            An argument is not as described above; the network is unchanged.
        """
        options = {"batch_size": None, "learning_rate": learning_rate, "optimizer": optimizer}
        return fitting.train_pass(self._model, x, y, sample_weight, **options)["loss"]

    def partial_fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        batch_size: SupportsIndex = 32,
        learning_rate: float | None = None,
        optimizer: str | Optimizer = "gradient_descent",
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]:
        """Trains once on further samples, in their order: for data that arrive in parts.

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
            An argument is not as described above; the network is unchanged.
        """
        options = {"batch_size": checks.integer("batch_size", batch_size), "learning_rate": learning_rate}
        return fitting.train_pass(self._model, x, y, sample_weight, optimizer=optimizer, **options)

    def fit(
        self,
        x: ArrayLike | Iterable[Any] | Callable[[], Iterable[Any]],
        y: ArrayLike | None = None,
        *,
        epochs: SupportsIndex,
        batch_size: SupportsIndex = 32,
        learning_rate: float | None = None,
        optimizer: str | Optimizer = "gradient_descent",
        schedule: str | Schedule | Callable[[int], float] | None = None,
        shuffle: bool | Literal[0, 1] = True,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        label_smoothing: float = 0.0,
        metrics: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] = (),
        early_stopping: SupportsIndex | EarlyStopping | None = None,
        callbacks: Callback | Iterable[Callback] = (),
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
        communicator: Communicator | None = None,
        sharded: bool | Literal[0, 1] = False,
        verbose: bool | Literal[0, 1] = 1,
    ) -> History:
        """Trains the network in batches.

        A further `fit` continues from the current state: with the same optimizer, two fits equal one fit over all their epochs
        bit by bit, if the learning rates are equal. Changing the optimizer class, or calling `set_parameters`, resets the
        optimizer state; changing its hyperparameters does not.

        Ctrl-C ends the training early: the network keeps its last finished step, and `fit` returns the history of the finished
        epochs, with `interrupted` set.

        Parameters
        ----------
        x, y : array_like or GPU array
            As for `evaluate`. Without y, x yields the batches of an epoch: a callable that returns an iterable of (x, y) or
            (x, y, sample_weight), or an object to iterate over once per epoch, such as a list or a loader. Each item is
            one batch, in the order given.
        epochs : int
            Number of passes over all samples.
        batch_size : int
            Samples per update; the last batch of an epoch may be smaller.
        learning_rate : float, optional
            eta, positive; by default 0.01, or 0.001 for adam and adamw.
        optimizer : str or Optimizer
            "gradient_descent", "momentum", "nesterov", "adam", "adamw", or an object such as `Adam(beta_2=0.99, clip_norm=1)`.
        schedule : str, Schedule or callable, optional
            The change of the learning rate: "constant", "step", "exponential", "cosine", "plateau", an object such as
            `Cosine(warm_up=5)`, or a function of the epoch, counted from 1, that returns the learning rate.
        shuffle : bool
            Whether each epoch takes the samples in a new random order, drawn from the network's seed.
        validation_data : tuple (x, y), optional
            Samples to evaluate after each epoch, without training on them.
        validation_split : float
            Instead of validation_data: the fraction of the samples, the last ones, to keep for validation.
        sample_weight : array_like (n,), optional
            Non-negative sample weights. Each loss is multiplied by its weight; means divide by the batch's total weight.
        class_weight : dict or "balanced", optional
            Weights of the samples of each class, by label, for cce and for bce with one output; "balanced" gives all classes
            the same total weight.
        label_smoothing : float
            In [0, 1): how far the targets of bce and cce move from certainty to indifference, in training only.
        metrics : str, callable, or list or dict of them
            Further figures after each epoch, of the training data and of the validation data: "mae", "mse", "rmse", "r2",
            "balanced_accuracy", "f1", or functions of targets and predictions, (n, n_out) each.
        early_stopping : int or EarlyStopping, optional
            The number of epochs without progress that ends the training. The network then has the parameters of the best
            epoch, however the training ended.
        callbacks : Callback or list of them
            Objects with Keras-style hooks, called during training.
        checkpoint : path or Checkpoint, optional
            A file with the whole state of the training, replaced after each epoch. If it exists when `fit` is called, training
            resumes from it, with bit-identical results; the arguments and the data must be the same.
        communicator : Communicator, optional
            Of several processes that make this call to train one network together: `MPICommunicator()`. Each process trains on
            a part of every batch; batch_size counts the whole batch. Up to rounding, all processes end with the network that
            one process would train. Rank 0 calls the callbacks, prints, and writes the checkpoint.
        sharded : bool
            Whether x, y, sample_weight and validation_data are this process's own samples, to be trained on together with those
            of all other processes, instead of the same samples in every process. Batches that x yields are always a process's
            own.
        verbose : {0, 1}
            1 prints a line per epoch and, on a terminal, shows a bar in long epochs. 0 prints nothing.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            An argument is not as described above; the network is unchanged.
        FloatingPointError
            The loss or a parameter stopped being finite; the network keeps the parameters of the last finite epoch.
        """
        optimizer = optimizer_of(optimizer)
        settings = Settings(
            epochs=checks.integer("epochs", epochs),
            batch_size=checks.integer("batch_size", batch_size),
            learning_rate=fitting.learning_rate_of(learning_rate, optimizer, self._model),
            optimizer=optimizer,
            schedule=schedule_of(schedule),
            shuffle=checks.flag("shuffle", shuffle),
            metrics=metrics_of(metrics),
            early_stopping=early_stopping_of(early_stopping),
            callbacks=callbacks_of(callbacks, self),
            verbose=checks.flag("verbose", verbose),
        )
        samples = Samples(x, y, sample_weight, class_weight, label_smoothing, validation_data, validation_split)
        return fitting.fit(self._model, settings, samples, checkpoint, communicator, sharded)

    def to(self, device: str) -> Self:
        """Moves the network to another device.

        Parameters
        ----------
        device : {"cpu", "cuda", "auto"}

        Returns
        -------
        Network
            The same object.

        Raises
        ------
        ValueError, RuntimeError
            The device is unknown or cannot be used; the network stays on its device.
        """
        device = inputs.usable_device(device)
        if device != self.device:
            self._model.move(device)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything needed to continue training: topology, parameters, states of the optimizer and of the shuffling.

        The path is used as it is: no suffix is added.

        The file is replaced in one move: a crash leaves the old file whole.

        Parameters
        ----------
        path : path
            A name that ends in .safetensors makes a safetensors file, any other name an NPZ file.

        Raises
        ------
        OSError
            The file cannot be written.
        ModuleNotFoundError
            The package safetensors is not installed; the message says what to install.
        """
        persist.save(path, models.description_of(self._model), models.vectors_of(self._model.snapshot()))

    def export(self, path: str | os.PathLike[str]) -> None:
        """Writes an ONNX file for other programs to predict with: opset 17, input x (N, n_in), output y_hat (N, n_out).

        Its nodes are a Gemm and an activation per layer; its metadata hold a description of the network as JSON, under the
        key numbanet. The file is replaced in one move, as by `save`.

        Parameters
        ----------
        path : path
            A name that ends in .onnx.

        Raises
        ------
        ValueError
            The name does not end in .onnx, or the network exceeds the 2 GiB limit of ONNX files.
        OSError
            The file cannot be written.
        ModuleNotFoundError
            The package onnx is not installed; the message says what to install.
        """
        persist.export(path, models.description_of(self._model), self._model.engine.read())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "cpu", kernels: str = "fast") -> Self:
        """Reads a network that `save` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : path
            Of a file of either format; the content decides which, not the name.
        device, kernels : str
            As for `Network`; a file is not tied to a device.

        Raises
        ------
        ValueError
            The file is damaged, or is not a network; the message says what is wrong.
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
        models.restore(network._model, description, vectors)
        return network
