"""Invalid input causes an error before anything is computed, and leaves the network and its optimizer as they were."""

import re

import numpy as np
import pytest

import numbanet
from numbanet import _compile, _cuda
from numbanet._compile import config
from numbanet.engines.cpu import epoch, threads
from tests.helpers.engines import each

N = np.nan


@pytest.fixture
def net():
    return numbanet.Network([3, 4, 2], "relu", "cce", seed=0)


def build(sizes=(3, 4, 2), activations="relu", loss="cce", **options):
    if options.get("device") == "cuda" and _cuda.no_fast_kernels():
        options = {"kernels": "reference"} | options
    return numbanet.Network(sizes, activations, loss, **options)


@each(
    "options, error, message",
    [
        ({"sizes": [3]}, ValueError, r"number of inputs, and the number of neurons of at least one layer"),
        ({"sizes": []}, ValueError, r"sizes must contain the number of inputs"),
        ({"sizes": 3}, TypeError, r"sizes must be a list of integers"),
        ({"sizes": "64,10"}, TypeError, r"sizes must be a list .*, the number of inputs first, not the string '64,10'"),
        ({"sizes": [3, 0, 2]}, ValueError, r"sizes\[1\] must be at least 1, not 0"),
        ({"sizes": [3, -4, 2]}, ValueError, r"sizes\[1\] must be at least 1, not -4"),
        ({"sizes": [3, 4.0, 2]}, TypeError, r"sizes\[1\] must be an integer, not 4.0"),
        ({"sizes": [3, True, 2]}, TypeError, r"sizes\[1\] must be an integer, not True"),
        ({"sizes": ["3", 2]}, TypeError, r"sizes\[0\] must be an integer, not '3'"),
        (
            {"activations": "rellu"},
            ValueError,
            r"unknown activation 'rellu' \(did you mean 'relu'\?\); known are identity, sigmoid,",
        ),
        ({"activations": ["relu", "glu"]}, ValueError, r"unknown activation of layer 2 'glu'.*; known are identity"),
        ({"activations": ["relu"]}, ValueError, r"2 layers need 2 activations, but 1 are given"),
        ({"activations": ["relu", "relu", "softmax"]}, ValueError, r"2 layers need 2 activations, but 3 are given"),
        ({"activations": 7}, TypeError, r"activations must be a name, an Activation, or a list of them, one per layer, not 7"),
        (
            {"activations": [None, "softmax"]},
            TypeError,
            r"activation of layer 1 must be one of identity.* or an object of the class Activation, not None",
        ),
        ({"loss": "dice"}, ValueError, r"unknown loss 'dice'.*known are sse, mse, bce, cce"),
        ({"loss": None}, TypeError, r"loss must be one of sse, mse, bce, cce.*, or an object of the class Loss, not None"),
        ({"activations": ["relu", "sigmoid"]}, ValueError, r"softmax, but the last layer, layer 2, has 'sigmoid'"),
        ({"activations": ["relu", "identity"]}, ValueError, r"loss 'cce' needs the output activation softmax"),
        (
            {"activations": ["relu", "tanh"], "loss": "bce"},
            ValueError,
            r"needs the output activation sigmoid or softmax",
        ),
        ({"sizes": [3, 1], "activations": ["softmax"], "loss": "bce"}, ValueError, r"layer 1 .* always 1: .* sigmoid and loss"),
        ({"sizes": [3, 4, 1], "activations": "relu", "loss": "cce"}, ValueError, r"layer 2 .* always 1: .* sigmoid and loss"),
        ({"sizes": [3, 1], "activations": ["softmax"], "loss": "mse"}, ValueError, r"layer 1 .* for a number, use identity"),
        ({"sizes": [3, 1, 2], "activations": ["softmax"] * 2}, ValueError, r"layer 1 .* always 1: use another activation"),
        ({"dtype": "float16"}, ValueError, r"unknown dtype 'float16'; known are float32, float64"),
        ({"dtype": "int"}, ValueError, r"unknown dtype 'int'"),
        ({"dtype": "nonsense"}, ValueError, r"unknown dtype 'nonsense'"),
        (
            {"device": "gpu"},
            ValueError,
            r"^unknown device 'gpu' \(did you mean 'cuda'\?\); known are cpu, cuda, auto \(cuda: an NVIDIA GPU;",
        ),
        ({"kernels": "faster"}, ValueError, r"unknown kernels 'faster' \(did you mean 'fast'\?\); known are fast, reference"),
        ({"seed": -1}, ValueError, r"seed must be at least 0"),
        ({"seed": 1.5}, TypeError, r"seed must be an integer"),
        ({"epsilon": 0}, ValueError, r"epsilon must be positive and finite"),
        ({"epsilon": N}, ValueError, r"epsilon must be positive and finite"),
        ({"epsilon": 1e-60}, ValueError, r"epsilon must be positive and finite in float32"),
        ({"epsilon": "0.1"}, TypeError, r"epsilon must be a real number"),
        ({"sizes": [3, 2], "dropout": 5}, ValueError, r"dropout must lie in \[0, 1\), not 5"),
        ({"sizes": [3, 2], "dropout": "0"}, TypeError, r"dropout must be a real number, not '0'"),
        ({"sizes": [3, 2], "dropout": N}, ValueError, r"dropout must be finite, not nan"),
    ],
)
def test_what_is_no_network_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        build(**options)


