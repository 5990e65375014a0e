"""Small computations check what docs/elsewhere.md says about PyTorch, Keras and scikit-learn."""

import itertools
import math
import os
import warnings

import numpy as np
import pytest

import numbanet
from numbanet import Adam, AdamW, EarlyStopping, GradientDescent
from numbanet.training.schedules import Plateau
from tests.helpers.engines import each

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own

RANDOM = np.random.default_rng(0)
X, W, B = RANDOM.standard_normal((8, 3)), RANDOM.standard_normal((3, 2)), RANDOM.standard_normal(2)
Y = RANDOM.standard_normal((8, 2))
LABELS = np.array([0, 1, 0, 0, 0, 1, 0, 0])
SOFT = np.stack([P := RANDOM.uniform(0.1, 0.9, 8), 1 - P], axis=1)
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def keras(torch):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


def network(loss="mse", activation="identity"):
    net = numbanet.Network([3, 2], [activation], loss, dtype="float64", seed=0)
    net.set_parameters([(W, B)])
    return net


def linear(torch):
    """Returns a PyTorch layer Linear with the weights and biases of the network that `network` returns."""
    layer = torch.nn.Linear(3, 2).double()
    with torch.no_grad():
        layer.weight[:], layer.bias[:] = torch.tensor(W.T), torch.tensor(B)
    return layer


def of(torch, array):
    return torch.from_numpy(np.ascontiguousarray(array))


@each("loss, activation, name", [("mse", "identity", "MSELoss"), ("bce", "sigmoid", "BCEWithLogitsLoss")])
def test_mse_and_bce_are_n_out_times_pytorchs(torch, loss, activation, name):
    y = Y if loss == "mse" else (Y > 0).astype(float)
    layer = linear(torch)
    value = getattr(torch.nn, name)()(layer(of(torch, X)), of(torch, y))
    value.backward()
    ours, [(dw, db)] = network(loss, activation).gradients(X, y)
    np.testing.assert_allclose(ours, 2 * value.item(), **CLOSE)
    np.testing.assert_allclose(dw, 2 * layer.weight.grad.numpy().T, **CLOSE)
    np.testing.assert_allclose(db, 2 * layer.bias.grad.numpy(), **CLOSE)


@each("loss, activation, name", [
    ("mse", "identity", "mean_squared_error"), ("bce", "sigmoid", "binary_crossentropy"),
    ("cce", "softmax", "categorical_crossentropy"),
])  # fmt: skip
def test_mse_and_bce_are_n_out_times_keras_and_cce_is_the_same(keras, loss, activation, name):
    y = {"mse": Y, "bce": (Y > 0).astype(float), "cce": np.eye(2)[LABELS]}[loss]
    net = network(loss, activation)
    theirs = float(np.mean(np.asarray(getattr(keras.losses, name)(y, net.predict(X)))))
    assert net.evaluate(X, y)["loss"] == pytest.approx((1 if loss == "cce" else 2) * theirs, rel=1e-6)


def test_cce_is_pytorchs(torch):
    value = torch.nn.CrossEntropyLoss()(linear(torch)(of(torch, X)), of(torch, LABELS))
    assert network("cce", "softmax").evaluate(X, LABELS)["loss"] == pytest.approx(value.item(), rel=1e-12)


