"""Writes files: a regular file is replaced completely or not at all; devices and pipes are written to in place."""

import contextlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from numbanet.files.names import Location, is_file_object, name_of

try:
    import fcntl as _fcntl
except ImportError:  # on Windows, a file that a process has opened cannot be deleted
    _fcntl = None
fcntl: Any = _fcntl

TEMPORARY = re.compile(r"\.numbanet-[0-9a-f]{16}\.tmp")
MOST_LINKS = 40  # the number of symbolic links that Linux follows in a path


@contextlib.contextmanager
def replacing(target: Location) -> Iterator[BinaryIO]:
    """Opens a binary file. If the `with` block ends without an exception, the content of the file replaces that of `target`.

    The content is first written to a hidden temporary file in the folder of the target, and is on the disk before this file
    replaces the target. If writing fails or the process is killed, the target keeps its old content.
    The temporary file of a killed process is deleted by the next call to `replacing` for a file in the same folder.

    Parameters
    ----------
    target : path or binary file object
        If the path is a symbolic link, the file to which the link points is replaced. An existing file keeps its owner, its
        permissions and its extended attributes.

    Raises
    ------
    OSError
        The target cannot be written.
    TypeError
        The target is neither a path nor a binary file object.

    Notes
    -----
    File objects, devices, pipes, and open files such as /dev/stdout are written in place, after the content is complete in
    memory. A file with several hard links is written in place, so that all links get the new content. An existing file is also
    written in place if the temporary file cannot be created in its folder, cannot get the same owner, or cannot replace
    the file (for example, if a container mounts the single file).

    If the disk becomes full or the machine stops while a regular file is written in place, the old content is lost.
    """
    name = name_of(target)
    place = target if is_file_object(target, "write") else _followed(name)
    status = _status(place, name) if isinstance(place, str | int) else None
    with contextlib.ExitStack() as stack:
        temporary = None
        if isinstance(place, str) and (status is None or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)):
            try:
                temporary = stack.enter_context(_temporary(place, name, status))
            except OSError:
                if status is None:
                    raise
        if isinstance(place, str) and temporary is not None:
            yield temporary
            _replace(place, temporary, status)
        else:
            yield (content := io.BytesIO())
            content.seek(0)
            _copy(content, place)


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raises OSError if `replacing` cannot write to the path.

    `fit` calls this function before training begins, because otherwise the result of a long training run could be lost.
    """
    place = _followed(name := name_of(path))
    if isinstance(place, str) and _status(place, name) is None:
        with _temporary(place, name, None):
            pass


def _followed(path: str) -> str | int:
    """Resolves the symbolic links of a path; for an open file such as /dev/stdout, returns its file descriptor."""
    open_files = (f"/proc/{os.getpid()}/fd", "/dev/fd")  # folders in which each open file of this process has an entry
    text = os.path.abspath(path)
    if path.endswith(("/", os.sep)):
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(text)
        if name.isdigit() and os.path.realpath(folder) in open_files:
            return int(name)
        if not os.path.islink(text):
            break
        text = os.path.join(folder, os.readlink(text))
    return os.path.realpath(path)


def _status(path: str | int, name: str) -> os.stat_result | None:
    """Returns the status of a file, or None if there is no file; raises OSError for a folder and for a write-protected file.

    `name` is the path as the user wrote it, for error messages.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"cannot write {name}: it is a folder")
    if isinstance(path, str) and not os.access(path, os.W_OK):
        raise PermissionError(f"cannot write {name}: the file is write-protected")
    return status


@contextlib.contextmanager
def _temporary(path: str, name: str, status: os.stat_result | None) -> Iterator[BinaryIO]:
    """Opens a temporary file in the folder of `path`, with the owner and permissions in `status`.

    The end of the `with` block deletes the file, if it still exists. While the file is open, it is locked, so that no other
    process mistakes it for a file that a killed process left behind. `name` is the path as the user wrote it, for error
    messages.
    """
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"cannot write {name}: the folder {folder} does not exist")
    _delete_abandoned(folder)
    try:
        handle, temporary = _created(folder, 0o666 if status is None else 0o600)
    except OSError as error:
        raise type(error)(f"cannot write {name}: no file can be created in the folder {folder}: {error.strerror}") from None
    with contextlib.ExitStack() as stack:
        stack.callback(_delete, temporary)
        file = stack.enter_context(open(temporary, "w+b", opener=lambda *_: handle))
        if status is not None:
            _keep(handle, temporary, path, status)
        yield file


def _created(folder: str, mode: int) -> tuple[int, str]:
    """Creates and locks a temporary file in a folder; returns the file descriptor and the path of the file."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        name = os.path.join(folder, f".numbanet-{secrets.token_hex(8)}.tmp")
        handle = os.open(name, flags, mode)
        with contextlib.suppress(OSError):  # some network file systems have no locks; there, abandoned files are not deleted
            if fcntl:
                fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):
            return handle, name
        os.close(handle)  # another process deleted the file before it was locked


def _delete_abandoned(folder: str) -> None:
    """Deletes the temporary files that killed processes left behind: the files that no process has locked."""
    with contextlib.suppress(OSError):  # the folder may be writable but not readable
        for name in os.listdir(folder):
            if TEMPORARY.fullmatch(name):
                with contextlib.suppress(OSError):  # BlockingIOError if a process has locked the file
                    _delete_unlocked(os.path.join(folder, name))


def _delete_unlocked(path: str) -> None:
    if not fcntl:
        os.unlink(path)
        return
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(handle)


def _delete(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # the temporary file was renamed to the target
        os.unlink(path)


def _keep(handle: int, name: str, path: str, status: os.stat_result) -> None:
    """Copies the owner, the extended attributes and the permissions of `path` to an open file.

    Raises OSError if the owner or the permissions cannot be set.
    """
    if hasattr(os, "fchown"):
        own = os.fstat(handle)
        if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            os.fchown(handle, status.st_uid, status.st_gid)
    if hasattr(os, "listxattr"):  # extended attributes, such as access control lists
        with contextlib.suppress(OSError):
            for attribute in os.listxattr(path):
                with contextlib.suppress(OSError):
                    os.setxattr(handle, attribute, os.getxattr(path, attribute))
    os.chmod(name, stat.S_IMODE(status.st_mode))


def _replace(path: str, temporary: BinaryIO, status: os.stat_result | None) -> None:
    """Renames the temporary file to `path`, or copies its content into the file at `path` if that file cannot be replaced.

    For example, a file that is a mount point cannot be replaced.
    """
    temporary.flush()
    os.fsync(temporary.fileno())
    if not fcntl:
        temporary.close()  # Windows cannot rename an open file
    try:
        os.replace(temporary.name, path)
    except OSError:
        if status is None:
            raise
        with open(temporary.name, "rb") as content:
            _copy(content, path)


def _copy(content: BinaryIO, target: str | int | BinaryIO) -> None:
    """Writes the content to a path, a file descriptor or a file object."""
    if isinstance(target, str | int):
        with open(os.dup(target) if isinstance(target, int) else target, "wb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fsync(file.fileno())
    elif isinstance(target, io.RawIOBase):  # the method `write` of a raw file may write only a part of the bytes
        buffered = io.BufferedWriter(target)
        shutil.copyfileobj(content, buffered)
        buffered.flush()
        buffered.detach()
    else:
        shutil.copyfileobj(content, target)
