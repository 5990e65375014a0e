"""Class Network: a multilayer perceptron with training and files; the engines in `numbanet.engines` do all computation."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbanet import checks, fitting, inputs, persist
from numbanet.distributed.communicators import Communicator
from numbanet.files import Location, naming
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
        Number of neurons of each layer, beginning with the inputs: [n_in, ..., n_out].
    activations : str or list of str
        One name per layer, or a single name for all hidden layers. With a single name, the output layer has the activation that
        suits the loss: softmax for cce, sigmoid for bce, identity for mse and sse. The names are identity, sigmoid, tanh, relu,
        leaky_relu and softmax.
    loss : {"sse", "mse", "bce", "cce"}
        Sum of squared errors, mean squared error, binary cross-entropy or categorical cross-entropy. With n samples in a batch,
        sse is the sum over samples and outputs; mse, bce and cce are 1/n times such a sum. The output layer needs softmax for
        cce, and sigmoid or softmax for bce.
    dtype : {"float32", "float64"}
        The dtype of the parameters and of all arithmetic.
    seed : int, optional
        Seed of the initial weights, of shuffling and of dropout. The same seed gives bit-identical results.
    epsilon : float
        Slope of leaky_relu for z <= 0.
    dropout : float or list of float
        Probability, in [0, 1), with which a neuron of a hidden layer drops out of a training step: one number for all hidden
        layers, or one per hidden layer. The remaining activations are scaled up, so that predictions need no change (Srivastava
        et al., 2014, JMLR 15:1929).
    device : {"cpu", "cuda", "auto"}
        Where the network computes. "auto" means "cuda" if a GPU can be used, otherwise "cpu".
    kernels : {"fast", "reference"}
        The implementation. "fast" is optimised; "reference" computes with the unchanged loops of `numbanet.equations`.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described above; the message names it.
    RuntimeError
        `device` is "cuda", but no GPU can be used; the message says what was found and what is missing.

    Notes
    -----
    On a GPU, host arrays that fit into GPU memory are copied to it once per call. `fit`, `evaluate` and `predict` copy larger
    arrays in chunks, each while the GPU works on the chunk before, with bit-identical results. `gradients`, `trace` and
    `train_step` need GPU memory for the whole batch; otherwise they raise MemoryError, which says how much memory is free and
    what would fit. If a call fails on the GPU, the network keeps the parameters from before the call; after a failed `fit`, it
    keeps the parameters of the last finished epoch. If this process can no longer use the GPU, the error says so, and
    `parameters`, `save` and `to("cpu")` still work.

    Initial weights are drawn uniformly from +-sqrt(6 / n_in) for layers with relu or leaky_relu (He et al., 2015,
    doi:10.1109/ICCV.2015.123), and from +-sqrt(6 / (n_in + n_out)) for layers with other activations (Glorot and Bengio, 2010,
    PMLR 9:249-256). Initial biases are 0.
    """

    @checks.none_is_default
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
        generator = np.random.Generator(
            np.random.PCG64(None if seed is None else checks.integer("seed", seed, 0, float("inf")))
        )
        kernels = checks.choice("kernels", kernels, inputs.KERNELS)
        self._model = Model(topology, inputs.usable_device(device), kernels, generator)
        self._model.initialize()

    def set_parameters(self, parameters: Iterable[tuple[ArrayLike, ArrayLike]]) -> None:
        """Replaces all weights and biases, and resets the state of the optimizer.

        Parameters
        ----------
        parameters : list of (w, b)
            One pair of finite arrays per layer, with the shapes that `parameters()` returns.

        Raises
        ------
        ValueError, TypeError
            `parameters` is not as described above; the network is unchanged.
        """
        self._model.engine.write(inputs.parameters(parameters, self._model.topology))
        self._model.reset(self._model.optimizer)

    @checks.none_is_default
    def train_step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        learning_rate: float,
        *,
        optimizer: str | Optimizer = "gradient_descent",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Updates the parameters once, from one batch: w <- w - eta dL/dw, b <- b - eta dL/db, or by another optimizer.

        Parameters
        ----------
        x, y : array_like or GPU array
            Inputs and targets, as for `evaluate`.
        learning_rate : float
            The learning rate eta, positive.
        optimizer
            As for `fit`.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples, which are taken as they are given, as by `gradients`.

        Returns
        -------
        float
            The loss of the batch before the update, as `gradients` returns it.

        Raises
        ------
        ValueError, TypeError
            An argument is not as described above; the network is unchanged.
        """
        options = {"batch_size": None, "learning_rate": learning_rate, "optimizer": optimizer}
        return fitting.train_pass(self._model, x, y, sample_weight, **options)["loss"]

    @checks.none_is_default
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
        """Trains once on samples, in their order; further calls continue the training with data that arrive later.

        Parameters
        ----------
        x, y : array_like or GPU array
            Inputs and targets, as for `evaluate`.
        batch_size : int
            Number of samples per update; the last batch may be smaller.
        learning_rate, optimizer
            As for `fit`.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples, which are taken as they are given, as by `gradients`.

        Returns
        -------
        dict
            "loss" and, for cce and bce, "accuracy", computed for each batch before its update. With weights, the loss is 1/n
            times the sum of weight times loss over all n samples; the accuracy counts each sample once.

        Raises
        ------
        ValueError, TypeError
            An argument is not as described above; the network is unchanged.
        """
        options = {"batch_size": checks.integer("batch_size", batch_size), "learning_rate": learning_rate}
        return fitting.train_pass(self._model, x, y, sample_weight, optimizer=optimizer, **options)

    @checks.none_is_default
    def fit(
        self,
        x: ArrayLike | Iterable[Any] | Callable[[], Iterable[Any]],
        y: ArrayLike | None = None,
        *,
        epochs: SupportsIndex,
        batch_size: SupportsIndex | None = 32,
        steps_per_epoch: SupportsIndex | None = None,
        learning_rate: float | None = None,
        optimizer: str | Optimizer | None = "gradient_descent",
        schedule: str | Schedule | Callable[[int], float] | None = None,
        shuffle: bool | Literal[0, 1] = True,
        validation_data: tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike | None] | None = None,
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

        A further call of `fit` continues from the current state: with the same optimizer and learning rates, two calls are
        bit-identical to one call over all their epochs. Changing the optimizer class, or calling `set_parameters`, resets the
        state of the optimizer; changing the hyperparameters of the optimizer does not.

        Ctrl-C ends the training early: the network keeps the parameters after the last finished step, and `fit` returns the
        history of the finished epochs, whose attribute `interrupted` is True.

        Parameters
        ----------
        x, y : array_like or GPU array
            Inputs and targets, as for `evaluate`. Without y, x supplies batches: it is a callable that returns an iterable of
            (x, y) or (x, y, sample_weight), or an object that is iterated over once per epoch, such as a list or a data loader.
            Each item is one batch; the order of the batches is kept.
        epochs : int
            Number of passes over all samples.
        batch_size : int
            Number of samples per update; the last batch of an epoch may be smaller.
        steps_per_epoch : int, optional
            Number of batches per epoch, if x yields batches; by default, an epoch takes all batches of x.
        learning_rate : float, optional
            The learning rate eta, positive; by default 0.01, or 0.001 for adam and adamw.
        optimizer : str or Optimizer
            "gradient_descent", "momentum", "nesterov", "adam", "adamw", or an object such as `Adam(beta_2=0.99, clip_norm=1)`.
        schedule : str, Schedule or callable, optional
            How the learning rate changes from epoch to epoch: "constant", "step", "exponential", "cosine", "plateau", an object
            such as `Cosine(warm_up=5)`, or a function of the epoch, counted from 1, that returns the learning rate.
        shuffle : bool
            Whether each epoch uses the samples in a new random order, which depends on the seed of the network.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            Samples that are evaluated after each epoch, as by `evaluate`, but not trained on.
        validation_split : float
            Fraction of the samples, taken from the end, that is used for validation in place of validation_data, with its part
            of sample_weight.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples. One factor scales all weights, of samples times classes, so that their mean
            over all training samples is 1. The gradient of a batch of n samples is 1/n times the sum of weight times gradient.
            The loss of an epoch is the weighted mean over the epoch; the accuracy counts each sample once. The weights of
            batches that x yields are taken as they are given.
        class_weight : dict or "balanced", optional
            The weight of the training samples of each class, by label, for cce and for bce with one output. "balanced" gives
            all classes the same total weight; it needs y, because batches that x yields cannot be counted before training.
        label_smoothing : float
            A number in [0, 1). In training, the targets y of cce become (1 - label_smoothing) y + label_smoothing / n_out; for
            bce, the last term is label_smoothing / 2.
        metrics : str, callable, or list or dict of them
            Metrics of training and validation data: "mae", "mse", "rmse", "r2", "balanced_accuracy", "f1",
            "precision", "recall", "roc_auc", "log_loss", or functions of targets and predictions, arrays (n, n_out).
        early_stopping : int or EarlyStopping, optional
            Number of epochs without improvement after which the training ends. At the end, however the training ended, the
            network has the parameters of the best epoch.
        callbacks : Callback or list of them
            Objects with methods as in Keras, such as `on_epoch_end`, which are called during training.
        checkpoint : path or Checkpoint, optional
            A file with the whole state of the training, replaced after each epoch. If it exists when `fit` is called, the
            training resumes from it, with bit-identical results; the arguments and the data must be the same.
        communicator : Communicator, optional
            The connection between several processes that call `fit` to train one network together, such as `MPICommunicator()`.
            Each process trains on a part of every batch; batch_size is the size of the whole batch. Up to rounding, all
            processes end with the network that one process would train. Only rank 0 calls the callbacks, prints, and writes the
            checkpoint.
        sharded : bool
            If True, x, y, sample_weight and validation_data are the samples of this process alone, and training uses the
            samples of all processes together. If False, every process passes the same samples. Batches that x yields always
            belong to this process alone.
        verbose : {0, 1}
            1 prints a line per epoch and, on a terminal, shows a progress bar during long epochs; 0 prints nothing.

        Returns
        -------
        History
            The loss, accuracy and metrics of each epoch.

        Raises
        ------
        ValueError, TypeError
            An argument is not as described above; the network is unchanged.
        FloatingPointError
            The loss or a parameter is no longer finite; the network keeps the parameters of the last epoch that was finite.
        """
        optimizer = optimizer_of(optimizer)
        settings = Settings(
            epochs=checks.integer("epochs", epochs),
            batch_size=checks.integer("batch_size", batch_size),
            learning_rate=fitting.learning_rate_of(learning_rate, optimizer, self._model),
            optimizer=optimizer,
            schedule=schedule_of(schedule),
            shuffle=checks.flag("shuffle", shuffle),
            metrics=metrics_of(metrics, self._model.topology),
            early_stopping=early_stopping_of(early_stopping),
            callbacks=callbacks_of(callbacks, self),
            verbose=checks.flag("verbose", verbose),
            steps_per_epoch=None if steps_per_epoch is None else checks.integer("steps_per_epoch", steps_per_epoch),
        )
        samples = fitting.Samples(x, y, sample_weight, class_weight, label_smoothing, validation_data, validation_split)
        return fitting.fit(self._model, settings, samples, checkpoint, communicator, sharded)

    def to(self, device: str) -> Self:
        """Moves the network to another device, with its parameters and the state of the optimizer.

        Parameters
        ----------
        device : {"cpu", "cuda", "auto"}
            The new device; "auto" means "cuda" if a GPU can be used, otherwise "cpu".

        Returns
        -------
        Network
            The network itself.

        Raises
        ------
        ValueError, RuntimeError
            The device is unknown or cannot be used; the network stays on its device.
        """
        if (device := inputs.usable_device(device)) != self.device:
            self._model.move(device)
        return self

    @classmethod
    @checks.none_is_default
    def load(cls, path: Location, *, device: str = "cpu", kernels: str = "fast") -> Self:
        """Loads a network from a file that `save` wrote; no code in the file is executed.

        Parameters
        ----------
        path : path or binary file object
            An NPZ or safetensors file; its content, not its name, determines the format. A file object is read from its
            position to its end or, if it is at its end, from its start.
        device, kernels : str
            As for `Network`. A file can be loaded on any device.

        Raises
        ------
        ValueError
            The file is damaged, or does not contain a network; the message says what is wrong.
        OSError
            The file cannot be read.
        ModuleNotFoundError
            The file is a safetensors file, but the package safetensors is not installed; the message says what to install.
        """
        description, vectors = persist.load(path)
        topology = description.topology
        with naming(path, "{} contains a network that exceeds the memory: {}", (MemoryError,)):
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