def test_losses_and_steps_of_scikit_learn():
    """scikit-learn halves the squared error, and divides the weight penalty alpha by the number of samples.

    scikit-learn divides the reported loss by the number of outputs, but not the gradients.
    """
    pytest.importorskip("sklearn")
    from sklearn.neural_network import MLPRegressor

    mlp = MLPRegressor(
        hidden_layer_sizes=(2,),
        activation="identity",
        solver="sgd",
        alpha=0.8,
        batch_size=8,
        learning_rate_init=0.1,
        momentum=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp.partial_fit(X, Y)
        net = numbanet.Network([3, 2, 2], "identity", "mse", dtype="float64")
        net.set_parameters([(w.copy(), b.copy()) for w, b in zip(mlp.coefs_, mlp.intercepts_, strict=True)])
        mlp.partial_fit(X, Y)
    penalty = 0.8 / 8 / 2 * sum((w**2).sum() for w, _ in net.parameters())
    assert mlp.loss_ == pytest.approx(net.evaluate(X, Y)["loss"] / 4 + penalty)
    net.train_step(X, Y, 0.05, optimizer=GradientDescent(weight_decay=2 * 0.8 / 8))
    np.testing.assert_allclose(net.parameters()[0][0], mlp.coefs_[0], **CLOSE)


OPTIMIZERS = {"SGD": (GradientDescent, {}), "Adam": (Adam, {"epsilon": 1e-3}), "AdamW": (AdamW, {"epsilon": 1e-3})}


@each("name", OPTIMIZERS)
@each("clip", [None, 0.5])
def test_optimizers_are_pytorchs_with_decay_of_the_weights_alone(torch, name, clip):
    """numbanet clips gradients before it adds weight decay, as PyTorch does if clip_grad_norm_ is called before step()."""
    kind, constants = OPTIMIZERS[name]
    ours = kind(**constants, weight_decay=0.1, clip_norm=clip)
    layer, net = linear(torch), network()
    groups = [{"params": [layer.weight], "weight_decay": 0.1}, {"params": [layer.bias], "weight_decay": 0.0}]
    optimizer = getattr(torch.optim, name)(groups, 0.01, **({"eps": 1e-3} if constants else {}))
    for _ in range(5):
        optimizer.zero_grad()
        (2 * torch.nn.MSELoss()(layer(of(torch, X)), of(torch, Y))).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(layer.parameters(), clip)
        optimizer.step()
        net.train_step(X, Y, 0.01, optimizer=ours)
    (w, b), = net.parameters()  # fmt: skip
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if clip else {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(w, layer.weight.detach().numpy().T, **tolerance)
    np.testing.assert_allclose(b, layer.bias.detach().numpy(), **tolerance)


def stepped(keras, optimizer, gradients, value):
    """Returns the value of a Keras variable, initially `value`, after one optimizer step with each of the gradients."""
    variable = keras.Variable(np.array(value), dtype="float64")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(np.array(gradient), dtype="float64")], [variable])
    return keras.ops.convert_to_numpy(variable)


@each("t", [1, 10])
def test_adams_epsilon_of_keras_is_larger_at_first(keras, t):
    """With a constant gradient, epsilon in step t of Keras's Adam acts like epsilon / sqrt(1 - beta_2^t) in numbanet's Adam."""
    g, epsilon = np.array([1e-6, -3e-5]), 1e-7
    keras_steps = np.diff([stepped(keras, keras.optimizers.Adam(0.001, epsilon=epsilon), [g] * k, [0.0, 0.0])
                           for k in (t - 1, t)], axis=0)[0]  # fmt: skip
    for of_paper, agrees in ((epsilon / math.sqrt(1 - 0.999**t), True), (epsilon, False)):
        expected = -0.001 * g / (np.abs(g) + of_paper)  # m_hat = g and sqrt(v_hat) = |g| for a constant gradient
        assert np.allclose(keras_steps, expected, rtol=1e-5) == agrees
    assert keras.optimizers.Adam().epsilon == 1e-7 and Adam().epsilon == 1e-8
    net = numbanet.Network([1, 1], "identity", "sse", dtype="float64")
    net.set_parameters([(np.zeros((1, 1)), np.zeros(1))])
    for _ in range(t):  # the gradient stays almost constant: y is tiny, and w and b hardly change
        before = net.parameters()[0][0][0, 0]
        net.train_step([[1e-3]], [[1e-3 * 1.0]], 1e-12, optimizer=Adam(epsilon=epsilon))
    step = net.parameters()[0][0][0, 0] - before
    assert step == pytest.approx(1e-12 * 2e-6 / (2e-6 + epsilon), rel=1e-3)


