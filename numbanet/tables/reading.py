"""Reads tables from files; recognises binary formats by the file's content, and text by the ending of the file name."""

import contextlib
import gzip
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from numbanet import checks
from numbanet.datasets.idx import DIMENSION_LIMIT, DTYPES, GZIP_MAGIC
from numbanet.files import opened, refuse_model
from numbanet.tables.arrays import read_images, read_npz
from numbanet.tables.columns import Table, column_name
from numbanet.tables.parquet import read_parquet
from numbanet.tables.spelling import Spelling
from numbanet.tables.text_files import Form, read_text

TEXT = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data", "")
ENDINGS: dict[str, str] = {
    **dict.fromkeys(TEXT, "text"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".npz", ".npy"), "arrays"),
}
IDX_NAME = re.compile(r"idx\d+-ubyte$|\.idx$", re.IGNORECASE)
MAGIC = {b"PAR1": "parquet", b"\x93NUMPY": "arrays", b"\xd0\xcf\x11\xe0": "workbook"}
SNIFFED_BYTES = 1 << 12


def is_idx(path: str | os.PathLike[str]) -> bool:
    """Returns True if a file contains IDX data.

    If the file cannot be read, only its name is checked: t10k-labels-idx1-ubyte.gz, for example, is the name of an IDX file.
    """
    try:
        with Path(path).open("rb") as file:
            return file.seekable() and _format(file.read(SNIFFED_BYTES), os.fspath(path)) == "idx"
    except OSError:
        return _ending(os.fspath(path)) == "idx"


def is_table(path: str | os.PathLike[str]) -> bool:
    """Returns True if the file exists, or if its name has an ending that `read` knows."""
    name = os.fspath(path)
    return Path(name).exists() or (bool(Path(name).suffix) and _ending(name) is not None)


def read(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    missing: Iterable[str] | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    target: str | None = None,
) -> Table:
    """Reads a table from a file.

    Parameters
    ----------
    path : str, path-like or binary file
        Parquet, NPZ, NPY and IDX files are recognised by their content, under any name. Any other file is read as text if its
        name ends in .csv, .tsv, .txt, .tab, .dat or .data, or if it has no name or a name without an ending. Text may be
        compressed with gzip (.csv.gz); its first line names the columns. An NPZ file contains an array x (n, ...) and, for
        training or evaluation, an array of targets (n,). An NPY file and an IDX file (the format of MNIST) contain x only. The
        columns of an array x are named x[0], x[1], ...
    separator : str, optional
        Character between the columns of a text file. By default, numbanet detects the separator: a comma, semicolon, tab or |.
        If the first line of the file is like sep=; (as Excel writes it), the character after the equals sign is the separator.
    decimal : str
        The character before the fraction of a number in a text file.
    thousands : str, optional
        The character between groups of digits in a text file, such as the comma in 1,000,000.
    missing : list of str, optional
        The strings that mean a missing value, in addition to the empty string. The default strings are NA, N/A, n/a, NaN, nan,
        <NA>, #N/A, NULL, null and None; `Table.values` describes an exception for columns of strings. If `missing` contains a
        number, such as -999, this number means a missing value in columns of numbers, too.
    encoding : str, optional
        Encoding of a text file. By default, UTF-8, or the encoding that the file's byte order mark declares.
    header : bool, optional
        True if the first line of a text file names the columns. If `header` is False, the columns are named c1, c2, ... By
        default, the first line names the columns, and a first line of numbers raises ValueError, unless the numbers are 0, 1,
        2, ..., as pandas writes them for columns without names.
    target : str, optional
        For an NPZ file, the name of the array of targets, by default y. If `path` is an IDX file, `target` is the path of
        another IDX file: it contains the labels, which become the column y. For files that are neither NPZ nor IDX files,
        `target` has no effect.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        The file is damaged or not a table, or an argument is invalid; the message names the file or the argument.
    OSError
        The file cannot be opened.
    ModuleNotFoundError
        The file is a Parquet file, and pyarrow is not installed; the message says what to install.
    """
    spelling = Spelling(decimal, thousands, missing)  # type: ignore[arg-type]
    header = None if header is None else checks.flag("header", header)
    with _opened(path) as (file, source, name):
        kind = _format(file.read(SNIFFED_BYTES), name)
        file.seek(0)
        refuse_model(file, source)
        if kind in ("text", "zipped text"):
            return read_text(file, source, Form(separator, encoding, header), spelling, is_zipped=kind != "text")
        for argument, value in (("separator", separator), ("encoding", encoding), ("header", header)):
            if value is not None:
                raise ValueError(f"{argument} applies to text files only, such as .csv, not to {source}")
        if kind == "parquet":
            return read_parquet(file, source, spelling)
        if kind == "arrays":
            return read_npz(file, source, column_name("target", target or "y"))
    if kind == "idx" and isinstance(path, str | os.PathLike):
        return read_images(path, target)
    if kind == "workbook":
        raise ValueError(f"cannot read {source}: it is a workbook; save its sheet as CSV (in Excel: Save As, CSV UTF-8)")
    raise ValueError(
        f"cannot read {source}: its content is neither Parquet, NPZ, NPY nor IDX, and its name does not end in .csv, .tsv, "
        ".txt, .tab, .dat or .data, as the names of text files do"
    )


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[BinaryIO, str, str]]:
    """Opens a file. Yields the opened file, its name for error messages, and the name whose ending determines the format.

    The content of a pipe is copied to memory, because the beginning of the file is read twice.
    """
    if isinstance(path, str | os.PathLike):
        source = os.fspath(path)
        with opened(source) as file:
            yield (file, source, source) if file.seekable() else (io.BytesIO(file.read()), source, "")
    else:
        named = getattr(path, "name", None)
        source = named if isinstance(named, str) else "the file"
        file = path if path.seekable() else cast(BinaryIO, io.BytesIO(path.read()))
        yield file, source, source if Path(source).suffix else ""


def _format(head: bytes, name: str) -> str | None:
    """Returns the format of a file that begins with the bytes `head`, or None if the format is unknown."""
    if head.startswith(GZIP_MAGIC):
        inner = _unzipped(head)
        return "idx" if _is_idx(inner) or _ending(name) == "idx" else "zipped text"
    if head.startswith(b"PK"):  # a zip archive, also an empty one
        return "workbook" if b"[Content_Types].xml" in head or b"opendocument" in head else "arrays"
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    return "idx" if _is_idx(head) else _ending(name)


def _is_idx(head: bytes) -> bool:
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES and 1 <= head[3] <= DIMENSION_LIMIT


def _ending(name: str) -> str | None:
    """Returns the format that belongs to the ending of a file name, or None if no format has this ending."""
    stem = name.removesuffix(".gz")
    return "idx" if IDX_NAME.search(stem) else ENDINGS.get(Path(stem).suffix.lower())


def _unzipped(head: bytes) -> bytes:
    """Returns the first decompressed bytes of a gzip file, or no bytes if the file is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 16)
    except (zlib.error, gzip.BadGzipFile):
        return b""
