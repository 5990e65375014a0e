"""What a network has to know of a table: how its columns become x and y, and what stands for an answer."""

import math
import re
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from numbanet import checks
from numbanet.tables.columns import Table, listed
from numbanet.training.metrics import classes_of

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)+\s*")
DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}:\d{2})([T ,:].*)?")
BOOLEANS = {"true": 1.0, "false": 0.0}


def no_number(text: str) -> str:
    """What to say of a text where a number is expected."""
    hint = f"; with a decimal point it would be {text.strip().replace(',', '.')}" if DECIMAL_COMMA.fullmatch(text) else ""
    return f"{text!r} is no number{hint}"


def numbers(table: Table, name: str) -> np.ndarray:
    """A column as float64, (n,), NaN where it is missing; ValueError at the first text that is no number, or inf."""
    column = table.column(name)
    values = column.numbers
    wrong = np.flatnonzero(np.isnan(values) & ~column.missing)
    if wrong.size:
        raise table.error(name, wrong[0], no_number(column.texts[wrong[0]]))
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise table.error(name, infinite[0], f"{values[infinite[0]]} is not finite")
    return values


def booleans(table: Table, name: str) -> np.ndarray:
    """A column of true and false, in any case, as 1 and 0, (n,), NaN where it is missing."""
    texts = table.column(name).texts
    for row, text in enumerate(texts):
        if text is not None and text.strip().lower() not in BOOLEANS:
            raise table.error(name, row, f"{text!r} is neither true nor false")
    return np.array([math.nan if text is None else BOOLEANS[text.strip().lower()] for text in texts], float)


def indices(table: Table, name: str, known: tuple[str, ...], what: str) -> np.ndarray:
    """Which of the known texts each one of a column is, (n,), -1 where it is missing."""
    index, texts = {text: k for k, text in enumerate(known)} | {None: -1}, table.column(name).texts
    try:
        return np.fromiter(map(index.__getitem__, texts), np.intp, len(texts))
    except KeyError as error:
        (text,) = error.args
        raise table.error(name, texts.index(text), f"unknown {what} {text!r}; known are {listed(known)}") from None


def refuse_missing(table: Table, names, hint: str = "") -> None:
    """ValueError at the first missing value, by row, of the columns of these names."""
    first = {name: int(missing.argmax()) for name in names if (missing := table.column(name).missing).any()}
    if first:
        name = min(first, key=first.__getitem__)
        raise table.error(name, first[name], f"the value is missing{hint}")


@dataclass(frozen=True)
class Numeric:
    """A column of numbers v: x = (v - mean) / scale.

    Parameters
    ----------
    name : str
    mean, scale : float
        Mean and standard deviation (of n, not n - 1) where it was learnt; scale is 1 where the column was constant.
    fill : float, optional
        What a missing value becomes; without it none may be missing.
    """

    name: str
    mean: float
    scale: float
    fill: float | None = None
    kind: ClassVar[str] = "numeric"
    width: ClassVar[int] = 1

    def __post_init__(self):
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)
        if self.fill is not None:
            checks.real("fill", self.fill)

    def encode(self, table: Table, x: np.ndarray) -> None:
        """Into x, (n, 1)."""
        values = self.values(table, self.name)
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        x[:, 0] = (values - self.mean) / self.scale

    values = staticmethod(numbers)


@dataclass(frozen=True)
class Boolean(Numeric):
    """A column of true and false: as `Numeric`, of 1 and 0."""

    kind = "boolean"
    values = staticmethod(booleans)


@dataclass(frozen=True)
class Categorical:
    """A column of texts, one-hot: an input per category, 1 for the one there is and 0 else.

    Parameters
    ----------
    name : str
    categories : list of str
    fill : str, optional
        The category that a missing value becomes; without it none may be missing.
    """

    name: str
    categories: tuple[str, ...]
    fill: str | None = None
    kind: ClassVar[str] = "categorical"

    def __post_init__(self):
        object.__setattr__(self, "categories", _texts("categories", self.categories, 1))
        if self.fill is not None and self.fill not in self.categories:
            raise ValueError(f"fill {self.fill!r} is none of the categories of {self.name!r}")

    @property
    def width(self) -> int:
        """Its number of inputs."""
        return len(self.categories)

    def encode(self, table: Table, x: np.ndarray) -> None:
        """Into x, (n, width)."""
        found = indices(table, self.name, self.categories, "category")
        if self.fill is not None:
            found[found < 0] = self.categories.index(self.fill)
        x[...] = 0
        x[np.arange(found.size), found] = 1


@dataclass(frozen=True)
class Classes:
    """A target of classes.

    Parameters
    ----------
    name : str
    labels : list of str
        As the table has them; y is a label's place in this list.
    """

    name: str
    labels: tuple[str, ...]
    kind: ClassVar[str] = "classes"
    losses: ClassVar[tuple[str, ...]] = ("cce", "bce")

    def __post_init__(self):
        object.__setattr__(self, "labels", _texts("labels", self.labels, 2))

    def width(self, loss: str) -> int:
        """How many outputs a network with this loss has: for bce one, the probability of the second class."""
        if loss == "bce" and len(self.labels) != 2:
            raise ValueError(f"loss 'bce' is for two classes, but {self.name!r} has {len(self.labels)}: take cce")
        return 1 if loss == "bce" else len(self.labels)

    def encode(self, table: Table) -> np.ndarray:
        """y, (n,), integers."""
        return indices(table, self.name, self.labels, "class")

    def answers(self, y_hat: np.ndarray) -> list[str]:
        """The label of the most probable class for each row."""
        return [self.labels[k] for k in classes_of(y_hat)]

    def probabilities(self, y_hat: np.ndarray) -> np.ndarray:
        """Of each class, (n, classes)."""
        return np.hstack([1 - y_hat, y_hat]) if y_hat.shape[1] == 1 else y_hat