def test_decay_and_clipping_of_keras(keras):
    optimizers, g, v = keras.optimizers, [0.3, 0.4], [1.0, -2.0]
    decoupled = stepped(keras, optimizers.SGD(0.1, weight_decay=0.5), [g], v)
    np.testing.assert_allclose(decoupled, np.array(v) * (1 - 0.1 * 0.5) - 0.1 * np.array(g), rtol=1e-6)
    assert optimizers.AdamW().weight_decay == 0.004 and AdamW().weight_decay == 0.01
    penalty = keras.regularizers.L2(0.5)
    # The penalty is lambda w^2 in Keras, and lambda/2 w^2 in numbanet.
    assert float(penalty(keras.ops.convert_to_tensor([3.0]))) == 0.5 * 9
    variables = [keras.Variable([3.0, 4.0]), keras.Variable([30.0, 40.0])]
    for options, norms in (({"clipnorm": 1.0}, (1, 1)), ({"global_clipnorm": 1.0}, (5 / 2525**0.5, 50 / 2525**0.5))):
        optimizer = optimizers.SGD(1.0, **options)
        moved = [keras.Variable([0.0, 0.0]) for _ in variables]
        optimizer.build(moved)
        optimizer.apply([variable.value for variable in variables], moved)
        found = [np.linalg.norm(keras.ops.convert_to_numpy(variable)) for variable in moved]
        np.testing.assert_allclose(found, norms, rtol=1e-5)


FALLING = [1.0, 0.9] + [0.95] * 12


def cuts(rates):
    """Returns the epochs, counted from 1, after which the learning rate falls; `rates` contains the rate of each epoch."""
    return [epoch for epoch, (one, two) in enumerate(itertools.pairwise(rates), start=1) if two < one]


def cuts_of(plateau):
    """Returns the epochs, counted from 1, after which numbanet's `Plateau` reduces the learning rate."""
    return cuts([plateau.factor(epoch, 99, {"loss": FALLING[: epoch - 1]}) for epoch in range(1, len(FALLING) + 2)])


@each("patience", [1, 2, 3])
@each("cooldown", [0, 2])
def test_patience_of_plateau_is_one_more_than_that_of_pytorch(torch, patience, cooldown):
    optimizer, rates = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0), [1.0]
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience - 1, cooldown=cooldown, threshold=0, eps=0)
    for loss in FALLING:
        theirs.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert cuts(rates) == cuts_of(Plateau(patience, cooldown=cooldown))
    assert cuts(rates)[0] == 2 + patience  # epoch 2 is the best epoch


def model_of(keras):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.stop_training = False
    return model


@each("patience", [1, 2, 3])
@each("cooldown", [0, 2])
def test_patience_of_plateau_is_that_of_keras(keras, patience, cooldown):
    """In Keras, the last epoch of the cooldown after a reduction already counts as an epoch without improvement."""
    callback = keras.callbacks.ReduceLROnPlateau("loss", 0.1, patience, min_delta=0, cooldown=cooldown and cooldown + 1)
    callback.set_model(model_of(keras))
    callback.on_train_begin()
    rates = [1.0]
    for epoch, loss in enumerate(FALLING):
        callback.on_epoch_end(epoch, {"loss": loss})
        rates.append(float(callback.model.optimizer.learning_rate.value))
    assert cuts(rates) == cuts_of(Plateau(patience, cooldown=cooldown))


