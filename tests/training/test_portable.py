"""Values that are packed for pickling contain no NumPy objects, and equal the original values after they are unpacked."""

import pickle
import pickletools

import numpy as np

from numbanet import Network
from numbanet.training.portable import packed, unpacked
from tests.helpers.engines import each

ARRAYS = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "other-endian": np.arange(3, dtype=">i2"),
    "texts": np.array(["a", "äöü"]),
    "objects": np.array([("a", 1), None, np.float64(2.5), "x"], dtype=object),
    "dates": np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
    "empty": np.empty((0, 4)),
    "zero-dimensional": np.array(3),
}


def names_in(content):
    return {text for _, text, _ in pickletools.genops(content) if isinstance(text, str) and text.startswith("numpy")}


@each("name", ARRAYS)
def test_arrays(name):
    array = ARRAYS[name]
    content = pickle.dumps(packed({"deep": [array, (array, 1)]}))
    (found, (again, one)) = unpacked(pickle.loads(content))["deep"]
    assert found.dtype == array.dtype and found.shape == array.shape and one == 1 and found.flags.writeable
    assert repr(found.tolist()) == repr(again.tolist()) == repr(array.tolist()) and not names_in(content)


@each("scalar", [np.float32(0.1), np.int64(-3), np.bool_(True), np.str_("äö"), np.datetime64("2020-01-01")])
def test_scalars_as_values_and_keys(scalar):
    content = pickle.dumps(packed({scalar: scalar}))
    ((key, value),) = unpacked(pickle.loads(content)).items()
    assert repr(key) == repr(value) == repr(scalar) and not names_in(content)


def test_generators_continue_their_streams():
    for generator in (np.random.default_rng(1), np.random.RandomState(1)):
        generator.uniform(size=3)
        content = pickle.dumps(packed(generator))
        other = unpacked(pickle.loads(content))
        assert not names_in(content) and np.array_equal(other.permutation(50), generator.permutation(50))


def test_networks():
    net = Network([3, 4, 2], "relu", "cce", seed=0, dropout=np.float64(0.1))
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    net.fit(x, y, epochs=2, optimizer="adam", learning_rate=np.float64(0.01), verbose=0)
    content = pickle.dumps(net)
    assert names_in(content) <= {"numpy"}
    other = pickle.loads(content)
    for each_net in (net, other):
        each_net.fit(x, y, epochs=2, optimizer="adam", verbose=0)
    for (w, b), (w_other, b_other) in zip(net.parameters(), other.parameters(), strict=True):
        assert np.array_equal(w, w_other) and np.array_equal(b, b_other)