def test_a_call_without_arguments_names_the_class_that_was_called():
    with pytest.raises(
        TypeError, match=r"^Network.__init__\(\) missing 3 required positional arguments: 'sizes', 'activations'"
    ):
        numbanet.Network()


X, Y = np.ones((4, 3)), np.array([0, 1, 0, 1])
BAD_X = [
    (np.ones((4, 2)), ValueError, r"x has shape \(4, 2\), but the network has 3 inputs: pass shape \(n, 3\)"),
    (np.ones(3), ValueError, r"a single sample is x.reshape\(1, 3\)"),
    (np.ones((4, 3, 1)), ValueError, r"x has shape \(4, 3, 1\)"),
    (np.float64(1), ValueError, r"x has shape \(\)"),
    (np.ones((0, 3)), ValueError, r"x is empty"),
    ([], ValueError, r"x has shape \(0,\)"),
    ([[1, 2, 3], [1, 2]], ValueError, r"x is not a rectangular array of numbers"),
    (np.ones((4, 3), complex), TypeError, r"x must contain real numbers, but its dtype is complex128"),
    (np.full((4, 3), "1"), TypeError, r"contains strings, but must contain real numbers"),
    (np.full((4, 3), None), ValueError, r"x\[0, 0\] is missing \(None\)"),
    (np.full((4, 3), "2020-01-01", "datetime64[D]"), TypeError, r"x must contain real numbers"),
    (None, TypeError, r"x must contain real numbers, not None"),
    (np.ma.masked_equal(X, 0), TypeError, r"x is a masked array"),
    (
        [[1, 1, 1], [1, N, 1], [1, 1, 1], [1, 1, 1]],
        ValueError,
        r"x\[1, 1\] is nan in float32: x must be finite; fill in",
    ),
    ([[1, 1, 1], [1, 1, 1], [1, 1, -np.inf], [1, 1, 1]], ValueError, r"x\[2, 2\] is -inf in float32"),
    (X * 1e300, ValueError, r"x\[0, 0\] is inf in float32"),
]
CALLS = {
    "predict": lambda net, x, y: net.predict(x),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "trace": lambda net, x, y: net.trace(x, y),
    "train_step": lambda net, x, y: net.train_step(x, y, 0.1),
    "fit": lambda net, x, y: net.fit(x, y, epochs=1, verbose=0),
    "fit's validation": lambda net, x, y: net.fit(X, Y, epochs=1, validation_data=(x, y), verbose=0),
}


def flat(net):
    return np.concatenate([array.ravel() for pair in net.parameters() for array in pair])