@dataclass(frozen=True)
class Quantity:
    """A target of numbers v: y = (v - mean) / scale.

    Parameters
    ----------
    name : str
    mean, scale : float
        As of `Numeric`.
    """

    name: str
    mean: float
    scale: float
    kind: ClassVar[str] = "quantity"
    losses: ClassVar[tuple[str, ...]] = ("mse", "sse")

    def __post_init__(self):
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)

    def width(self, loss: str) -> int:
        """How many outputs a network has for it."""
        return 1

    def encode(self, table: Table) -> np.ndarray:
        """y, (n,), float64."""
        return (numbers(table, self.name) - self.mean) / self.scale

    def answers(self, y_hat: np.ndarray) -> list[float]:
        """In the units of the table."""
        return self.in_units(y_hat)[:, 0].tolist()

    def in_units(self, y: np.ndarray) -> np.ndarray:
        """Standardised targets or predictions in the units of the table, float64."""
        return y.astype(np.float64) * self.scale + self.mean


FEATURES = {kind.kind: kind for kind in (Numeric, Boolean, Categorical)}
TARGETS = {kind.kind: kind for kind in (Classes, Quantity)}


@dataclass(frozen=True)
class Encoding:
    """How the rows of a table become x and y, and y_hat an answer.

    Parameters
    ----------
    features : list of Numeric, Boolean or Categorical
        In the order in which they are inputs of the network.
    target : Classes or Quantity
    ignored : list of str
        Columns that may be there and are not looked at.
    """

    features: tuple[Numeric | Categorical, ...]
    target: Classes | Quantity
    ignored: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("features", "ignored"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        names = [*(feature.name for feature in self.features), self.target.name, *self.ignored]
        _texts("names of columns", names, 2)

    @property
    def width(self) -> int:
        """The number of inputs."""
        return sum(feature.width for feature in self.features)

    def x(self, table: Table, dtype="float64", *, ignore=()) -> np.ndarray:
        """The rows as a network takes them.

        Parameters
        ----------
        table : Table
            With all columns of the features, in any order; that of the target may be there.
        dtype : {"float64", "float32"}
            What the result is rounded to; all is computed in float64.
        ignore : list of str
            Further columns not to look at.

        Returns
        -------
        ndarray, (n, width)

        Raises
        ------
        ValueError
            A column is missing or unknown, or a value is: the message names column and row.
        """
        known = {feature.name for feature in self.features}
        if unknown := [name for name in table.columns if name not in known | {self.target.name, *self.ignored, *ignore}]:
            raise ValueError(f"{table.source} has columns that the model does not know: {listed(unknown)}; ignore them")
        if lacking := [feature.name for feature in self.features if feature.name not in table.columns]:
            raise ValueError(f"{table.source} lacks columns that the model needs: {listed(lacking)}")
        refuse_missing(table, [feature.name for feature in self.features if feature.fill is None])
        x, start = np.empty((table.rows, self.width), dtype), 0
        with np.errstate(over="ignore"):
            for feature in self.features:
                feature.encode(table, x[:, start : start + feature.width])
                start += feature.width
        return x

    def y(self, table: Table) -> np.ndarray:
        """The targets as a network takes them, (n,): integers for classes, standardised float64 for a quantity.

        Raises
        ------
        ValueError
            Where one is missing or unknown; the message names column and row.
        """
        refuse_missing(table, [self.target.name])
        return self.target.encode(table)

    def check(self, topology) -> None:
        """ValueError where a network of this topology does not fit."""
        if topology.loss not in self.target.losses:
            known = " or ".join(self.target.losses)
            raise ValueError(
                f"loss {topology.loss!r} is not for {self.target.name!r}, a target of {self.target.kind}: take {known}"
            )
        ends = self.width, self.target.width(topology.loss)
        if (topology.sizes[0], topology.sizes[-1]) != ends:
            raise ValueError(f"its table makes {ends[0]} inputs and {ends[1]} outputs, its sizes are {list(topology.sizes)}")

    def to_dict(self) -> dict:
        """As JSON has it."""
        entries = [{"kind": each.kind} | asdict(each) for each in (*self.features, self.target)]
        return {"features": entries[:-1], "target": entries[-1], "ignored": list(self.ignored)}

    @classmethod
    def from_dict(cls, entries: dict) -> "Encoding":
        """Checked in full; ValueError, TypeError or LookupError where it is none."""
        if entries.keys() != {"features", "target", "ignored"}:
            raise ValueError(f"its table has {sorted(entries)}, not features, ignored, target")
        features = tuple(_described(entry, FEATURES) for entry in entries["features"])
        return cls(features, _described(entries["target"], TARGETS), tuple(entries["ignored"]))


def _described(entry: dict, kinds: dict):
    content = dict(entry)
    return kinds[content.pop("kind")](**content)


def _texts(name: str, values, least: int) -> tuple[str, ...]:
    """The values as a tuple of different texts."""
    values = tuple(values)
    if not all(isinstance(value, str) for value in values) or len(set(values)) != len(values) or len(values) < least:
        raise ValueError(f"{name} must be at least {least} different texts, not {listed(values)}")
    return values
