"""A network accepts the columns of a DataFrame only with the names and in the order with which it was trained."""

import copy
import io
import pickle

import numpy as np
import pytest

from numbanet import Network, from_sklearn, tables
from numbanet.evaluation import permutation_importance
from numbanet.persist.description import Description
from numbanet.persist.models import description_of
from tests.helpers.engines import each

pandas = pytest.importorskip("pandas")

X = np.random.default_rng(0).standard_normal((12, 3))
Y = (X[:, 0] > 0).astype(int)
FRAME = pandas.DataFrame(X, columns=["age", "size", "rooms"])
REORDERED = FRAME[["size", "age", "rooms"]]


def network():
    return Network([3, 2], "relu", "cce", seed=0, kernels="reference")


def trained():
    net = network()
    net.train_step(FRAME, Y, 0.1)
    return net


def saved(net, suffix=".npz"):
    buffer = io.BytesIO()
    buffer.name = f"net{suffix}"
    net.save(buffer)
    return Network.load(buffer, kernels="reference")


TRAININGS = {
    "fit": lambda net: net.fit(FRAME, Y, epochs=1, verbose=0),
    "fit, batches": lambda net: net.fit([(FRAME, Y)], epochs=1, verbose=0),
    "partial_fit": lambda net: net.partial_fit(FRAME, Y),
    "train_step": lambda net: net.train_step(FRAME, Y, 0.1),
}
CALLS = {
    "predict": lambda net, x: net.predict(x),
    "evaluate": lambda net, x: net.evaluate(x, Y),
    "gradients": lambda net, x: net.gradients(x, Y),
    "trace": lambda net, x: net.trace(x, Y),
    "fit": lambda net, x: net.fit(x, Y, epochs=1, verbose=0),
    "fit, batches": lambda net, x: net.fit([(x, Y)], epochs=1, verbose=0),
    "validation_data": lambda net, x: net.fit(X, Y, epochs=1, verbose=0, validation_data=(x, Y)),
    "partial_fit": lambda net, x: net.partial_fit(x, Y),
    "train_step": lambda net, x: net.train_step(x, Y, 0.1),
}
COPIES = {
    "itself": lambda net: net,
    "copy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "npz": saved,
    "safetensors": lambda net: pytest.importorskip("safetensors") and saved(net, ".safetensors"),
}


@each("train", TRAININGS)
def test_training_keeps_the_names(train):
    net = network()
    assert net.columns is None
    TRAININGS[train](net)
    assert net.columns == ["age", "size", "rooms"]


@each("call", CALLS)
def test_another_order_is_refused(call):
    net = trained()
    before = net.parameters()[0][0]
    with pytest.raises(ValueError, match=r"^x.* has the columns 'size', 'age', 'rooms', but .* another order, 'age', 'size', "):
        CALLS[call](net, REORDERED)
    np.testing.assert_array_equal(net.parameters()[0][0], before)
    CALLS[call](net, REORDERED[net.columns])
    CALLS[call](net, REORDERED.to_numpy())


@each("made", COPIES)
def test_every_copy_knows_the_names(made):
    net = COPIES[made](trained())
    assert net.columns == ["age", "size", "rooms"]
    with pytest.raises(ValueError, match="in another order"):
        net.predict(REORDERED)


OTHERS = {
    "renamed": (FRAME.rename(columns={"age": "Age"}), "lacks 'age' and also has 'Age'; for 'age' .did you mean 'Age'"),
    "more": (FRAME.assign(id=1), "x also has 'id'; pass"),
    "fewer": (FRAME[["age", "rooms"]], "x lacks 'size'; pass"),
    "twice": (FRAME[["age", "age", "rooms"]], "x lacks 'size'; pass"),
}


@each("other", OTHERS)
def test_other_names_are_refused(other):
    frame, message = OTHERS[other]
    with pytest.raises(ValueError, match=message):
        trained().predict(frame)