@each("x, error, message", BAD_X)
@each("call", list(CALLS))
def test_bad_samples_are_refused_by_every_call(net, call, x, error, message):
    before = flat(net)
    if "validation" in call:
        message = message.replace("x.reshape", "x of validation_data.reshape").replace("x must", "x of validation_data must")
        message = re.sub(r"x(\\\[.*?\])", r"x\1 of validation_data", message).replace("x is", "x of validation_data is")
        message = message.replace("x has", "x of validation_data has").replace("x holds", "x of validation_data holds")
    with pytest.raises(error, match=message):
        CALLS[call](net, x, Y)
    assert (flat(net) == before).all()


BAD_Y = {
    "cce": [
        (np.array([0, 1, 2, 1]), ValueError, r"y\[2\] is 2: labels must be from 0 to 1, because the network has 2 outputs"),
        (np.array([0, -1, 0, 1]), ValueError, r"y\[1\] is -1: labels must be from 0 to 1, because the network has 2 outputs"),
        (np.array([0.0, 1, 0, 1]), TypeError, r"but y has dtype float64: convert it with y.astype\(int\)"),
        (np.array([0, 0.5, 0, 1]), TypeError, r"y\[1\] is 0.5: pass labels from 0 to 1, or probabilities of shape \(n, 2\)"),
        (np.array([0, 1, 0]), ValueError, r"x.* has 4 samples, but y has 3"),
        (
            np.ones((4, 3)),
            ValueError,
            r"shape \(4, 3\), .* pass shape \(n, 2\) or, as integer labels, \(n,\) or \(n, 1\)",
        ),
        (np.ones((4, 1)), TypeError, r"labels must be integers, but y has dtype float64: convert it with y.astype\(int\)"),
        (np.full((4, 1), 2), ValueError, r"y\[0\] is 2: labels must be from 0 to 1"),
        (np.full((4, 2), 0.6), ValueError, r"y\[0\] adds up to 1.2.*: the targets of a sample must add up to 1"),
        ([[0, 1], [1, 0], [2, -1], [0, 1]], ValueError, r"y\[2, 0\] is 2.0: targets of cce must lie in \[0, 1\]"),
        ([[0, 1], [1, 0], [N, 1], [0, 1]], ValueError, r"y\[2, 0\] is nan"),
        (["0", "1", "0", "1"], TypeError, r"contains strings, but must contain real numbers: classes, y = numpy.unique"),
        (np.array([0.0, N, 0, 1]), ValueError, r"y\[1\] is nan in float64"),
        (None, TypeError, r"y must contain real numbers"),
    ],
    "bce": [
        ([0, 1, 0, 1], ValueError, r"y has shape \(4,\), but the network has 2 outputs: pass shape \(n, 2\)"),
        (np.full((4, 2), 1.5), ValueError, r"y\[0, 0\] is 1.5: targets of bce must lie in \[0, 1\]"),
        (np.full((4, 2), -0.5), ValueError, r"targets of bce must lie in \[0, 1\]"),
        (np.full((3, 2), 0.5), ValueError, r"x.* has 4 samples, but y has 3"),
    ],
    "mse": [
        (np.ones(4), ValueError, r"2 outputs: pass shape \(n, 2\); for class labels, create the network with the loss cce"),
        (np.full((4, 2), np.inf), ValueError, r"y\[0, 0\] is inf"),
        (np.ones((4, 2), complex), TypeError, r"y must contain real numbers"),
        (np.ones((5, 2)), ValueError, r"x.* has 4 samples, but y has 5"),
    ],
}


@each("loss, y, error, message", [(loss, *case) for loss, cases in BAD_Y.items() for case in cases])
@each("call", [name for name in CALLS if name != "predict"])
def test_bad_targets_are_refused_by_every_call(call, loss, y, error, message):
    net = build(loss=loss, seed=0)
    before = flat(net)
    if "validation" in call:
        if loss != "cce":
            pytest.skip("the training targets of this test are labels")
        message = message.replace("y must", "y of validation_data must")
        message = re.sub(r"y(\\\[.*?\])", r"y\1 of validation_data", message)
        message = message.replace("y holds", "y of validation_data holds").replace("with y", "with y of validation_data")
        message = message.replace("y has", "y of validation_data has")
    with pytest.raises(error, match=message):
        CALLS[call](net, X, y)
    assert (flat(net) == before).all()


