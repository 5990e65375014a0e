"""The encoding of a table: converts the table's columns to x and y of a network, and y_hat back to labels or quantities."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numbanet import checks
from numbanet.tables.columns import Table, listed
from numbanet.tables.frames import Frame, as_table
from numbanet.training.metrics import classes_of

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)+\s*")
DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}:\d{2})([T ,:].*)?")
BOOLEANS = {"true": 1.0, "false": 0.0}


def not_a_number(text: str) -> str:
    """Returns the error message for a text in a column of numbers."""
    hint = f"; write {text.strip().replace(',', '.')}, with a decimal point" if DECIMAL_COMMA.fullmatch(text) else ""
    return f"{text!r} is not a number{hint}"


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """Returns a column as float64 (n,), with NaN for missing values; raises ValueError for a text or an infinite value."""
    column = table.column(name)
    values = column.numbers
    wrong = np.flatnonzero(np.isnan(values) & ~column.missing)
    if wrong.size:
        raise table.error(name, wrong[0], not_a_number(str(column.texts[wrong[0]])))
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise table.error(name, infinite[0], f"{values[infinite[0]]} is not finite")
    return values


def booleans(table: Table, name: str) -> NDArray[np.float64]:
    """Returns a column of the texts true and false, in any case, as 1 and 0, (n,), with NaN for missing values."""
    texts = table.column(name).texts
    for row, text in enumerate(texts):
        if text is not None and text.strip().lower() not in BOOLEANS:
            raise table.error(name, row, f"{text!r} is neither true nor false")
    return np.array([math.nan if text is None else BOOLEANS[text.strip().lower()] for text in texts], float)


def indices(table: Table, name: str, known: tuple[str, ...], noun: str) -> NDArray[np.intp]:
    """Returns for each text of a column its index in `known`, (n,), or -1 for a missing text."""
    texts = table.column(name).texts
    index: dict[str | None, int] = {None: -1} | {text: k for k, text in enumerate(known)}
    try:
        return np.fromiter(map(index.__getitem__, texts), np.intp, len(texts))
    except KeyError as error:
        (text,) = error.args
        raise table.error(name, texts.index(text), f"unknown {noun} {text!r}; known are {listed(known)}") from None


def refuse_missing(table: Table, names: Iterable[str], hint: str = "") -> None:
    """Raises ValueError if a value of the named columns is missing; the message names the first row without it."""
    first = {name: int(missing.argmax()) for name in names if (missing := table.column(name).missing).any()}
    if first:
        name = min(first, key=first.__getitem__)
        raise table.error(name, first[name], f"the value is missing{hint}")


@dataclass(frozen=True)
class Numeric:
    """A column of numbers v, which the network gets as the input x = (v - mean) / scale.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        Mean and standard deviation (with the divisor n, not n - 1) of the column in the training rows; scale is 1 for a
        constant column.
    fill : float, optional
        The number that replaces a missing value; if None, a missing value raises ValueError.
    """

    name: str
    mean: float
    scale: float
    fill: float | None = None
    kind: ClassVar[str] = "numeric"
    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)
        if self.fill is not None:
            checks.real("fill", self.fill)

    def encode(self, table: Table, x: NDArray[np.floating]) -> None:
        """Writes the standardised column to x (n, 1)."""
        values = self.values(table, self.name)
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        x[:, 0] = (values - self.mean) / self.scale

    values: ClassVar[Callable[[Table, str], NDArray[np.float64]]] = staticmethod(numbers)


@dataclass(frozen=True)
class Boolean(Numeric):
    """A column of the texts true and false, which become 1 and 0 and are then standardised like a `Numeric` column."""

    kind: ClassVar[str] = "boolean"
    values: ClassVar[Callable[[Table, str], NDArray[np.float64]]] = staticmethod(booleans)


@dataclass(frozen=True)
class Categorical:
    """A column of texts, encoded one-hot: one input per category, 1 for the row's category and 0 for all other categories.

    Parameters
    ----------
    name : str
        Name of the column.
    categories : list of str
    fill : str, optional
        The category that replaces a missing value; if None, a missing value raises ValueError.
    """

    name: str
    categories: tuple[str, ...]
    fill: str | None = None
    kind: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", _texts("categories", self.categories, 1))
        if self.fill is not None and self.fill not in self.categories:
            raise ValueError(
                f"column {self.name!r}: the replacement for missing values, {self.fill!r}, is not one of its categories: "
                f"{listed(self.categories)}"
            )

    @property
    def width(self) -> int:
        """The number of network inputs that encode the column."""
        return len(self.categories)

    def encode(self, table: Table, x: NDArray[np.floating]) -> None:
        """Writes the one-hot encoding of the column to x (n, width)."""
        index = indices(table, self.name, self.categories, "category")
        if self.fill is not None:
            index[index < 0] = self.categories.index(self.fill)
        x[...] = 0
        x[np.arange(index.size), index] = 1


@dataclass(frozen=True)
class Classes:
    """The target column of a classification.

    Parameters
    ----------
    name : str
        Name of the column.
    labels : list of str
        The texts of the classes; y is the index of a label in this list.
    """

    name: str
    labels: tuple[str, ...]
    kind: ClassVar[str] = "classes"
    losses: ClassVar[tuple[str, ...]] = ("cce", "bce")

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _texts("labels", self.labels, 2))

    def width(self, loss: str) -> int:
        """Returns the number of outputs that a network with this loss needs: one per class, but a single one for bce."""
        if loss == "bce" and len(self.labels) != 2:
            raise ValueError(f"loss 'bce' is for two classes, but the target {self.name!r} has {len(self.labels)}: use cce")
        return 1 if loss == "bce" else len(self.labels)

    def encode(self, table: Table) -> NDArray[np.intp]:
        """Returns the target y, (n,): for each row the index of its label."""
        return indices(table, self.name, self.labels, "class")

    def answers(self, y_hat: NDArray[np.floating]) -> list[str]:
        """Returns the label of the most probable class for each row."""
        return [self.labels[k] for k in classes_of(y_hat)]

    def probabilities(self, y_hat: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns the probability of each class for each row, (n, classes)."""
        return np.hstack([1 - y_hat, y_hat]) if y_hat.shape[1] == 1 else y_hat