def test_early_stopping_of_keras_has_the_same_patience(keras):
    stopping = keras.callbacks.EarlyStopping("loss", patience=3)
    stopping.set_model(model_of(keras))
    stopping.on_train_begin()
    for epoch, loss in enumerate(FALLING):
        stopping.on_epoch_end(epoch, {"loss": loss})
        if stopping.model.stop_training:
            break
    assert epoch + 1 == 5 and stopping.restore_best_weights is False
    losses = iter([*FALLING])

    class Report(numbanet.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["figure"] = next(losses)

    options = {"callbacks": Report(), "early_stopping": EarlyStopping(3, "figure", mode="min"), "verbose": 0}
    assert len(network().fit(X, Y, epochs=99, learning_rate=1e-6, **options).epoch) == 5


def weighted(torch, y):
    """Returns PyTorch's gradient dL/dw for the layer of `linear`; L is the cross-entropy with the class weights 1 and 9."""
    layer = linear(torch)
    loss = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 9.0], dtype=torch.float64))
    loss(layer(of(torch, X)), of(torch, y)).backward()
    return layer.weight.grad.numpy().T


def gradient_of_fit(y, **options):
    """Returns the gradient that `fit` uses for a batch of all samples, computed from the change of the weights in one step."""
    net = network("cce", "softmax")
    net.fit(X, y, epochs=1, batch_size=8, learning_rate=1.0, verbose=0, **options)
    return W - net.parameters()[0][0]


def test_class_weights_of_pytorch(torch):
    """For labels, the class weights of numbanet and PyTorch have the same effect on the gradients.

    For soft targets, PyTorch weights each class's term of the loss, and numbanet weights each sample.
    """
    ours = gradient_of_fit(LABELS, class_weight={1: 9.0})
    np.testing.assert_allclose(ours, weighted(torch, LABELS), **CLOSE)
    weights = np.where(LABELS == 1, 9.0, 1.0)
    net = network("cce", "softmax")
    _, [(dw, _)] = net.gradients(X, LABELS, sample_weight=weights)
    np.testing.assert_allclose(dw, ours * weights.mean(), **CLOSE)
    # soft targets
    of_class = np.where(SOFT.argmax(axis=1) == 1, 9.0, 1.0)
    soft = gradient_of_fit(SOFT, class_weight={1: 9.0})
    np.testing.assert_allclose(
        soft, network("cce", "softmax").gradients(X, SOFT, sample_weight=of_class / of_class.mean())[1][0][0]
    )
    terms = SOFT * [1.0, 9.0]
    y_hat = network("cce", "softmax").predict(X)
    # For soft targets, PyTorch divides by the number of samples, not by the sum of the weights.
    by_terms = X.T @ (y_hat * terms.sum(axis=1, keepdims=True) - terms) / 8
    np.testing.assert_allclose(weighted(torch, SOFT), by_terms, **CLOSE)
    assert not np.allclose(soft, by_terms / np.mean(of_class))


def test_weights_of_keras_divide_by_n(keras):
    weights = np.where(LABELS == 1, 9.0, 1.0)
    y_hat = network("cce", "softmax").predict(X)
    theirs = float(keras.losses.CategoricalCrossentropy()(np.eye(2)[LABELS], y_hat, sample_weight=weights))
    ours, _ = network("cce", "softmax").gradients(X, LABELS, sample_weight=weights)
    assert theirs == pytest.approx(ours, rel=1e-6)


@each("optimizer", ["sgd", "adam"])
def test_warm_start_keeps_the_optimizer(optimizer):
    pytest.importorskip("sklearn")
    from sklearn.neural_network import MLPRegressor

    from numbanet.sklearn import MLPRegressor as OurRegressor

    options = {"hidden_layer_sizes": (4,), "solver": optimizer, "batch_size": 4, "random_state": 0, "n_iter_no_change": 99}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apart = {}
        for kind in (OurRegressor, MLPRegressor):
            once = kind(max_iter=6, **options).fit(X, Y)
            twice = kind(max_iter=3, warm_start=True, **options).fit(X, Y).fit(X, Y)
            apart[kind] = np.abs(once.predict(X) - twice.predict(X)).max()
            assert (once.n_iter_, twice.n_iter_, once.t_, twice.t_) == (6, 3, 48, 48)
    assert apart[OurRegressor] == 0 < apart[MLPRegressor]
