"""Tests of `Network`, files and errors with formulas that users write (test_engines.py tests training steps)."""

import copy
import io
import pickle
from math import exp

import numpy as np
import pytest

from numbanet import Activation, Checkpoint, Loss, Network, SerialCommunicator
from numbanet.distributed import consensus
from numbanet.proof.oracle import ACTIVATIONS
from tests.formulas.test_engines import network, samples
from tests.helpers.engines import ENGINES, each
from tests.helpers.formulas import (
    D_PHI,
    HUBER,
    HUBER_PER_OUTPUT,
    PHI,
    STEEP,
    SWISH,
    d_huber,
    d_huber_losses,
    d_steep_sigmoid,
    d_swish,
    huber,
    huber_losses,
    steep_sigmoid,
    swish,
)


def other(z, a):
    return (1 - a) / 2 + a * 1.5


def d_half(z, a):
    """The derivative of `half`."""
    return 0.5


def half(z):
    return z / 2


@each("output", ["swish", "softmax"])
@each("device, kernels", ENGINES)
def test_gradients_trace_and_predictions_are_those_of_numpy(device, kernels, output):
    """The activation of the output layer is a user's formula or softmax; the loss is divided by the number of outputs."""
    layers = [STEEP, SWISH, SWISH if output == "swish" else "softmax"]  # both networks share their compiled loops
    net = Network([3, 5, 3, 2], layers, HUBER_PER_OUTPUT, dtype="float64", seed=0, device=device, kernels=kernels)
    x, y = samples()
    (w1, b1), (w2, b2), (w3, b3) = net.parameters()
    z1 = x @ w1 + b1
    a1 = PHI["steep"](z1)
    z2 = a1 @ w2 + b2
    a2 = PHI["swish"](z2)
    z3 = a2 @ w3 + b3
    y_hat = PHI["swish"](z3) if output == "swish" else ACTIVATIONS["softmax"](z3, 0)
    dl_da = d_huber_losses(y, y_hat) / y.size
    delta3 = dl_da * D_PHI["swish"](z3) if output == "swish" else y_hat * (dl_da - (dl_da * y_hat).sum(1, keepdims=True))
    delta2 = delta3 @ w3.T * D_PHI["swish"](z2)
    delta1 = delta2 @ w2.T * D_PHI["steep"](z1)
    expected = huber_losses(y, y_hat).sum() / y.size
    loss, gradients = net.gradients(x, y)
    trace = net.trace(x, y)
    assert loss == pytest.approx(expected, rel=1e-12) and net.evaluate(x, y) == {"loss": pytest.approx(expected, rel=1e-12)}
    assert trace.loss == pytest.approx(expected, rel=1e-12) and trace.activations == ["steep", "swish", output]
    pairs = [(net.predict(x), y_hat), *zip(trace.delta, [delta1, delta2, delta3], strict=True), (trace.a[0], a1)]
    pairs += [(gradients[0][0], x.T @ delta1), (gradients[1][0], a1.T @ delta2), (gradients[2][1], delta3.sum(0))]
    for found, exact in pairs:
        np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-13)


@each("device, kernels", ENGINES)
def test_training_with_dropout_early_stopping_and_processes_improves_and_repeats(device, kernels):
    x, y = samples()
    results = []
    for communicator in (None, None, SerialCommunicator()):
        net = network(SWISH, HUBER, device, kernels, dropout=0.25)
        history = net.fit(
            x, y, epochs=4, batch_size=4, validation_data=(x, y), early_stopping=3, verbose=0, communicator=communicator
        )
        results.append((history.history["val_loss"], net.predict(x).tolist()))
    assert results[0] == results[1] == results[2]
    assert results[0][0][-1] < results[0][0][0]


def test_processes_must_have_the_same_formulas():
    class OfAnother(SerialCommunicator):
        def broadcast(self, array):
            pass

    net = network(SWISH, HUBER, "cpu", "fast")
    agreement = consensus.Agreement(OfAnother(), {})
    agreement._of_rank_0 = lambda own: own | {"formulas": ["0"]}
    with pytest.raises(ValueError, match="differs from rank 0 in formulas"):
        agreement._compare(type("Training", (), {"model": net._model}))


# Files


def saved(net, ending, tmp_path):
    path = tmp_path / f"net{ending}"
    net.save(path)
    return path


@each("ending", [".npz", ".safetensors"])
def test_files_name_formulas_and_loading_brings_them(ending, tmp_path):
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    net, (x, y) = network(SWISH, HUBER, "cpu", "fast"), samples()
    net.train_step(x, y, 0.1, optimizer="adam")
    path = saved(net, ending, tmp_path)
    loaded = Network.load(path, formulas=[STEEP, SWISH, HUBER])
    assert loaded.formulas == net.formulas == [HUBER, SWISH]
    assert (loaded.activations, loaded.loss) == (["swish", "identity"], "huber")
    for each_net in (net, loaded):
        each_net.train_step(x, y, 0.1, optimizer="adam")
    assert (loaded.predict(x) == net.predict(x)).all()
    assert b"exp(" not in path.read_bytes()  # no code


