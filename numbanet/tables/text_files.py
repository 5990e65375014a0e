"""Reads tables from text files, such as CSV and TSV files, with Python's module csv.

The module csv is part of Python, keeps every cell unchanged (007 does not become 7), and counts the lines of the file.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from numbanet import checks
from numbanet._compile import collection_paused
from numbanet.checks import listed
from numbanet.tables.columns import MOST_COLUMNS, Strings, Table
from numbanet.tables.spelling import Spelling, number

SEPARATORS = (";", "\t", "|", ",")
SNIFFED_CHARACTERS, SNIFFED_ROWS = 1 << 16, 20
CHUNK_CELLS = 1 << 17
BYTE_ORDER_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"} | {
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"
}  # fmt: skip
SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)  # a first line that Excel writes and reads
WHOLE_NUMBER = re.compile(r"\d+")
PANDAS_INDEX = "Unnamed: 0"  # the name that pandas gives to a first column without a name, such as an index in a CSV file
ENCODINGS = ("utf-8", "latin-1", "cp1252", "cp1250", "cp1251", "utf-16", "mac-roman", "gb18030", "shift-jis", "euc-kr", "big5")


class Form(NamedTuple):
    """The arguments of `read` that apply only to text files.

    Parameters
    ----------
    separator : str, optional
        The character between cells; by default it is detected.
    encoding : str, optional
        The character encoding; by default, UTF-8 or the encoding that the file's byte order mark declares.
    header : bool, optional
        True if the first line contains the names of the columns, False if it contains values. By default, the first line must
        contain the names of the columns, and a first line of numbers raises ValueError.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None


