"""For a misspelt name or a name from another library, such as ReLU, the error suggests numbanet's name, such as relu."""

import inspect

import numpy as np
import pytest

from numbanet import EarlyStopping, Network, checks
from numbanet.engines.topology import ACTIVATIONS, ALL_ACTIVATIONS, ALL_LOSSES
from numbanet.training.metrics import METRICS
from numbanet.training.optimizers import OPTIMIZERS
from numbanet.training.schedules import SCHEDULES
from tests.helpers.engines import each

EXPECTED = {
    "activation": (
        ALL_ACTIVATIONS,
        {
            "relu": "ReLU RELU nn.ReLU torch.nn.functional.relu rellu rectifier",
            "leaky_relu": "LeakyReLU leaky-relu",
            "identity": "linear Identity",
            "sigmoid": "Sigmoid logistic",
            "tanh": "Tanh TANH",
            "silu": "SiLU swish",
            "softplus": "nn.Softplus",
            "selu": "nn.SELU",
            "hard_sigmoid": "Hardsigmoid",
            "exponential": "exp",
            "": "celu relu6 hardswish",
        },
    ),
    "activation of the sheet": (
        ACTIVATIONS,
        {
            "": "gelu elu swish",
        },
    ),
    "loss": (
        ALL_LOSSES,
        {
            "cce": "crossentropy CrossEntropyLoss cross_entropy categorical_crossentropy sparse_categorical_crossentropy "
            "NLLLoss log_loss CCE",
            "bce": "binary_crossentropy BCELoss BCEWithLogitsLoss",
            "mse": "MSE MSELoss mean_squared_error squared_error",
            "mae": "L1Loss mean_absolute_error",
            "huber": "HuberLoss SmoothL1Loss",
            "poisson": "PoissonNLLLoss mean_poisson_deviance",
            "quantile": "pinball_loss QuantileLoss",
            "log_cosh": "LogCosh",
            "": "squared_hinge dice",
        },
    ),
    "optimizer": (
        OPTIMIZERS,
        {"gradient_descent": "sgd SGD optim.SGD", "adam": "Adam adma", "adamw": "AdamW adam_w", "nesterov": "NAG"},
    ),
    "schedule": (
        SCHEDULES,
        {"plateau": "ReduceLROnPlateau reduce_lr_on_plateau", "cosine": "CosineAnnealingLR cosin", "step": "StepLR"},
    ),
    "metric": (
        METRICS,
        {"roc_auc": "AUC auc roc_auc_score", "f1": "F1 f1_score", "r2": "R2 r2_score", "mae": "MAE mean_absolute_error"},
    ),
    "device": (("cpu", "cuda", "auto"), {"cuda": "gpu GPU CUDA", "cpu": "CPU"}),
}


@each("name", EXPECTED)
def test_a_wrong_name_is_answered_with_the_right_one(name):
    known, expected = EXPECTED[name]
    for right, texts in expected.items():
        hint = f" (did you mean {right!r}?)" if right else ""
        assert {text: checks.suggestion(text, known) for text in texts.split()} == dict.fromkeys(texts.split(), hint)


def test_every_name_of_other_libraries_leads_to_a_name_of_numbanet():
    known = {*ALL_ACTIVATIONS, *ALL_LOSSES, *OPTIMIZERS, *SCHEDULES, *METRICS, "cuda", "float32", "float64"}
    known |= inspect.signature(Network).parameters.keys() | inspect.signature(Network.fit).parameters.keys()
    assert set(checks.ELSEWHERE.values()) - {""} <= known


def test_names_without_letters_and_values_that_are_no_texts_are_no_problem():
    assert checks.suggestion("?", ("?!", "a")) == checks.suggestion(3, ("a",)) == checks.suggestion("", ()) == ""


@each(
    "options, message",
    [
        ({"activations": "ReLU"}, "unknown activation 'ReLU' (did you mean 'relu'?)"),
        ({"activations": ["Linear", "softmax"]}, "unknown activation of layer 1 'Linear' (did you mean 'identity'?)"),
        ({"loss": "CrossEntropyLoss"}, "unknown loss 'CrossEntropyLoss' (did you mean 'cce'?)"),
        ({"device": "GPU"}, "unknown device 'GPU' (did you mean 'cuda'?)"),
        ({"dtype": "Float32"}, "unknown dtype 'Float32' (did you mean 'float32'?)"),
    ],
)
def test_a_network_suggests_names(options, message):
    with pytest.raises(ValueError) as error:
        Network(**{"sizes": [3, 4, 2], "activations": "relu", "loss": "cce"} | options)
    assert message in str(error.value)


@each(
    "options, message",
    [
        ({"optimizer": "SGD"}, "unknown optimizer 'SGD' (did you mean 'gradient_descent'?)"),
        ({"schedule": "CosineAnnealingLR"}, "(did you mean 'cosine'?)"),
        ({"metrics": ["AUC"]}, "unknown metric 'AUC' (did you mean 'roc_auc'?)"),
        ({"metrics": "accuracy"}, "; the accuracy of classes is always measured"),
        ({"class_weight": "Balanced"}, "(did you mean 'balanced'?)"),
    ],
)
def test_fit_suggests_names(options, message):
    net = Network([3, 2], "identity", "cce", kernels="reference")
    with pytest.raises(ValueError) as error:
        net.fit(np.eye(3), np.array([0, 1, 0]), epochs=1, verbose=0, **options)
    assert message in str(error.value)


@each(
    "call, message",
    [
        (lambda net: net.fit([[0, 0, 0]], [0], epochs=1, lr=0.1), "fit() has no argument 'lr' (did you mean 'learning_rate'?)"),
        (lambda net: net.partial_fit([[0, 0, 0]], [0], batchsize=1), "(did you mean 'batch_size'?)"),
        (lambda net: net.predict([[0, 0, 0]], zzz=1), "Network.predict() has no argument 'zzz'"),
        (lambda net: Network([3, 2], "softmax", "cce", activation="relu"), "Network() has no argument 'activation' (did you"),
        (lambda net: net.fit([[0, 0, 0]], [0], epochs=1, val_data=()), "'val_data' (did you mean 'validation_data'?)"),
        (lambda net: net.fit([[0, 0, 0]], [0], epochs=1, weights=[1]), "'weights' (did you mean 'sample_weight'?)"),
        (lambda net: net.fit([[0, 0, 0]], [0], n_epochs=1), "'n_epochs' (did you mean 'epochs'?)"),
        (
            lambda net: net.fit([[0, 0, 0]], [0], epochs=1, restore_best_weights=True),
            "always gives the network the",
        ),
        (
            lambda net: EarlyStopping(3, restore_best_weights=True),
            "'restore_best_weights': with early_stopping, fit",
        ),
        (lambda net: Network([3, 2], "softmax", "cce", random_state=0), "'random_state' (did you mean 'seed'?)"),
        (lambda net: Network(layers=[3, 2], activations="softmax", loss="cce"), "'layers' (did you mean 'sizes'?)"),
        (lambda net: Network([3, 2], "softmax", criterion="cce"), "'criterion' (did you mean 'loss'?)"),
        (lambda net: net.fit([[0, 0, 0]], [0]), "missing 1 required keyword-only argument: 'epochs'"),
    ],
)
def test_a_wrong_argument_name_is_answered_with_the_right_one(call, message):
    with pytest.raises(TypeError) as error:
        call(Network([3, 2], "softmax", "cce"))
    assert message in str(error.value)