def test_missing_and_different_formulas_are_refused_by_name(tmp_path):
    path = saved(network(SWISH, HUBER, "cpu", "fast"), ".npz", tmp_path)
    with pytest.raises(ValueError, match=r"net.npz needs the loss 'huber', which is not built in.*formulas=\[...\]"):
        Network.load(path)
    with pytest.raises(ValueError, match=r"needs the activation 'swish'.*pass the Activation 'swish'"):
        Network.load(path, formulas=[HUBER, STEEP])
    with pytest.raises(ValueError, match="functions of the given Activation 'swish' are different"):
        Network.load(path, formulas=[HUBER, Activation("swish", half, d_half)])
    with pytest.raises(ValueError, match="functions of the given Loss 'huber' are different"):
        Network.load(path, formulas=[SWISH, Loss("huber", huber, d_huber, per="output")])
    for wrong in ([swish], "swish", 3):
        with pytest.raises(TypeError, match="formulas must be a list of objects of the classes Activation and Loss"):
            Network.load(path, formulas=wrong)


def test_a_damaged_description_of_formulas_is_refused(tmp_path):
    path = saved(network(SWISH, HUBER, "cpu", "fast"), ".npz", tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"kind": "loss"', b'"kind": "lost"'))
    with pytest.raises(ValueError, match="is damaged"):
        Network.load(path, formulas=[SWISH, HUBER])


def test_training_resumes_from_a_checkpoint_with_the_same_formulas_only(tmp_path):
    x, y = samples()
    path = tmp_path / "run.npz"
    options = {"batch_size": 4, "verbose": 0}
    whole = network(SWISH, HUBER, "cpu", "fast")
    whole.fit(x, y, epochs=4, **options)
    network(SWISH, HUBER, "cpu", "fast").fit(x, y, epochs=2, checkpoint=Checkpoint(path), **options)
    resumed = network(SWISH, HUBER, "cpu", "fast")
    resumed.fit(x, y, epochs=4, checkpoint=Checkpoint(path), **options)
    assert (resumed.predict(x) == whole.predict(x)).all()
    changed = network(Activation("swish", half, d_half), HUBER, "cpu", "fast")
    with pytest.raises(ValueError, match="given Activation 'swish' are different"):
        changed.fit(x, y, epochs=4, checkpoint=Checkpoint(path), **options)
    more = network(SWISH, "mse", "cpu", "fast")
    with pytest.raises(ValueError, match="needs the loss 'huber'"):
        more.fit(x, y, epochs=4, checkpoint=Checkpoint(path), **options)


def test_pickles_and_copies_keep_the_formulas():
    net, (x, _) = network(SWISH, HUBER, "cpu", "fast"), samples()
    for copied in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.formulas == net.formulas and (copied.predict(x) == net.predict(x)).all()
    assert copy.deepcopy(STEEP) is STEEP and pickle.loads(pickle.dumps(HUBER_PER_OUTPUT)) == HUBER_PER_OUTPUT
    again = pickle.loads(pickle.dumps(STEEP))
    assert again.phi is STEEP.phi and again.d_phi is STEEP.d_phi  # they are not compiled again
    assert again == STEEP and hash(again) == hash(STEEP) and again != SWISH and repr(again) == "<Activation 'steep'>"


def test_a_pickle_of_other_functions_is_refused(monkeypatch):
    content = pickle.dumps(SWISH)
    half.__qualname__, before = "swish", half.__qualname__
    monkeypatch.setattr("tests.helpers.formulas.swish", half)
    monkeypatch.setattr("tests.helpers.formulas.d_swish", d_half)
    half.__qualname__ = before
    with pytest.raises(ValueError, match="differ from those with which it was pickled"):
        pickle.loads(content)


def test_onnx_files_and_pages_cannot_contain_formulas(tmp_path):
    pytest.importorskip("onnx")
    net = network(SWISH, "mse", "cpu", "fast")
    with pytest.raises(ValueError, match="the activation 'swish' cannot be exported"):
        net.export(io.BytesIO())
    with pytest.raises(ValueError, match="a page cannot show 'swish'"):
        net.trace(*samples()).page(tmp_path / "step.html")
    network("tanh", HUBER, "cpu", "fast").export(io.BytesIO())  # predictions need no loss


# Bad arguments


def test_names_of_formulas_must_be_different():
    with pytest.raises(ValueError, match="has the name of a formula that is built into numbanet"):
        Network([2, 1], [Activation("relu", swish, d_swish)], "mse")
    with pytest.raises(ValueError, match="two different formulas have the name 'swish'"):
        Network([2, 3, 1], [SWISH, Activation("swish", half, d_half)], "mse")


def test_formulas_are_taken_where_they_belong():
    with pytest.raises(TypeError, match="loss must be a name or an object of the class Loss, not <Activation 'swish'>"):
        Network([2, 1], ["relu"], SWISH)
    with pytest.raises(TypeError, match="activation of layer 1 must be a name or an object of the class Activation, not <Loss"):
        Network([2, 1], [HUBER], "mse")
    with pytest.raises(TypeError, match="activation of layer 1 must be one of"):
        Network([2, 1], [swish], "mse")
    assert Network([2, 3, 1], SWISH, HUBER).activations == ["swish", "identity"]
    assert Network([2, 3, 1], SWISH, "bce").activations == ["swish", "sigmoid"]


def test_digests_depend_on_meaning_and_not_on_layout():
    def swish(z):
        """Another docstring."""
        # and a comment
        return z / (1 + exp(-z))

    same = Activation("swish", swish, d_swish)
    assert same == SWISH
    assert Activation("steep", steep_sigmoid, d_steep_sigmoid, constants=(2.0,)) != STEEP