@dataclass(frozen=True)
class Quantity:
    """The target column of a regression: its numbers v become the target y = (v - mean) / scale.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        Mean and standard deviation of the column, as for `Numeric`.
    """

    name: str
    mean: float
    scale: float
    kind: ClassVar[str] = "quantity"
    losses: ClassVar[tuple[str, ...]] = ("mse", "sse")

    def __post_init__(self) -> None:
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)

    def width(self, loss: str) -> int:
        """Returns the number of outputs that a network needs, which is 1 for any loss."""
        return 1

    def encode(self, table: Table) -> NDArray[np.float64]:
        """Returns the standardised target y, (n,)."""
        return (numbers(table, self.name) - self.mean) / self.scale

    def answers(self, y_hat: NDArray[np.floating]) -> list[float]:
        """Returns the prediction for each row, in the units of the table."""
        return self.in_units(y_hat)[:, 0].tolist()

    def in_units(self, y: NDArray[np.floating]) -> NDArray[np.float64]:
        """Returns standardised targets or predictions in the units of the table."""
        return y.astype(np.float64) * self.scale + self.mean


FEATURES: dict[str, Callable[..., Any]] = {kind.kind: kind for kind in (Numeric, Boolean, Categorical)}
TARGETS: dict[str, Callable[..., Any]] = {kind.kind: kind for kind in (Classes, Quantity)}


class NetworkShape(Protocol):
    """The properties of a network that the encoding of a table must fit; `engines.topology.Topology` has these properties."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of inputs, and the number of neurons of each layer."""
        ...

    @property
    def loss(self) -> str:
        """The name of the network's loss."""
        ...