def test_a_single_output_says_that_flat_targets_are_accepted():
    with pytest.raises(ValueError, match=r"y has shape \(4, 2\), but the network has 1 output: pass shape \(n, 1\) or \(n,\)"):
        build(sizes=[3, 1], activations=["identity"], loss="mse").evaluate(X, np.ones((4, 2)))


@each(
    "options, error, message",
    [
        ({"epochs": 0}, ValueError, r"epochs must be at least 1, not 0"),
        ({"epochs": 1.5}, TypeError, r"epochs must be an integer"),
        ({"batch_size": 0}, ValueError, r"batch_size must be at least 1"),
        ({"batch_size": "32"}, TypeError, r"batch_size must be an integer"),
        ({"learning_rate": 0}, ValueError, r"learning_rate must be positive and finite"),
        ({"learning_rate": -0.1}, ValueError, r"learning_rate must be positive"),
        ({"learning_rate": N}, ValueError, r"learning_rate must be positive and finite"),
        ({"learning_rate": 1e300}, ValueError, r"learning_rate must be positive and finite in float32"),
        ({"learning_rate": "0.1"}, TypeError, r"learning_rate must be a real number"),
        ({"shuffle": "no"}, ValueError, r"shuffle must be True or False"),
        ({"verbose": 2}, ValueError, r"verbose must be True or False \(1 or 0\), not 2"),
        ({"early_stopping": True}, TypeError, r"early_stopping must be the number .*, or an EarlyStopping .*\(5\), not True"),
        ({"early_stopping": 2.5}, TypeError, r"early_stopping must be the number .*, or an EarlyStopping .*\(5\), not 2.5"),
        ({"early_stopping": 0}, ValueError, r"early_stopping must be at least 1, not 0"),
        ({"validation_data": X}, ValueError, r"validation_data must be a pair \(x, y\)"),
        ({"validation_data": 5}, ValueError, r"validation_data must be a pair \(x, y\)"),
        ({"validation_data": X[:2]}, ValueError, r"validation_data must be a pair \(x, y\)"),
        ({"validation_data": {"x": X, "y": Y}}, ValueError, r"validation_data must be a pair \(x, y\)"),
    ],
)
def test_bad_settings_of_fit_are_refused(net, options, error, message):
    before = flat(net)
    with pytest.raises(error, match=message):
        net.fit(X, Y, **{"epochs": 1, "verbose": 0} | options)
    assert (flat(net) == before).all()


def test_bad_settings_of_other_calls_are_refused(net):
    with pytest.raises(ValueError, match="learning_rate must be positive"):
        net.train_step(X, Y, -1)
    with pytest.raises(ValueError, match="unknown device"):
        net.to("tpu")
    with pytest.raises(ValueError, match="unknown device"):
        numbanet.verify("tpu")


@each(
    "change, error, message",
    [
        (lambda p: p[:1], ValueError, r"parameters must be a list of 2 pairs \(w, b\)"),
        (lambda p: [p[0], (p[1][0],)], ValueError, r"parameters must be a list of 2 pairs"),
        (lambda p: 5, TypeError, r"parameters must be a list of pairs"),
        (lambda p: [p[0], (p[1][0].T, p[1][1])], ValueError, r"w of layer 2 must have shape \(4, 2\), not \(2, 4\)"),
        (lambda p: [(p[0][0], p[0][1][:1]), p[1]], ValueError, r"b of layer 1 must have shape \(4,\), not \(1,\)"),
        (
            lambda p: [p[0], (p[1][0], [N, 0])],
            ValueError,
            r"^b\[0\] of layer 2 is nan .*: b of layer 2 must be finite$",
        ),
        (lambda p: [p[0], (p[1][0].astype(complex), p[1][1])], TypeError, r"w of layer 2 must contain real numbers"),
    ],
)
def test_bad_parameters_are_refused_and_none_is_taken(net, change, error, message):
    before = flat(net)
    with pytest.raises(error, match=message):
        net.set_parameters(change(net.parameters()))
    assert (flat(net) == before).all()


