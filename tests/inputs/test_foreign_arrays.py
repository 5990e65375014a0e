"""Every method accepts arrays of other libraries that contain numbers, and rejects other contents with a helpful error."""

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import numbanet
from numbanet import inputs
from numbanet.inputs import gpu
from tests.helpers.engines import each
from tests.inputs.test_bad_input import CALLS, build

# The samples x have columns that pandas and polars store in different dtypes; Y contains the labels.
X = np.array([[0.5, 1, 3], [1.5, 0, 2], [-2.0, 1, 0], [4.0, 0, 1]])
Y = np.array([0, 1, 1, 0])


class Tensor:
    """A replacement for a PyTorch tensor, for tests without PyTorch, with the attributes and methods that numbanet uses."""

    def __init__(self, array, kind="torch.float64", requires_grad=False, device="cpu"):
        self.array, self.dtype, self.requires_grad, self.device = array, kind, requires_grad, device
        self.layout, self.shape = "torch.strided", array.shape

    def __array__(self, *_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    def detach(self):
        return Tensor(self.array, self.dtype)

    def cpu(self):
        return self

    resolve_conj = resolve_neg = cpu

    def float(self):
        return Tensor(self.array.astype("f4"), "torch.float32")

    def numpy(self):
        if self.requires_grad:
            self.__array__()
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def of_objects():
    numbers = [[0.5, True, 3], [Decimal("1.5"), False, 2], [Fraction(-2), np.True_, np.int8(0)], [np.float32(4), 0, 1]]
    return np.array(numbers, object)


def pandas_frame(**columns):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": X[:, 2].astype(int)} | columns)


def pandas_arrow():
    pytest.importorskip("pyarrow")
    return pandas_frame().astype({"a": "double[pyarrow]", "b": "bool[pyarrow]", "c": "int8[pyarrow]"})


def pandas_sparse():
    pandas = pytest.importorskip("pandas")
    return pandas_frame(b=pandas.arrays.SparseArray(X[:, 1] > 0))


def polars_frame(**columns):
    polars = pytest.importorskip("polars")
    return polars.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": X[:, 2].astype(int)} | columns)


def narwhals_frame():
    return pytest.importorskip("narwhals").from_native(pandas_frame().convert_dtypes())


def arrow_table(**columns):
    columns = {"a": X[:, 0], "b": X[:, 1] > 0, "c": X[:, 2].astype(int)} | columns
    return pytest.importorskip("pyarrow").table({name: list(column) for name, column in columns.items()})


def sparse(kind):
    return getattr(pytest.importorskip("scipy.sparse"), kind)(X)


def torch_tensor(change):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that some layouts may change
        return change(torch, torch.tensor(X))


TAKEN = {
    "objects": of_objects,
    "a list with numbers that NumPy keeps as objects": lambda: of_objects().tolist(),
    "pandas": pandas_frame,
    "pandas, nullable": lambda: pandas_frame().convert_dtypes(),
    "pandas, objects": lambda: pandas_frame().astype(object),
    "pandas, pyarrow": pandas_arrow,
    "pandas, sparse": pandas_sparse,
    "pandas, names that are no texts, or equal": lambda: pandas_frame().set_axis([0, 0, (1, "c")], axis=1),
    "polars": polars_frame,
    "polars, decimal": lambda: polars_frame(a=list(map(Decimal, ["0.5", "1.5", "-2", "4"]))),
    "narwhals": narwhals_frame,
    "pyarrow": arrow_table,
    "pyarrow, batch": lambda: arrow_table().to_batches()[0],
    "scipy, csr": lambda: sparse("csr_matrix"),
    "scipy, coo": lambda: sparse("coo_array"),
    "a tensor with a gradient": lambda: Tensor(X, requires_grad=True),
    "a tensor of bfloat16": lambda: Tensor(X, "torch.bfloat16"),
    "a list of tensors": lambda: [Tensor(row, requires_grad=True) for row in X],
    "torch, gradient": lambda: torch_tensor(lambda torch, x: x.requires_grad_()),
    "torch, parameter": lambda: torch_tensor(lambda torch, x: torch.nn.Parameter(x)),
    "torch, bfloat16": lambda: torch_tensor(lambda torch, x: x.bfloat16().requires_grad_()),
    "torch, float8": lambda: torch_tensor(lambda torch, x: x.to(torch.float8_e5m2)),
    "torch, sparse": lambda: torch_tensor(lambda torch, x: x.to_sparse()),
    "torch, csr": lambda: torch_tensor(lambda torch, x: x.to_sparse_csr()),
    "torch, negative bit": lambda: torch_tensor(lambda torch, x: torch._neg_view(-x)),
    "torch, a list": lambda: torch_tensor(lambda torch, x: list(x.requires_grad_())),
    "bfloat16 of ml_dtypes": lambda: X.astype(pytest.importorskip("ml_dtypes").bfloat16),
    "float8 of ml_dtypes": lambda: X.astype(pytest.importorskip("ml_dtypes").float8_e5m2),
}


@each("kind", list(TAKEN))
def test_numbers_of_any_library_are_taken(kind):
    array = inputs.real_array("x", TAKEN[kind]())
    assert array.dtype.kind == "f" and (array == X).all()


def test_objects_keep_their_kind():
    def kind_of(*values):
        return inputs.real_array("y", np.array(values, object)).dtype

    assert kind_of(True, np.False_).kind == "b"
    assert kind_of(1, np.uint8(2), True).kind == "i"  # thus integer labels
    assert kind_of(2**70, 1).kind == kind_of(1, 0.5).kind == "f"
    assert kind_of().kind != "O"


# Every call


@pytest.fixture(scope="module")
def others():
    """Returns x, labels, rows of probabilities and sample weights, each as an object that NumPy alone cannot convert."""
    rows = Tensor(np.eye(2)[Y], requires_grad=True)
    return Tensor(X, "torch.bfloat16", requires_grad=True), Y.astype(object), rows, Tensor(np.full(4, 2.0), requires_grad=True)


ALL_CALLS = CALLS | {
    "partial_fit": lambda net, x, y: net.partial_fit(x, y, learning_rate=0.1),
    "batches": lambda net, x, y: net.fit(lambda: iter([(x, y), [x, y, None]]), epochs=1, verbose=0),
    "list of batches": lambda net, x, y: net.fit([(x, y)], epochs=1, validation_data=[x, y], verbose=0),
}
WEIGHTED = {
    "evaluate": lambda net, x, y, w: net.evaluate(x, y, sample_weight=w),
    "gradients": lambda net, x, y, w: net.gradients(x, y, sample_weight=w),
    "train_step": lambda net, x, y, w: net.train_step(x, y, 0.1, sample_weight=w),
    "partial_fit": lambda net, x, y, w: net.partial_fit(x, y, learning_rate=0.1, sample_weight=w),
    "fit": lambda net, x, y, w: net.fit(x, y, sample_weight=w, validation_data=(x, y, w), epochs=1, verbose=0),
    "batches": lambda net, x, y, w: net.fit(lambda: [(x, y, w)], epochs=1, verbose=0),
}


def outcome(call, *arguments):
    """Returns the results of a call and the parameters after the call, as one list of arrays."""
    net = build(seed=0)
    result = call(net, *arguments)
    if isinstance(result, numbanet.History):
        result = list(result.history["loss"])
    elif isinstance(result, numbanet.Trace):
        result = result.dw
    elif isinstance(result, dict):
        result = list(result.values())
    elif isinstance(result, tuple):
        result = [array for pair in result[1] for array in pair]
    return [*(result if isinstance(result, list) else [result]), *(array for pair in net.parameters() for array in pair)]


def equal(found, expected):
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@each("call", list(ALL_CALLS))
def test_every_call_takes_them(call, others):
    """Each call with arrays of other types returns the same result as the call with NumPy arrays of the same numbers."""
    x, labels, rows, _ = others
    for y, plain in ((labels, Y), (rows, np.eye(2)[Y])):
        assert equal(outcome(ALL_CALLS[call], x, y), outcome(ALL_CALLS[call], X, plain))


@each("call", list(WEIGHTED))
def test_every_call_with_weights_takes_them(call, others):
    x, labels, _, weights = others
    assert equal(outcome(WEIGHTED[call], x, labels, weights), outcome(WEIGHTED[call], X, Y, np.full(4, 2.0)))


@each("frame", [pandas_frame, polars_frame, arrow_table, lambda: sparse("csr_array")])
def test_a_table_of_numbers_is_an_x(frame):
    assert np.array_equal(build(seed=0).predict(frame()), build(seed=0).predict(X))


# Refused


def stack_of_dates():
    return np.array([[1, datetime.date(2020, 1, 2)]], object)


REFUSED = [
    (
        lambda: np.array([[1, "u"]], object),
        TypeError,
        r"^x\[0, 1\] is the string 'u', but x must contain real numbers: encode",
    ),
    (
        lambda: np.array([[1], [None]], object),
        ValueError,
        r"^x\[1, 0\] is missing \(None\): x must be finite; fill in",
    ),
    (
        lambda: np.array([[1, 2j]], object),
        TypeError,
        r"^x\[0, 1\] is an object of type complex, but x must contain real",
    ),
    (stack_of_dates, TypeError, r"^x\[0, 1\] is an object of type date"),
    (lambda: [[10**400, 1]], ValueError, r"^x\[0, 0\] is 10+\.\.\.0+, which exceeds the range of floats$"),
    (lambda: [[1, 10**400]], ValueError, r"^x\[0, 1\] is 10"),
    (lambda: (i for i in range(3)), TypeError, r"^x must contain real numbers, not an object of type generator$"),
    (lambda: {"a": [1]}, TypeError, r"not an object of type dict$"),
    (lambda: "x.csv", TypeError, r"^x must contain real numbers, not 'x.csv'$"),
    (lambda: np.zeros(2, [("a", "f4"), ("b", "i4")]), TypeError, r"^x is a structured array with the fields a, b: if all"),
    (lambda: Tensor(X, device="meta"), ValueError, r"^x is on PyTorch's device meta, where tensors have no values"),
    (lambda: [[Tensor(X[0])], [1]], TypeError, r"^x is of type list and cannot become a NumPy array: .* Use tensor.detach"),
    (
        lambda: pandas_frame(c=list("uvuv")),
        TypeError,
        r"^x\[0, 2\] \(column 'c'\) is the string 'u', but x .*tables.learn",
    ),
    (
        lambda: pandas_frame(c=list("uvuv")).astype({"c": "category"}),
        TypeError,
        r"^column 'c' of x is categorical",
    ),
    (lambda: pandas_frame().astype({"c": "category"}), TypeError, r"^column 'c' of x is categorical"),
    (lambda: pandas_frame(b=[True, None, True, False]).convert_dtypes(), ValueError, r"^x\[1, 1\] \(column 'b'\) is missing"),
    (
        lambda: pandas_frame(c=[[1], [2], [3], [4]]),
        TypeError,
        r"^x\[0, 2\] \(column 'c'\) is an object of type list.*numpy.stack",
    ),
    (
        lambda: pandas_frame(c=[1j, 2j, 3j, 4j]),
        TypeError,
        r"^column 'c' of x must contain real numbers, but its dtype",
    ),
    (
        lambda: pandas_frame(c=np.full(4, "2020-01-02", "M8[s]")),
        TypeError,
        r"^column 'c' of x .* convert dates",
    ),
    (lambda: arrow_table(c=list("uvuv")), TypeError, r"^x\[0, 2\] \(column 'c'\) is the string 'u'"),
    (lambda: polars_frame(c=[[1], [2], [3], [4]]), TypeError, r"^x\[0, 2\] \(column 'c'\) is an object of type ndarray"),
    (lambda: polars_frame().lazy(), TypeError, r"^x is a LazyFrame, which describes a query, not rows: pass a DataFrame"),
    (lambda: torch_tensor(lambda torch, x: x.to("meta")), ValueError, r"^x is on PyTorch's device meta"),
]


@each("value, error, message", REFUSED)
def test_other_contents_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        inputs.real_array("x", value())


@each("missing", [float("nan"), None])
def test_a_missing_number_of_a_data_frame_is_refused_with_its_column(missing):
    frame = pandas_frame(a=[0.5, missing, 1, 2])
    for given in (frame, frame.convert_dtypes()):
        with pytest.raises(ValueError, match=r"^x\[1, 0\] \(column 'a'\) is nan in float32: x must be finite; fill in"):
            build().predict(given)


def test_a_sparse_matrix_of_another_width_is_not_made_dense():
    matrix = pytest.importorskip("scipy.sparse").csr_matrix((10**7, 10**7))
    with pytest.raises(ValueError, match=r"^x has shape \(10000000, 10000000\), but the network has 3 inputs"):
        build().predict(matrix)


@each("make", [lambda y: y.tolist(), lambda y: y.astype(object), lambda y: pytest.importorskip("pandas").Series(y)])
@each("loss, activations", [("cce", ["relu", "softmax"]), ("bce", ["relu", "sigmoid"])])
def test_labels_that_are_texts_are_refused_with_a_remedy_that_works(make, loss, activations):
    texts = make(np.array(["no", "yes", "yes", "no"]))
    net = build(sizes=[3, 4, 2 if loss == "cce" else 1], activations=activations, loss=loss)
    with pytest.raises(TypeError, match=r"^y.* must contain real numbers: classes, y = numpy.unique\(y, return_inverse=True\)"):
        net.evaluate(X, texts)
    classes, y = np.unique(texts, return_inverse=True)
    net.evaluate(X, y)
    if loss == "cce":
        assert set(classes[net.predict(X).argmax(axis=1)]) <= {"no", "yes"}


@each("make", [lambda: Tensor(X), pandas_frame, lambda: sparse("csr_matrix")])
def test_fit_without_y_says_so_for_every_kind_of_array(make):
    with pytest.raises(TypeError, match="y must contain real numbers, not None: pass x and y"):
        build().fit(make(), epochs=1, verbose=0)


# Tensors on a GPU


class OnGpu:
    """A replacement for a PyTorch tensor that is on the GPU and requires a gradient."""

    requires_grad, dtype = True, "torch.float32"

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")

    def detach(self):
        return SimpleNamespace(__cuda_array_interface__={"version": 3})


def test_a_tensor_on_the_gpu_that_requires_a_gradient_is_viewed_without_it():
    assert gpu.on_gpu(OnGpu())
    assert gpu._interface("x", OnGpu())[0] == {"version": 3}
    with pytest.raises(ValueError, match="x is on the GPU, but the network is on the CPU"):
        build().predict(OnGpu())
    with pytest.raises(ValueError, match=r"out requires a gradient.* pass out.detach\(\)"):
        build().predict(X, out=OnGpu())


def test_bfloat16_on_the_gpu_is_refused_with_the_call_that_converts_it():
    value = SimpleNamespace(__cuda_array_interface__={}, dtype="torch.bfloat16")
    with pytest.raises(TypeError, match=r"^x is an array on the GPU with dtype torch.bfloat16: .* by x.float\(\)"):
        inputs.samples(value, build()._model.topology, "cuda")