@dataclass(frozen=True)
class Encoding:
    """Converts the rows of a table to x and y of a network, and y_hat to class labels or quantities.

    Parameters
    ----------
    features : list of Numeric, Boolean or Categorical
        The columns that become inputs of the network, in the order of the inputs.
    target : Classes or Quantity
        The column to predict.
    ignored : list of str
        Names of further columns that a table may have, and that are not read.

    Raises
    ------
    ValueError
        Two columns have the same name.
    """

    features: tuple[Numeric | Categorical, ...]
    target: Classes | Quantity
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("features", "ignored"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        names = [*(feature.name for feature in self.features), self.target.name, *self.ignored]
        _texts("names of columns", names, 2)

    @property
    def width(self) -> int:
        """The number of network inputs that encode all features."""
        return sum(feature.width for feature in self.features)

    def x(self, table: Table | Frame, dtype: DTypeLike = "float64", *, ignore: Iterable[str] = ()) -> NDArray[np.floating]:
        """Encodes the rows of a table as inputs of the network.

        Parameters
        ----------
        table : Table or DataFrame
            A table with the columns of all features, in any order. It may contain the target column, too. `learn` tells which
            DataFrames are taken.
        dtype : {"float64", "float32"}
            Data type of the result; the computation is in float64.
        ignore : list of str
            Names of columns to ignore in addition to `ignored`.

        Returns
        -------
        ndarray, (n, width)

        Raises
        ------
        ValueError
            A column or a value is missing or unknown; the message names the column and the row.
        """
        table = as_table(table)
        known = {self.target.name, *self.ignored, *ignore, *(feature.name for feature in self.features)}
        if unknown := [name for name in table.columns if name not in known]:
            raise ValueError(
                f"{table.source} has columns that the model does not know: {listed(unknown)}; "
                "remove these columns, or name them in ignore (--ignore)"
            )
        if lacking := [feature.name for feature in self.features if feature.name not in table.columns]:
            raise ValueError(f"{table.source} does not have these columns, which the model needs: {listed(lacking)}")
        refuse_missing(table, [feature.name for feature in self.features if feature.fill is None])
        x, start = np.empty((table.rows, self.width), dtype), 0
        with np.errstate(over="ignore"):
            for feature in self.features:
                feature.encode(table, x[:, start : start + feature.width])
                start += feature.width
        return x

    def y(self, table: Table | Frame) -> NDArray[Any]:
        """Encodes the target column of a table as y of the network.

        Parameters
        ----------
        table : Table or DataFrame

        Returns
        -------
        ndarray, (n,)
            Class indices as integers, or the standardised numbers of a quantity as float64.

        Raises
        ------
        ValueError
            A target value is missing or unknown; the message names the column and the row.
        """
        table = as_table(table)
        refuse_missing(table, [self.target.name])
        return self.target.encode(table)

    def check(self, network: NetworkShape) -> None:
        """Raises ValueError if the loss or the sizes of the network do not fit the encoding."""
        if network.loss not in self.target.losses:
            known = " or ".join(self.target.losses)
            raise ValueError(
                f"loss {network.loss!r} does not fit {self.target.name!r}, a target of kind {self.target.kind}: use {known}"
            )
        ends = self.width, self.target.width(network.loss)
        if (network.sizes[0], network.sizes[-1]) != ends:
            raise ValueError(
                f"the table's encoding needs {ends[0]} inputs and {ends[1]} outputs, but the network's sizes are "
                f"{list(network.sizes)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the encoding as a dict that JSON can hold."""
        entries = [{"kind": each.kind} | asdict(each) for each in (*self.features, self.target)]
        return {"features": entries[:-1], "target": entries[-1], "ignored": list(self.ignored)}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Encoding":
        """Returns the encoding from a dict of `to_dict`; an invalid dict raises ValueError, TypeError or LookupError."""
        if entries.keys() != {"features", "target", "ignored"}:
            raise ValueError(f"the entries of its table are {sorted(entries)}, not features, ignored, target")
        features = tuple(_described(entry, FEATURES) for entry in entries["features"])
        return cls(features, _described(entries["target"], TARGETS), tuple(entries["ignored"]))


def _described(entry: Mapping[str, Any], kinds: Mapping[str, Callable[..., Any]]) -> Any:
    content = dict(entry)
    return kinds[content.pop("kind")](**content)


def _texts(name: str, values: Iterable[str], least: int) -> tuple[str, ...]:
    """Returns the values as a tuple; raises ValueError unless they are different texts, at least `least` in number."""
    values = tuple(values)
    if not all(isinstance(value, str) for value in values) or len(set(values)) != len(values) or len(values) < least:
        raise ValueError(f"{name} must be at least {least} different texts, not {listed(values)}")
    return values
