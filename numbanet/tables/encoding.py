"""Converts the columns of a table to x and y of a network, and its predictions y_hat back to labels or numbers."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numbanet import checks
from numbanet.checks import listed
from numbanet.tables.columns import SHOWN, Table, names_in
from numbanet.tables.features import Boolean, Categorical, Numeric, distinct_strings
from numbanet.tables.frames import Frame, as_table
from numbanet.tables.labels import UNKNOWN
from numbanet.tables.spelling import PLAIN, Spelling
from numbanet.tables.targets import Classes, Quantity

FEATURES: dict[str, Callable[..., Any]] = {kind.kind: kind for kind in (Numeric, Boolean, Categorical)}
TARGETS: dict[str, Callable[..., Any]] = {kind.kind: kind for kind in (Classes, Quantity)}


class NetworkShape(Protocol):
    """The properties of a network that a table's encoding must match, with the same names as in `engines.topology.Topology`."""

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
    """Converts the rows of a table to a network's x and y, and the network's predictions y_hat to class labels or numbers.

    Parameters
    ----------
    features : list of Numeric, Boolean or Categorical
        The columns that become inputs of the network, in the order of the inputs.
    target : Classes or Quantity
        The column to predict.
    ignored : list of str
        Names of further columns that a table may contain; the encoding does not read them.
    spelling : Spelling
        The spelling of numbers and missing values in the training file. By default, the command line reads other tables for
        this network with this spelling.

    Raises
    ------
    ValueError
        Two columns have the same name.
    """

    features: tuple[Numeric | Categorical, ...]
    target: Classes | Quantity
    ignored: tuple[str, ...] = ()
    spelling: Spelling = PLAIN

    def __post_init__(self) -> None:
        for name in ("features", "ignored"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        names = [*(feature.name for feature in self.features), self.target.name, *self.ignored]
        distinct_strings("names of columns", names, 2)

    def __repr__(self) -> str:
        columns = listed((feature.name for feature in self.features), SHOWN)
        target = f"{self.target.kind} {self.target.name!r}"
        return f"Encoding({checks.count(len(self.features), 'column')}: {columns}; {self.width} inputs; target: {target})"

    @property
    def width(self) -> int:
        """The number of network inputs that encode all features."""
        return sum(feature.width for feature in self.features)

    def x(
        self, table: Table | Frame, dtype: DTypeLike = "float64", *, ignore: Iterable[str] = (), unknown: str = "error"
    ) -> NDArray[np.floating]:
        """Encodes the rows of a table as inputs of the network.

        Parameters
        ----------
        table : Table or DataFrame
            A table with the columns of all features, in any order. The table may contain the target column, too.
        dtype : {"float64", "float32"}
            Data type of the result. The values are computed in float64 and then rounded.
        ignore : list of str
            Names of columns to ignore in addition to `ignored`.
        unknown : {"error", "ignore"}
            For a category that did not occur in training: "error" raises ValueError, "ignore" encodes the category as zeros.

        Returns
        -------
        ndarray, (n, width)

        Raises
        ------
        ValueError
            A column or a value is missing or unknown; the message names the column and the row.
        """
        checks.choice("unknown", unknown, UNKNOWN)
        table = as_table(table)
        self._check_columns(table, names_in("ignore", ignore))
        missing = ((each.name, each.missing(table)) for each in self.features if each.fill is None)
        advice = (
            ", and the model has no replacement for it; train with impute='median' (--impute median), or leave out rows with "
            "missing values by encoding.complete (--drop-missing)"
        )
        refuse_missing(table, missing, advice)
        x, start = np.empty((table.rows, self.width), dtype), 0
        with np.errstate(over="ignore"):
            for feature in self.features:
                feature.encode(table, x[:, start : start + feature.width], unknown)
                start += feature.width
        return x

    def _check_columns(self, table: Table, ignore: Iterable[str]) -> None:
        """Raises ValueError if the table lacks the column of a feature, or has a column that the encoding does not know."""
        known = {self.target.name, *self.ignored, *ignore, *(feature.name for feature in self.features)}
        unknown = [name for name in table.columns if name not in known]
        lacking = [feature.name for feature in self.features if feature.name not in table.columns]
        if lacking:
            pairs = {name: hint for name in lacking[:20] if (hint := checks.suggestion(name, unknown))}
            hints = "".join(f"; for {name!r}{hint}" for name, hint in pairs.items())
            if unknown:
                hints += f"; the model does not know its columns {listed(unknown)}: rename those that contain the needed values"
            if all(re.fullmatch(r"c\d+", name) for name in lacking):
                hints += "; if its first line contains values instead of names, use header=False (--no-header)"
            raise ValueError(f"{table.source} lacks columns that the model needs: {listed(lacking)}{hints}")
        if unknown:
            lacks_target = self.target.name not in table.columns
            target = f"; if one of them contains the target, rename it to {self.target.name!r}" if lacks_target else ""
            raise ValueError(
                f"{table.source} has columns that the model does not know: {listed(unknown)}; "
                f"remove these columns, or name them in ignore (--ignore){target}"
            )

    def y(self, table: Table | Frame) -> NDArray[Any]:
        """Encodes the target column of a table as y of the network.

        Parameters
        ----------
        table : Table or DataFrame

        Returns
        -------
        ndarray, (n,)
            For classification, the class indices as integers. For regression, the standardised target in float64.

        Raises
        ------
        ValueError
            The table lacks the target column, or a target value is missing or unknown; the message names the column and the
            row.
        """
        table = as_table(table)
        self._check_target(table)
        advice = "; to leave out rows without a target, use encoding.complete (--drop-missing)"
        refuse_missing(table, [(self.target.name, self.target.missing(table))], advice)
        return self.target.encode(table)

    def _check_target(self, table: Table) -> None:
        """Raises ValueError if the table lacks the target column."""
        if self.target.name not in table.columns:
            features = {feature.name for feature in self.features}
            others = [name for name in table.columns if name not in features and name not in self.ignored]
            found = f"{table.source} does not have the target column {self.target.name!r}"
            hint = checks.suggestion(self.target.name, others)
            rename = f"; if one of {listed(others)} contains the target, rename it to {self.target.name!r}" if others else ""
            raise ValueError(f"{found}{hint}, with which the predictions would be compared{rename}")

    def complete(self, table: Table | Frame, *, target: bool = True) -> Table:
        """Returns the table without its incomplete rows: the rows with a missing value that the encoding cannot replace.

        Parameters
        ----------
        table : Table or DataFrame
        target : bool
            True to leave out rows with a missing target, too.

        Raises
        ------
        ValueError
            The table lacks a column, or no row is left.
        """
        table = as_table(table)
        if target:
            self._check_target(table)
        needed = [each for each in self.features if each.fill is None and each.name in table.columns]
        return without(table, [each.missing(table) for each in (*needed, *[self.target] * target)])

    def check(self, network: NetworkShape) -> None:
        """Raises ValueError if the network's loss, number of inputs or number of outputs does not match the encoding."""
        if not self.target.fits(network.loss):
            known = " or ".join(f"{loss!r} (--loss {loss})" for loss in self.target.losses)
            raise ValueError(
                f"loss {network.loss!r} does not fit {self.target.name!r}, a target of kind {self.target.kind}: use {known}"
            )
        ends = self.width, self.target.width(network.loss)
        if (network.sizes[0], network.sizes[-1]) != ends:
            raise ValueError(
                f"the table's encoding needs {ends[0]} inputs and {ends[1]} outputs, but the network's sizes are "
                f"{list(network.sizes)}: use a network whose sizes begin with {ends[0]} and end with {ends[1]}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the encoding as a JSON-serializable dict."""
        entries = [{"kind": each.kind} | asdict(each) for each in (*self.features, self.target)]
        spelling = {} if self.spelling == PLAIN else {"spelling": self.spelling.to_dict()}
        return {"features": entries[:-1], "target": entries[-1], "ignored": list(self.ignored), **spelling}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Encoding":
        """Returns the encoding that `to_dict` wrote as a dict; an invalid dict raises ValueError, TypeError or LookupError."""
        if entries.keys() - {"spelling"} != {"features", "target", "ignored"}:
            raise ValueError(f"the entries of the encoding are {sorted(entries)}, but must be features, ignored and target")
        features = tuple(_described(entry, FEATURES) for entry in entries["features"])
        spelling = Spelling.from_dict(entries["spelling"]) if "spelling" in entries else PLAIN
        return cls(features, _described(entries["target"], TARGETS), tuple(entries["ignored"]), spelling)


def _described(entry: Mapping[str, Any], kinds: Mapping[str, Callable[..., Any]]) -> Any:
    content = dict(entry)
    return kinds[content.pop("kind")](**content)


def refuse_missing(table: Table, missing: Iterable[tuple[str, NDArray[np.bool_]]], advice: str) -> None:
    """Raises ValueError if any value is missing; the message names the first row with a missing value.

    Parameters
    ----------
    table : Table
    missing : iterable of (str, ndarray of bool)
        The name of each column, and a boolean array (n,) that is True for each missing value of the column.
    advice : str
        The end of the error message, which says what the user can do.
    """
    first = {name: int(rows.argmax()) for name, rows in missing if rows.any()}
    if first:
        name = min(first, key=first.__getitem__)
        raise table.error(name, first[name], f"the value is missing{advice}")


def refuse_empty(table: Table, names: Iterable[str]) -> None:
    """Raises ValueError if one of the named columns has no value in any row."""
    for name in names:
        if table.is_missing(name).all():
            raise ValueError(f"{table.source}: column {name!r} is empty in every row: name it in ignore (--ignore)")


def without(table: Table, missing: Iterable[NDArray[np.bool_]]) -> Table:
    """Leaves out each row for which any of the boolean arrays (n,) `missing` is True; raises ValueError if no row is left."""
    dropped = np.zeros(table.rows, bool)
    for rows in missing:
        dropped |= rows
    if dropped.all():
        raise ValueError(
            f"{table.source}: a value is missing in every row, so that no row is left; fill in values, or train with "
            "impute='median' (--impute median)"
        )
    return table.take(np.flatnonzero(~dropped)) if dropped.any() else table