def read_text(file: BinaryIO, source: str, form: Form, spelling: Spelling, *, is_zipped: bool = False) -> Table:
    """Reads a table from a text file that is open in binary mode; see `numbanet.tables.read`."""
    separator: Any = form.separator
    if separator is not None and not (isinstance(separator, str) and len(separator) == 1 and separator not in '"\r\n'):
        raise ValueError(f"separator must be a single character, not {checks.shown(separator)}")
    stream = gzip.GzipFile(fileobj=file) if is_zipped else file
    text = encoding = None
    try:
        encoding = _encoding(stream, form.encoding)
        text = io.TextIOWrapper(stream, encoding=encoding, newline="")  # type: ignore[arg-type]
        with collection_paused():  # otherwise, the garbage collector would traverse millions of strings repeatedly
            return _table(text, source, form, spelling)
    except UnicodeError as error:
        raise ValueError(f"{source} {_not_encoded(error, encoding, form.encoding is not None)}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"cannot read {source}: {error}") from None
    finally:
        if text is not None:
            text.detach()  # without this call, deleting the wrapper would close the file


def _encoding(stream: Any, given: str | None) -> str:
    """Returns the encoding that the user gave or, by default, the encoding that the file's byte order mark declares."""
    if given is not None:
        try:
            name = codecs.lookup(given).name
            "".encode(name)  # raises LookupError for a codec that does not encode text
        except (LookupError, TypeError, ValueError):
            hint = checks.suggestion(given, ENCODINGS)
            raise ValueError(f"unknown encoding {given!r}{hint}; known are {', '.join(ENCODINGS)} and others") from None
        return "utf-8-sig" if name == "utf-8" else name
    start = stream.read(4)
    stream.seek(0)
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8-sig")


def _not_encoded(error: UnicodeError, encoding: str | None, is_given: bool) -> str:
    """Returns the end of the error message about bytes that are invalid in the encoding."""
    name = "UTF-8" if encoding in (None, "utf-8-sig") else encoding
    if not isinstance(error, UnicodeDecodeError):
        return f"is not {name}: {error}"
    byte = error.object[error.start]
    what = f"is not {name}: it contains the byte 0x{byte:02x}"
    if is_given:
        return f"{what}; use the encoding in which the file was written (--encoding)"
    likely = "cp1252" if any(0x80 <= each < 0xA0 for each in error.object) else "latin-1"
    return (
        f"{what}; use encoding={likely!r} (--encoding {likely}), which is usual in Western Europe, or the encoding in which "
        "the file was written"
    )


def _table(text: io.TextIOWrapper, source: str, form: Form, spelling: Spelling) -> Table:
    start, separator, skipped = text.read(SNIFFED_CHARACTERS), form.separator, 0
    text.seek(0)
    if said := SEPARATOR_LINE.match(start):
        separator, skipped = separator or said[1], 1
        text.readline()
    if "\0" in start:
        raise ValueError(
            f"{source} contains NUL characters, as text in UTF-16 does: use the encoding in which the file was written, such "
            "as encoding='utf-16-le' (--encoding utf-16-le)"
        )
    if separator is None:
        separator = _sniffed(start, spelling.decimal)
    reader = csv.reader(text, delimiter=separator, skipinitialspace=separator != " ", strict=True)
    return Records(source, form.header, skipped).table(reader, spelling)


def _sniffed(text: str, decimal: str) -> str:
    """Returns the separator that gives the first rows equally many cells; if several do, the one that gives the most cells."""

    def columns(separator: str) -> tuple[bool, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        try:
            widths = [len(record) for record in islice((record for record in reader if record), SNIFFED_ROWS)]
        except csv.Error:  # a cell is too long; reading the whole file reports the error
            return False, 0
        if len(text) == SNIFFED_CHARACTERS and 1 < len(widths) < SNIFFED_ROWS:
            widths.pop()  # the last row may be incomplete
        return len(set(widths)) == 1 and widths[0] > 1, widths[0] if widths else 0

    # If several separators are equally good, the last of them in SEPARATORS is chosen. A decimal character is a separator only
    # if all rows have equally many columns.
    return max((each for each in reversed(SEPARATORS) if each != decimal or columns(each)[0]), key=columns)


class Records:
    """Collects the records (the parsed rows) of a text file as columns.

    Parameters
    ----------
    source : str
        Name of the file in error messages.
    header : bool or None
        As described for `Form`.
    skipped : int
        Number of lines that were read before the csv reader started; the csv reader's line numbers do not count them.
    """

    def __init__(self, source: str, header: bool | None, skipped: int):
        self.source, self.header, self.skipped = source, header, skipped
        self.names: list[str] = []
        self.notes: list[str] = []
        self.columns: list[list[str | None]] = []
        self.lines = array("q")

    def table(self, reader: Any, spelling: Spelling) -> Table:
        """Reads all records of the csv reader, and returns them as a table."""
        chunk: list[list[str]] = []
        for line, record in self._numbered(reader):
            if not record or (len(record) == 1 != len(self.names) and not record[0].strip()):
                continue  # a blank line; in a table with a single column, a blank cell is a row instead
            if not self.names:
                self.names = self._first(record)
                self.columns = [[] for _ in self.names]
                if self.header is not False:
                    continue
            chunk.append(self._fitted(record, line))
            self.lines.append(line)
            if len(chunk) * len(self.names) >= CHUNK_CELLS:
                self._move(chunk)
        self._move(chunk)
        if not self.names:
            raise ValueError(f"{self.source} is empty")
        columns = {name: Strings(cells, spelling=spelling) for name, cells in self._named().items()}
        return Table(self.source, columns, len(self.lines), self.lines, spelling=spelling, notes=tuple(self.notes))

    def _numbered(self, reader: Any) -> Iterator[tuple[int, list[str]]]:
        """Yields each record with the number of the line in which it begins."""
        start = 1 + self.skipped
        try:
            for record in reader:
                yield start, record
                start = reader.line_num + 1 + self.skipped
        except csv.Error as error:
            hint = ""
            if "unexpected end of data" in str(error):
                hint = ": a quoted cell has no closing quotation mark"
            elif "expected after" in str(error):
                hint = ": within a quoted cell, each quotation mark must be written twice"
            raise ValueError(f"{self.source}, line {start}: {error}{hint}") from None

    def _first(self, record: list[str]) -> list[str]:
        """Returns the names of the columns: the first record or, if `header` is False, c1, c2, ..."""
        if len(record) > MOST_COLUMNS:
            raise ValueError(f"{self.source} has {len(record)} columns, but may have at most {MOST_COLUMNS}")
        if self.header is False:
            return [f"c{place}" for place in range(1, len(record) + 1)]
        if self.header is None and all(number(name) is not None for name in record) and not _counts(record):
            raise ValueError(
                f"{self.source}: the first line must name the columns, but contains numbers: {listed(record, 5)}; if they are "
                "values, use header=False (--no-header), and if they are names, header=True (--header)"
            )
        if padded := [name for name in record if name.strip() and name != name.strip()]:
            self.notes.append(f"blanks at the ends of column names are left out: {listed(padded, 5)}")
            record = [name.strip() for name in record]
        seen: set[str] = set()
        for name in record:
            if name.strip() and name in seen:
                raise ValueError(
                    f"{self.source} has two columns named {name!r}: rename one of them in the file, or, if the first line "
                    "contains values, use header=False (--no-header)"
                )
            seen.add(name)
        return record

    def _fitted(self, record: list[str], line: int) -> list[str]:
        """Returns a row's cells without empty cells after the last column; raises ValueError for a wrong number of cells."""
        width = len(self.names)
        if len(record) > width and not any(record[width:]):
            return record[:width]
        if len(record) != width:
            named = f"the first line names {checks.count(width, 'column')}"
            if width == 1:
                named += "; if the table begins in a later line, remove the lines before the names of the columns"
            raise ValueError(f"{self.source}, line {line}: {checks.count(len(record), 'value')}, but {named}")
        return record

    def _move(self, chunk: list[list[str]]) -> None:
        """Appends a chunk of rows to the columns, and empties the chunk."""
        for column, cells in zip(self.columns, zip(*chunk, strict=True), strict=False):
            column += cells
        chunk.clear()

    def _named(self) -> dict[str, list[str | None]]:
        """Returns the columns by name, and adds messages about the columns without a name to the notes of the table.

        An empty column without a name is left out, because it results from lines that end with a separator. The first column is
        also left out if it numbers the rows, as a pandas index does, and has no name or the name that pandas gives in this
        case, "Unnamed: 0". Any other column without a name gets a name from its position.
        """
        columns: dict[str, list[str | None]] = {}
        for place, (name, cells) in enumerate(zip(self.names, self.columns, strict=True), start=1):
            unnamed = not name.strip()
            if place == 1 and (unnamed or name == PANDAS_INDEX) and self.columns[1:] and _numbers_rows(cells):
                known = "has no name" if unnamed else f"is called {name!r} by pandas"
                self.notes.append(f"the first column, which {known} and numbers the rows, is left out")
            elif not unnamed:
                columns[name] = cells
            elif any(cells):
                name = f"column {place}"
                while name in self.names:
                    name += "_"
                columns[name] = cells
                self.notes.append(f"column {place} has no name, and is called {name!r}")
        return columns


def _counts(names: list[str]) -> bool:
    """Returns whether the names are 0, 1, 2, ..., which pandas writes for columns without names."""
    return len(names) > 1 and names == [str(place) for place in range(len(names))]


def _numbers_rows(cells: list[str | None]) -> bool:
    """Returns True if the cells are distinct whole numbers."""
    return len(set(cells)) == len(cells) and all(cell is not None and WHOLE_NUMBER.fullmatch(cell) for cell in cells)