def memmap(x, tmp_path):
    path = tmp_path / f"{x.shape}.bin"
    x.tofile(path)
    return np.memmap(path, x.dtype, "r", shape=x.shape)


def read_only(x, _):
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x, _):
    """Returns a copy of x whose address is one byte above a multiple of the size of a number."""
    raw = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


LAYOUTS = {
    "unaligned": unaligned,
    "Fortran order": lambda x, _: np.asfortranarray(x),
    "strided": lambda x, _: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x, _: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "big-endian": lambda x, _: x.astype(">f4"),
    "list": lambda x, _: x.tolist(),
    "memmap": memmap,
    "float64": lambda x, _: x.astype("f8"),
}


@each("layout", list(LAYOUTS))
def test_any_memory_layout_is_accepted_and_left_alone(net, layout, tmp_path):
    x = np.random.default_rng(0).standard_normal((6, 3)).astype("f4")
    y = np.eye(2, dtype="f4")[[0, 1, 1, 0, 1, 0]]
    expected = net.predict(x), net.evaluate(x, y), net.gradients(x, y)[0]
    given, targets = (LAYOUTS[layout](array, tmp_path) for array in (x, y))
    assert (net.predict(given) == expected[0]).all()
    assert net.evaluate(given, targets) == expected[1]
    assert net.gradients(given, targets)[0] == expected[2]
    net.trace(given, targets)
    net.fit(given, targets, epochs=2, batch_size=4, validation_data=(given, targets), verbose=0)
    net.train_step(given, targets, 0.1)
    assert (np.asarray(given) == x).all() and (np.asarray(targets) == y).all()


@each("kind", [bool, np.int8, np.uint16, np.int64, np.float16, np.longdouble])
def test_any_real_dtype_is_accepted(net, kind):
    x = np.array([[0, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(net.predict(x.astype(kind)), net.predict(x.astype("f4")))


@pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="needs types of compiled functions")
@each("layout", list(LAYOUTS))
def test_compiled_code_receives_arrays_of_the_types_that_it_was_compiled_for(layout, tmp_path, monkeypatch):
    """The fast CPU engine calls machine code, which does not check the types of its arguments, so the test checks them."""
    x, y = (LAYOUTS[layout](np.eye(width, dtype="f4")[[0, 1, 1, 0]], tmp_path) for width in (3, 2))
    call, received = threads.Crew.call, []

    def watched(self, run, arguments, *others):
        received.append(tuple(map(epoch.run.typeof_pyval, arguments)))
        assert _compile.types_of(arguments) == received[-1]
        return call(self, run, arguments, *others)

    monkeypatch.setattr(threads.Crew, "call", watched)
    net = build(device="cpu", kernels="fast")
    net.fit(x, y, epochs=1, verbose=0, sample_weight=np.ones(4), validation_split=0.5)
    net.predict(x, out=np.empty((4, 2), "f4"))
    net.evaluate(x, y, sample_weight=np.ones(4))
    net.gradients(x, y)
    assert received and set(received) <= {signature[: len(received[0])] for signature in epoch.run.signatures}


@each("call", [name for name in CALLS if name != "predict"])
def test_labels_may_be_a_column(call):
    """Every network with the loss cce has at least two outputs, so that a single column can only contain labels."""
    flat_labels, column = build(seed=0), build(seed=0)
    with np.errstate(all="ignore"):
        results = [CALLS[call](net, X, y) for net, y in ((flat_labels, Y), (column, Y.reshape(4, 1)))]
    assert (flat(flat_labels) == flat(column)).all()
    if call in ("evaluate", "train_step"):
        assert results[0] == results[1]


def test_numbers_of_samples_that_differ_are_named_with_their_argument():
    x, y = np.zeros((4, 3)), np.zeros((3, 2))
    net = build(loss="mse", seed=0)
    with pytest.raises(ValueError, match="x of validation_data has 4 samples, but y of validation_data has 3"):
        net.fit(x[:3], y, epochs=1, validation_data=(x, y), verbose=0)
    with pytest.raises(ValueError, match="x of batch 1 has 4 samples, but y of batch 1 has 3"):
        net.fit([(x, y)], epochs=1, verbose=0)
