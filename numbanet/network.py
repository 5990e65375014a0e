"""Class Network: constructs, trains and loads a multilayer perceptron; the engines in `numbanet.engines` do the computation."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbanet import checks, fitting, inputs, persist
from numbanet.distributed.communicators import Communicator
from numbanet.files import Location, naming
from numbanet.formulas import Activation, Loss
from numbanet.perceptron import MultilayerPerceptron
from numbanet.persist import models
from numbanet.persist.checkpoint import Checkpoint
from numbanet.persist.formulas import checked as checked_formulas
from numbanet.training.callbacks import Callback, callbacks_of
from numbanet.training.early_stopping import EarlyStopping, early_stopping_of
from numbanet.training.history import History
from numbanet.training.loop import Settings
from numbanet.training.metrics import Metric, metrics_of
from numbanet.training.model import Model
from numbanet.training.optimizers import Optimizer, optimizer_of
from numbanet.training.schedules import Schedule, schedule_of


class Network(MultilayerPerceptron):
    """A multilayer perceptron that is trained by gradient descent.

    Parameters
    ----------
    sizes : list of int
        The number of inputs, followed by the number of neurons of each layer: [n_in, ..., n_out].
    activations : str, Activation, or list of str and Activation
        One name per layer, or a single name for all hidden layers. With a single name, the output layer has the activation that
        matches the loss: softmax for cce, sigmoid for bce, exponential for poisson, and identity for any other loss. Known
        names are identity, sigmoid, tanh, relu, leaky_relu, softmax, silu, gelu, gelu_tanh, elu, selu, mish, hard_sigmoid,
        softsign, exponential and softplus. An `Activation` is an activation function that you write.
    loss : {"sse", "mse", "bce", "cce", "mae", "huber", "log_cosh", "poisson", "quantile", "hinge"} or Loss
        Sum of squared errors, mean squared error, binary cross-entropy, categorical cross-entropy, mean absolute error, Huber
        loss, log-cosh loss, Poisson loss, quantile loss or hinge loss. Every loss is a sum over samples and outputs; all losses
        except sse divide this sum by the number of samples in the batch. The loss cce requires a softmax output layer, and bce
        requires a sigmoid or softmax output layer. The loss poisson requires targets of at least 0, and predictions that are
        positive; hinge requires the targets -1 and 1. The objects `Huber(delta)` and `Quantile(q)` are losses with a parameter.
        A `Loss` is a loss function that you write.
    dtype : {"float32", "float64"}
        The dtype of the parameters and of all arithmetic.
    seed : int, optional
        The seed of the random generator that draws the initial weights, shuffles the samples and selects neurons for dropout.
        Networks with the same seed give bit-identical results.
    epsilon : float
        The slope of leaky_relu for z <= 0; z is the weighted sum of a neuron's inputs, plus its bias.
    dropout : float or list of float
        The probability, in [0, 1), with which the activation of a hidden neuron is set to 0 in a training step: one number for
        all hidden layers, or one number per hidden layer. In training, the activations that are not set to 0 are divided by 1 -
        dropout, so that predictions need no correction (Srivastava et al., 2014, JMLR 15:1929).
    device : {"cpu", "cuda", "auto"}
        The device on which the network computes. "auto" means "cuda" if a GPU can be used, otherwise "cpu".
    kernels : {"fast", "reference"}
        The implementation of all computations. "fast" is optimised; "reference" runs the unchanged loops of
        `numbanet.equations`.

    Raises
    ------
    ValueError, TypeError
        An argument does not match its description above; the error message names the argument.
    RuntimeError
        `device` is "cuda", but no GPU can be used; the error message says what was found and what is missing.
    MemoryError
        The network does not fit into the GPU's free memory; the error message states the number of free bytes.

    Notes
    -----
    On a GPU, each call copies its host arrays to the GPU once, if they fit into GPU memory. Arrays that do not fit are divided
    by `fit`, `evaluate` and `predict` into chunks, and each chunk is copied while the GPU computes with the previous chunk. The
    results are bit-identical whether or not arrays are divided into chunks. `gradients`, `trace` and `train_step` need GPU
    memory for the whole batch. If the batch does not fit, `gradients`, `trace` and `train_step` raise MemoryError with the
    amount of free memory and the batch size that would fit. If a call fails on the GPU, the network has the same parameters as
    before the call; after a failed `fit`, the network has the parameters of the last finished epoch. If a failure makes the GPU
    unusable for this process, the error message says so, and `parameters`, `save` and `to("cpu")` still work.

    The initial weights of a layer with n_in inputs and n_out neurons are drawn uniformly from [-r, r]. With relu or leaky_relu,
    r is sqrt(6 / n_in) (He et al., 2015, doi:10.1109/ICCV.2015.123); with any other activation, r is sqrt(6 / (n_in + n_out))
    (Glorot and Bengio, 2010, PMLR 9:249-256). Initial biases are 0.
    """

    @checks.none_is_default
    def __init__(
        self,
        sizes: Iterable[SupportsIndex],
        activations: str | Activation | Iterable[str | Activation],
        loss: str | Loss,
        *,
        dtype: DTypeLike = "float32",
        seed: SupportsIndex | None = None,
        epsilon: float = 0.01,
        dropout: float | Iterable[float] = 0.0,
        device: str = "cpu",
        kernels: str = "fast",
    ):
        topology = inputs.make_topology(sizes, activations, loss, dtype, epsilon, dropout)
        seed = None if seed is None else checks.integer("seed", seed, 0, float("inf"))
        generator = np.random.Generator(np.random.PCG64(seed))
        kernels = checks.choice("kernels", kernels, inputs.KERNELS)
        self._model = Model(topology, inputs.usable_device(device, kernels), kernels, generator, seed=seed)
        self._model.initialize()

    def set_parameters(self, parameters: Iterable[tuple[ArrayLike, ArrayLike]]) -> None:
        """Replaces all weights and biases, and sets the optimizer's moments and number of updates to 0.

        Parameters
        ----------
        parameters : list of (w, b)
            One pair of finite arrays per layer, with the shapes that `parameters()` returns.

        Raises
        ------
        ValueError, TypeError
            `parameters` does not match its description above; the network is unchanged.
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
        """Performs one training step: updates the parameters once, with the gradient of one batch.

        With gradient descent, the update is w <- w - eta dL/dw and b <- b - eta dL/db, in which eta is the learning rate.

        Parameters
        ----------
        x, y : array_like or GPU array
            The inputs and targets of the samples, as for `evaluate`.
        learning_rate : float
            The learning rate eta, which must be positive.
        optimizer
            As for `fit`.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples, used as in `gradients`; unlike `fit`, this method does not scale them.

        Returns
        -------
        float
            The loss of the batch before the update, computed as in `gradients`.

        Raises
        ------
        ValueError, TypeError
            An argument does not match its description above; the network is unchanged.
        FloatingPointError
            The loss of the batch is infinite or NaN. The update has been made: the parameters may be infinite or NaN.
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
        """Trains for one pass over the samples, without shuffling them. To train on more samples, call `partial_fit` again.

        Parameters
        ----------
        x, y : array_like or GPU array
            The inputs and targets of the samples, as for `evaluate`.
        batch_size : int
            The number of samples per update; the last batch may be smaller.
        learning_rate, optimizer
            As for `fit`.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples, used as in `gradients`; unlike `fit`, this method does not scale them.

        Returns
        -------
        dict
            The values of "loss" and, for cce and bce, "accuracy". The accuracy and every loss except sse are averages over the
            samples; sse is a sum. Each batch is measured before the parameters are updated with its gradient. With sample
            weights, each sample's loss is multiplied by the sample's weight first; the accuracy counts each sample once.

        Raises
        ------
        ValueError, TypeError
            An argument does not match its description above; the network is unchanged.
        FloatingPointError
            The loss of a batch is infinite or NaN. The update has been made: the parameters may be infinite or NaN.
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

        A further call to `fit` continues from the current state of the network. With the same optimizer and learning rates, two
        calls to `fit` give results bit-identical to one call with the sum of epochs. The state of the optimizer is reset if the
        class of the optimizer changes or if `set_parameters` is called, but not if the hyperparameters of the optimizer change.

        Ctrl-C stops training early. The network keeps the parameters after the last finished training step, and `fit` returns
        the history of the finished epochs. After Ctrl-C, the attribute `interrupted` of the history is True.

        Parameters
        ----------
        x, y : array_like or GPU array
            The inputs and targets of the samples, as for `evaluate`. If y is not given, x must supply batches: x is then an
            object that can be iterated once per epoch, such as a list or a data loader. x can also be a function that returns
            such an iterable for each epoch. Each batch is a tuple (x, y) or (x, y, sample_weight); batches are not shuffled.
        epochs : int
            The number of passes over all samples.
        batch_size : int
            The number of samples per update; the last batch of an epoch may be smaller.
        steps_per_epoch : int, optional
            The number of batches per epoch, if x supplies batches; by default, an epoch uses all batches that x yields.
        learning_rate : float, optional
            The learning rate eta, which must be positive; by default 0.01, or 0.001 for adam and adamw.
        optimizer : str or Optimizer
            "gradient_descent", "momentum", "nesterov", "adam", "adamw", or an object such as `Adam(beta_2=0.99, clip_norm=1)`.
        schedule : str, Schedule or callable, optional
            The schedule that changes the learning rate from epoch to epoch: "constant", "step", "exponential", "cosine",
            "plateau", or an object such as `Cosine(warm_up=5)`. `schedule` can also be a function that takes the number of the
            epoch, counted from 1, and returns the learning rate.
        shuffle : bool
            Whether each epoch uses the samples in a new random order, which depends on the network's seed.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            Samples that are not used for training. The network is evaluated on the validation samples after each epoch.
        validation_split : float
            The fraction of the samples that `fit` uses for validation, if validation_data is not given. `fit` takes the
            validation samples from the end of x, y and sample_weight.
        sample_weight : array_like (n,), optional
            Non-negative weights of the samples. If class_weight is also given, each sample weight is multiplied by the weight
            of the sample's class. Before training, all sample weights are multiplied by one factor, so that their mean over all
            training samples is 1. The gradient of a batch of n samples is 1/n times the weighted sum of the samples' gradients
            (without 1/n for the loss sse). With sample_weight, the loss of an epoch is the weighted mean over its samples, but
            the accuracy counts each sample once. If x supplies batches, `fit` uses the sample weights in a batch as they are.
        class_weight : dict or "balanced", optional
            A dict that maps class labels to class weights, for cce and for bce with one output. The weight of a training
            sample is the weight of its class, times its sample_weight, if given. "balanced" gives all classes the same total
            weight. It requires y, because the samples in batches that x supplies cannot be counted before training.
        label_smoothing : float
            A number in [0, 1). For cce with n_out classes, training replaces the targets y with (1 - label_smoothing) * y +
            label_smoothing / n_out. For bce, training replaces them with (1 - label_smoothing) * y + label_smoothing / 2.
        metrics : str, callable, or list or dict of them
            Additional metrics, measured on the training data and the validation data: "mae", "mse", "rmse", "r2",
            "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "log_loss", or functions of the targets and the
            predictions, which are arrays with one row per sample and one column per output.
        early_stopping : int or EarlyStopping, optional
            The number of epochs without improvement after which training stops. After training with `early_stopping`, the
            network has the parameters of the best epoch, even if training ends for another reason.
        callbacks : Callback or list of them
            Objects with methods such as `on_epoch_end`, which `fit` calls during training, as in Keras.
        checkpoint : path or Checkpoint, optional
            The path of a file into which `fit` writes the complete state of training after each epoch. If the file exists when
            `fit` is called, training resumes from the file, with bit-identical results. When training resumes, the arguments,
            the data and the network's seed must be the same as in the call that wrote the file; `epochs` may be larger.
        communicator : Communicator, optional
            The connection between several processes that call `fit` to train one network together, such as `MPICommunicator()`.
            Each process computes a part of every batch; batch_size is the size of the whole batch. After training, the networks
            of all processes have the same parameters; except for rounding errors, these are the parameters that training in a
            single process would give. Only the process with rank 0 calls the callbacks, prints, and writes the checkpoint.
        sharded : bool
            Whether each process passes only its own samples in x, y, sample_weight and validation_data, so that training uses
            the samples of all processes together. With sharded=False, the default, all processes must pass the same samples. If
            x supplies batches, each process passes only its own batches, whatever the value of `sharded`.
        verbose : {0, 1}
            With verbose=1, `fit` prints a line per epoch and, on a terminal, shows a progress bar during long epochs. With
            verbose=0, `fit` prints nothing.

        Returns
        -------
        History
            The loss, the accuracy and the metrics of each epoch.

        Raises
        ------
        ValueError, TypeError
            An argument does not match its description above; the network is unchanged.
        FloatingPointError
            The loss or a parameter became infinite or NaN, or a parameter was infinite or NaN before training. The network
            keeps the parameters of the best epoch with `early_stopping`, otherwise those of the previous epoch.
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
        """Moves the network, with its parameters and the state of the optimizer, to another device.

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
        ValueError, RuntimeError, MemoryError
            The device is unknown, cannot be used or has too little memory; the network stays on its device.
        """
        if (device := inputs.usable_device(device, self.kernels)) != self.device:
            self._model.move(device)
        return self

    @classmethod
    @checks.none_is_default
    def load(
        cls, path: Location, *, formulas: Iterable[Activation | Loss] = (), device: str = "cpu", kernels: str = "fast"
    ) -> Self:
        """Loads a network from a file that `save` wrote; no code in the file is executed.

        Parameters
        ----------
        path : path or binary file object
            An NPZ or safetensors file. `load` recognises the format by the content of the file, not by its name. A file object
            is read from its current position; if this position is the end of the file, the file object is read from its start.
        formulas : list of Activation and Loss
            The activations and the loss that the network uses and that you wrote. For an activation or a loss that you wrote,
            the file contains its name and a hash of its functions, but no code.
        device, kernels : str
            As for `Network`. The device need not be the device on which the network was saved.

        Raises
        ------
        ValueError
            The file is damaged or does not contain a network; an activation or a loss of the network is not in `formulas`,
            although you wrote it; or its functions have changed since the network was saved. The error message names the
            problem.
        OSError
            The file cannot be read.
        ModuleNotFoundError
            The file is a safetensors file, but the package safetensors is not installed; the error message says what to
            install.
        """
        description, vectors = persist.load(path, checked_formulas(formulas))
        topology = description.topology
        own = {activation.name: activation for activation in topology.own_activations}
        names = [own.get(name, name) for name in topology.activations]
        others: Any = {"dtype": topology.dtype, "epsilon": topology.epsilon, "dropout": topology.dropout or 0.0}
        with naming(path, "{} contains a network that exceeds the memory: {}", (MemoryError,)):
            network = cls(topology.sizes, names, topology.own_loss or topology.loss, **others, device=device, kernels=kernels)
        models.restore(network._model, description, vectors)
        return network
