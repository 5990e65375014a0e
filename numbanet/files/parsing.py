"""Reads untrusted files: every exception of a parser becomes a ValueError, and a small file cannot claim much memory."""

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from numbanet.files.names import Location, is_file_object, name_of

# Compressed content may inflate to MOST_INFLATED bytes or to MOST_RATIO times the size of the file, whichever is more. Deflate
# reaches a ratio of 1000, but only for constant content.
MOST_INFLATED, MOST_RATIO = 1 << 26, 100


class NeedsMoreError(ValueError):
    """Raised if a file is undamaged, but its parser needs an argument that the caller did not pass; the message says which."""


@contextlib.contextmanager
def reading(source: Location, complaint: str = "cannot read {}: {}") -> Iterator[BinaryIO]:
    """Opens a file for a parser, and converts every exception that the parser raises to a ValueError.

    Parameters
    ----------
    source : path or binary file object
        A file object is read from its current position to its end. If the current position is the end, the file object is read
        from its start, so that a file object can be read right after writing.
    complaint : str
        The message of the ValueError. The first {} in `complaint` is replaced with the name of the file, the second {} with the
        reason.

    Returns
    -------
    context manager of a binary file
        The file supports seeking, even if `source` is a pipe.

    Raises
    ------
    ValueError
        The parser raised an exception. For a `NeedsMoreError` (an argument is missing), the message of the ValueError does not
        contain `complaint`, but only the name of the file and the parser's message.
    OSError
        The file cannot be opened.
    ModuleNotFoundError
        A package that the parser needs is not installed.
    TypeError
        The source is neither a path nor a binary file object.
    """
    with _opened(source) as file, naming(source, complaint):
        yield file


@contextlib.contextmanager
def naming(source: Location, complaint: str, kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Converts exceptions of the classes `kinds` to a ValueError with the message `complaint`, as described for `reading`."""
    try:
        yield
    except ModuleNotFoundError:
        raise
    except NeedsMoreError as error:
        raise ValueError(f"{name_of(source)} {error}") from None
    except kinds as error:  # parsers raise exceptions of many kinds, such as MemoryError if a file claims too much
        raise ValueError(complaint.format(name_of(source), reason(error))) from None


def reason(error: Exception) -> str:
    """Returns the message of a parser's exception, and adds the name of the exception's class if the message may be unclear."""
    if isinstance(error, ValueError | OSError | zipfile.BadZipFile) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def most_bytes(file: BinaryIO) -> int:
    """Returns the largest number of bytes to which the compressed content of an open file may inflate."""
    position = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(position)
    return max(MOST_INFLATED, MOST_RATIO * size)


def opened_archive(file: BinaryIO) -> zipfile.ZipFile:
    """Opens a ZIP archive. Raises an exception if the archive is damaged, or if its members would inflate to too many bytes."""
    archive = zipfile.ZipFile(file)
    claimed = sum(member.file_size for member in archive.infolist())
    if claimed > (most := most_bytes(file)):
        raise ValueError(
            f"the members of the archive would inflate to {claimed} bytes, but at most {most} are allowed: write them without "
            "compression"
        )
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"the member {member.filename} of the archive is compressed by a method other than deflate: write it with "
                "deflate or without compression"
            )
    return archive


def opened(path: str) -> BinaryIO:
    """Opens a file for reading; the message of an OSError about a missing file or a folder names the file in words."""
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"cannot read {path!r}: no such file") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"cannot read {path!r}: it is a folder") from None


@contextlib.contextmanager
def _opened(source: Location) -> Iterator[BinaryIO]:
    """Opens a path, or reads a file object to its end.

    Copies the content of a pipe to memory, because parsers need a seekable file.
    """
    if is_file_object(source, "read"):
        content = source.read()
        if not content and source.seekable():
            source.seek(0)
            content = source.read()
        yield io.BytesIO(content)
    else:
        with opened(name_of(source)) as file:
            yield file if file.seekable() else io.BytesIO(file.read())