def test_polars_and_pyarrow_have_the_same_names():
    polars, net = pytest.importorskip("polars"), trained()
    with pytest.raises(ValueError, match="in another order"):
        net.predict(polars.from_dicts(REORDERED.to_dict("records")))
    assert net.predict(polars.from_dicts(FRAME.to_dict("records"))).shape == (12, 2)
    with pytest.raises(ValueError, match="in another order"):
        net.predict(pytest.importorskip("pyarrow").Table.from_pandas(REORDERED))


def test_names_that_are_no_strings_are_not_kept():
    net = network()
    net.fit(pandas.DataFrame(X), Y, epochs=1, verbose=0)
    assert net.columns is None
    assert net.predict(FRAME).shape == (12, 2)


def test_a_checkpoint_of_other_names_is_refused(tmp_path):
    """The two training runs use the same numbers, and differ only in the column names."""
    options = {"verbose": 0, "checkpoint": tmp_path / "run.npz"}
    network().fit(FRAME, Y, epochs=1, **options)
    net = network()
    before = net.parameters()[0][0]
    with pytest.raises(
        ValueError, match=r"run.npz is .* with other columns \('age', 'size', 'rooms', not 'Age', 'size', 'rooms'\)"
    ):
        net.fit(FRAME.rename(columns={"age": "Age"}), Y, epochs=2, **options)
    assert net.columns is None and np.array_equal(net.parameters()[0][0], before)
    for x in (X, FRAME):
        net = network()
        assert len(net.fit(x, Y, epochs=2, **options).epoch) == 2 and net.columns == ["age", "size", "rooms"]


def test_a_refused_training_keeps_no_names():
    net = network()
    with pytest.raises(ValueError, match=r"x of validation_data has the columns .* in another order"):
        net.fit(FRAME, Y, epochs=1, validation_data=(REORDERED, Y))
    assert net.columns is None
    with pytest.raises(ValueError, match=r"x of batch 1 has the columns .* in another order"):
        net.fit([(FRAME, Y)], epochs=1, validation_data=(REORDERED, Y))
    assert net.columns is None
    with pytest.raises(ValueError, match=r"x of batch 2 has the columns .* in another order"):
        net.fit([(FRAME, Y), (REORDERED, Y)], epochs=1, verbose=0)


def test_a_checkpoint_keeps_the_names(tmp_path):
    arguments = {"verbose": 0, "checkpoint": tmp_path / "run.npz"}
    network().fit(FRAME, Y, epochs=1, **arguments)
    net = network()
    net.fit(X, Y, epochs=2, **arguments)
    assert net.columns == ["age", "size", "rooms"]


@each("columns", [["age", "size"], ["age", "size", 3], "abc"])
def test_a_file_with_wrong_names_is_refused(columns):
    entries = description_of(trained()._model).to_dict() | {"columns": columns}
    with pytest.raises(ValueError, match="the column names are not a list of 3 strings"):
        Description.from_dict(entries)


def test_a_network_with_a_table_takes_no_dataframe():
    frame = FRAME.assign(kind=np.where(Y, "u", "v"))
    encoding = tables.learn(frame, "kind")
    net = network()
    net.table = encoding
    with pytest.raises(ValueError, match=r"x is a DataFrame, but .* pass net.table.x\(x\)"):
        net.predict(FRAME)
    assert net.predict(net.table.x(frame)).shape == (12, 2)


def test_a_network_of_an_estimator_has_its_names():
    neural_network = pytest.importorskip("sklearn.neural_network")
    from numbanet.sklearn import MLPClassifier

    estimator = neural_network.MLPClassifier((2,), max_iter=1)
    with pytest.warns(Warning, match="Maximum iterations"):
        estimator.fit(FRAME, Y)
    own = MLPClassifier((2,), max_iter=1, kernels="reference")
    with pytest.warns(Warning, match="Maximum iterations"):
        own.fit(FRAME, Y)
    for net in (from_sklearn(estimator), own.network_):
        assert net.columns == ["age", "size", "rooms"]
        with pytest.raises(ValueError, match="in another order"):
            net.predict(REORDERED)
    with pytest.warns(Warning, match="Maximum iterations"):
        assert from_sklearn(estimator.fit(X, Y)).columns is None


