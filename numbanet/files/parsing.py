"""Reads files: whatever a parser raises becomes a ValueError, and a small file cannot ask for much memory."""

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from numbanet.files.names import Location, is_file_object, name_of

# Compressed content may have MOST_INFLATED bytes or, if that is more, MOST_RATIO times the size of the file. Deflate reaches a
# ratio of 1000, but only for content that is constant.
MOST_INFLATED, MOST_RATIO = 1 << 26, 100


@contextlib.contextmanager
def reading(source: Location, complaint: str = "cannot read {}: {}") -> Iterator[BinaryIO]:
    """Opens a file for a parser, and turns every exception that the parser raises into a ValueError.

    Parameters
    ----------
    source : path or binary file object
        A file object is read from its position to its end or, if it is at its end, from its start, so that a file object
        can be read right after it was written.
    complaint : str
        The message of the ValueError; its first field becomes the name of the file, its second field the reason.

    Returns
    -------
    context manager of a binary file
        The file can be sought, even if `source` is a pipe.

    Raises
    ------
    ValueError
        The parser raised an exception.
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
    """Turns exceptions of these kinds into a ValueError that names the file, as `reading` describes it."""
    try:
        yield
    except ModuleNotFoundError:
        raise
    except kinds as error:  # parsers raise exceptions of many kinds, also for memory that a file claims
        raise ValueError(complaint.format(name_of(source), reason(error))) from None


def reason(error: Exception) -> str:
    """Returns the message of an exception of a parser, after the name of its class if the message alone is no sentence."""
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
    """Returns an open ZIP archive; raises an exception if it is damaged, or if its members would inflate too much."""
    archive = zipfile.ZipFile(file)
    claimed = sum(member.file_size for member in archive.infolist())
    if claimed > (most := most_bytes(file)):
        raise ValueError(f"its members claim {claimed} bytes, but may claim at most {most}: write them without compression")
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its member {member.filename} is compressed by another method than deflate")
    return archive


@contextlib.contextmanager
def _opened(source: Location) -> Iterator[BinaryIO]:
    """Opens a path, or reads a file object to its end; the content of a pipe is copied, because parsers seek."""
    if is_file_object(source, "read"):
        content = source.read()
        if not content and source.seekable():
            source.seek(0)
            content = source.read()
        yield io.BytesIO(content)
    else:
        with Path(name_of(source)).open("rb") as file:
            yield file if file.seekable() else io.BytesIO(file.read())
