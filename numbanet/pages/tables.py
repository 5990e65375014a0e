"""Makes HTML tables of the arrays of a trace, and of the layers of a network, for notebooks and reports."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MOST = 8  # the largest number of rows, and of columns, that are shown of an array
ROW = '<div style="display:flex;flex-wrap:wrap;gap:0 2em;align-items:flex-start">'  # shows tables side by side
MOST_LETTERS = 28  # the largest number of letters that are shown of a column's name
GREEK = (("dL/d", "∂L/∂"), ("delta", "δ"))


class Named(Protocol):
    """An array, its name in the notation of the equations, and the letters of its row index (if any) and column index."""

    @property
    def name(self) -> str:
        """The name of the array, such as w^1 for the weights of layer 1."""
        ...

    @property
    def indices(self) -> str:
        """The letters of the array's indices, such as ij for w_ij."""
        ...

    @property
    def array(self) -> NDArray[Any]:
        """The array, which has one or two dimensions."""
        ...


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", texts: int = 1) -> str:
    """Returns an HTML table. The cells contain plain text, not HTML.

    Parameters
    ----------
    head : sequence of str
        The names of the columns. A column name of more than 28 letters is shortened, and the HTML attribute title contains the
        whole name.
    rows : iterable of sequences of str
        The cells of each row; the first cell of a row is its heading.
    caption : str
        The caption, as HTML.
    texts : int
        The number of columns, from the left, that contain text; the remaining columns contain numbers, which are right-aligned.
    """
    sides = ["left" if number < texts else "right" for number in range(len(head))]
    titles = "".join(
        f'<th scope="col" style="text-align:{side}">{_named(name)}</th>' for name, side in zip(head, sides, strict=True)
    )
    lines = [f"<table>{f'<caption>{caption}</caption>' if caption else ''}<thead><tr>{titles}</tr></thead><tbody>"]
    for first, *cells in rows:
        line = "".join(f'<td style="text-align:{side}">{_cell(cell)}</td>' for cell, side in zip(cells, sides[1:], strict=True))
        lines.append(f'<tr><th scope="row" style="text-align:{sides[0]}">{_cell(first)}</th>{line}</tr>')
    return "\n".join([*lines, "</tbody></table>"])


def shortened(name: str, most: int = MOST_LETTERS) -> str:
    """Shortens a name to at most `most` letters (`most` >= 2): an ellipsis replaces the middle of a longer name."""
    end = most - 1 - most // 2
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - end :]}"


def _named(name: str) -> str:
    if (short := shortened(name)) == name:
        return _cell(name)
    return f'<abbr title="{html.escape(name)}">{_cell(short)}</abbr>'


def _cell(text: Any) -> str:
    return html.escape(str(text), quote=False)


def entries(facts: Mapping[str, Any]) -> str:
    """Returns the names and values in `facts` as an HTML list. The values are plain text, not HTML."""
    lines = (f"<dt>{_cell(name)}</dt><dd>{_cell(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(lines)}</dl>"


# The arrays of a trace


def matrices(parts: Iterable[str | Named]) -> str:
    """Returns `parts`, which are headings (str) and arrays (`Named`), as HTML.

    The table of an array shows at most eight rows and eight columns of the array.
    """
    found = [f'<div class="numbanet">{ROW}']
    for part in parts:
        if isinstance(part, str):
            found.append(f'</div><p style="margin:1em 0 0.3em"><b>{html.escape(part)}</b></p>{ROW}')
        else:
            found.append(_matrix(part))
    return "\n".join([*found, "</div></div>"])


def _matrix(part: Named) -> str:
    array, letters = np.atleast_2d(part.array), part.indices
    rows, columns = (_indices(length) for length in array.shape)
    two = len(letters) == 2
    corner = " \\ ".join(letters) if two else letters
    head = [corner, *(_index(j, letters[-1]) for j in columns)]
    lines = ([_index(i, letters[0]) if two else "", *(_number(array, i, j) for j in columns)] for i in rows)
    return f"<div>{table(head, lines, caption=_symbol(part.name))}{_omitted(array, two)}</div>"


def _indices(length: int) -> list[int | None]:
    """Returns the indices of the rows or columns to show: all or, of more than 8, the first 6, None and the last."""
    if length <= MOST:
        return list(range(length))
    return [*range(MOST - 2), None, length - 1]


def _index(index: int | None, letter: str) -> str:
    return "…" if index is None else f"{letter}={index + 1}"


def _number(array: NDArray[Any], i: int | None, j: int | None) -> str:
    return "…" if i is None or j is None else f"{array[i, j]:.6g}"


def _omitted(array: NDArray[Any], two: bool) -> str:
    if max(array.shape) <= MOST:
        return ""
    shape = " by ".join(map(str, array.shape if two else array.shape[1:]))
    return f'<p style="margin:0"><small>{shape} numbers</small></p>'


def _symbol(name: str) -> str:
    """Returns the name of an array as HTML: Greek letters, and the number of the layer as a superscript."""
    for text, sign in GREEK:
        name = name.replace(text, sign)
    symbol, _, layer = name.partition("^")
    return f"<b><i>{html.escape(symbol)}</i>{f'<sup>{layer}</sup>' if layer else ''}</b>"


# The layers of a network


class Described(Protocol):
    """The properties of a network that the functions `layers` and `facts` read; the class `Network` documents them."""

    sizes: Any
    activations: Any
    dropout: Any
    loss: Any
    dtype: Any
    kernels: Any
    device: Any


def layers(network: Described) -> list[list[str]]:
    """Returns headings and a row for each layer: its number, activation, sizes, number of parameters, and dropout rate."""
    head = ["layer", "activation", "inputs", "neurons", "weights", "biases", "parameters"]
    pairs = zip(network.sizes, network.sizes[1:], strict=False)
    rows = [
        [str(l), activation, *(f"{count:,}" for count in (n_in, n_out, n_in * n_out, n_out, n_in * n_out + n_out))]
        for l, (activation, (n_in, n_out)) in enumerate(zip(network.activations, pairs, strict=True), start=1)
    ]
    if any(network.dropout):
        head.append("dropout")
        rows = [[*row, f"{rate:g}"] for row, rate in zip(rows, [*network.dropout, 0], strict=True)]
    return [head, *rows]


def facts(network: Described) -> str:
    """Returns the number of parameters, the loss, the dtype, the kernels ("fast" or "reference") and the device in one line."""
    count = sum((n_in + 1) * n_out for n_in, n_out in zip(network.sizes, network.sizes[1:], strict=False))
    return f"{count:,} parameters; loss {network.loss}, {network.dtype}, {network.kernels} kernels on {network.device}"