TARGETS = pandas.DataFrame(X[:, :2], columns=["price", "rent"])
SWAPPED = TARGETS[["rent", "price"]]
CALLS_WITH_Y = {
    "evaluate": lambda net, y: net.evaluate(X, y),
    "gradients": lambda net, y: net.gradients(X, y),
    "trace": lambda net, y: net.trace(X, y),
    "fit": lambda net, y: net.fit(X, y, epochs=1, verbose=0),
    "fit, batches": lambda net, y: net.fit([(X, y)], epochs=1, verbose=0),
    "validation_data": lambda net, y: net.fit(X, X[:, :2], epochs=1, verbose=0, validation_data=(X, y)),
    "partial_fit": lambda net, y: net.partial_fit(X, y),
    "train_step": lambda net, y: net.train_step(X, y, 0.1),
    "permutation_importance": lambda net, y: permutation_importance(net, X, y),
}


def of_two_targets(call="train_step"):
    net = Network([3, 2], "relu", "mse", seed=0, kernels="reference")
    CALLS_WITH_Y[call](net, TARGETS)
    return net


@each("call", ["fit", "fit, batches", "partial_fit", "train_step"])
def test_training_keeps_the_names_of_targets(call):
    net = of_two_targets(call)
    assert net.target_columns == ["price", "rent"] and net.columns is None


@each("call", CALLS_WITH_Y)
def test_another_order_of_targets_is_refused(call):
    net = of_two_targets()
    text = r"^y.* has the columns 'rent', 'price', but .* in another order, 'price', 'rent': .* by y\[net.target_columns\]$"
    with pytest.raises(ValueError, match=text):
        CALLS_WITH_Y[call](net, SWAPPED)
    CALLS_WITH_Y[call](net, SWAPPED[net.target_columns])
    CALLS_WITH_Y[call](net, SWAPPED.to_numpy())


@each("made", COPIES)
def test_every_copy_knows_the_names_of_targets(made):
    net = COPIES[made](of_two_targets())
    assert net.target_columns == ["price", "rent"]
    with pytest.raises(ValueError, match=r"y lacks 'rent' and also has 'Rent'; for 'rent' .did you mean 'Rent'.*y\.to_numpy"):
        net.evaluate(X, TARGETS.rename(columns={"rent": "Rent"}))


def test_a_checkpoint_of_other_names_of_targets_is_refused(tmp_path):
    options = {"verbose": 0, "checkpoint": tmp_path / "run.npz"}
    net, resumed = (Network([3, 2], "relu", "mse", seed=0, kernels="reference") for _ in range(2))
    net.fit(X, TARGETS, epochs=1, **options)
    with pytest.raises(ValueError, match=r"with other target columns \('price', 'rent', not 'price', 'Rent'\)"):
        resumed.fit(X, TARGETS.rename(columns={"rent": "Rent"}), epochs=2, **options)
    assert resumed.target_columns is None
    resumed.fit(X, TARGETS.to_numpy(), epochs=2, **options)
    assert resumed.target_columns == ["price", "rent"]


def test_a_file_with_wrong_names_of_targets_is_refused():
    entries = description_of(of_two_targets()._model).to_dict() | {"target_columns": ["price"]}
    with pytest.raises(ValueError, match="the target column names are not a list of 2 strings"):
        Description.from_dict(entries)


def test_a_network_with_a_table_takes_no_dataframe_as_y():
    frame = FRAME.assign(kind=np.where(Y, "u", "v"))
    net = network()
    net.table = tables.learn(frame, "kind")
    one_hot = pandas.get_dummies(frame["kind"])[["v", "u"]]  # another order than the classes of the encoding
    with pytest.raises(ValueError, match=r"y is a DataFrame, but .* net.table.y\(x\)$"):
        net.evaluate(net.table.x(frame), one_hot)


def test_a_report_refuses_another_order(tmp_path):
    pictures = pytest.importorskip("numbanet.pictures")
    for net, x, y in ((trained(), REORDERED, Y), (of_two_targets(), X, SWAPPED)):
        with pytest.raises(ValueError, match="in another order"):
            pictures.report(tmp_path / "report.html", net, x, y)
