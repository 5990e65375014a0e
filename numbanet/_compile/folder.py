"""The folder of the compile cache: its place, who may write to it, and the removal of folders that other versions left."""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import llvmlite
import numba
import numba.core.config

KEPT = 12  # folders of other versions that remain, because several versions may be in use
KEPT_SECONDS = 30 * 86_400  # a folder that no process has used for this long is removed in any case
MODE = 0o755  # of new folders: others may read them, so that a cache made by root serves all users of a container


def _stamp(package: Path) -> str | None:
    """Returns a hash of all modules of a package and of the versions of the compilers; None if no module can be read.

    Numba's own cache checks only the file that contains the compiled function. After an edit of a formula, a loop in another
    file that calls the formula would keep the old machine code (numba issues 1833 and 8396). In an installation without sources
    the modules are .pyc files; inside an archive there are no files, and therefore no cache.
    """
    stamp, found = hashlib.sha256(), False
    stamp.update(f"{numba.__version__} {llvmlite.__version__} {sys.version}".encode())
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if name.endswith((".py", ".pyc")):
                file, found = Path(folder, name), True
                stamp.update(file.relative_to(package).as_posix().encode())
                try:
                    stamp.update(file.read_bytes())
                except OSError:
                    return None
    return stamp.hexdigest()[:16] if found else None


# The hash of the modules that this process has imported; later, an update may have replaced the files.
_STAMP = _stamp(Path(__file__).parents[1])


@functools.cache
def cache_folder() -> Path | None:
    """Returns the folder of the compile cache, which exists; None if there is none.

    The folder lies in the first of these folders that can be used: NUMBA_CACHE_DIR, XDG_CACHE_HOME, ~/.cache. A folder can be
    used if it can be made, or if it exists and can be read; it need not be writable. The function warns of relative paths and
    of folders that other users can write, and takes neither.
    """
    for base in _bases() if _STAMP else ():
        try:
            if folder := _folder_in(base):
                return folder
        except (OSError, RuntimeError):  # no permission, full, read-only, a file in the way; RuntimeError: links in a circle
            continue
    return None


def _bases() -> Iterator[Path]:
    for path in (numba.core.config.CACHE_DIR, os.environ.get("XDG_CACHE_HOME")):  # type: ignore[attr-defined]
        if path:
            yield Path(path)
    try:
        yield Path.home() / ".cache"
    except RuntimeError:  # no home directory
        return


def _folder_in(base: Path) -> Path | None:
    if not base.is_absolute():
        _warn(f"{base} is a relative path, which would be another folder in each working directory")
        return None
    folder = Path(base, "numbanet", str(_STAMP)).resolve()
    for _ in range(2):  # before the folder is made, and after it, because another user may have been faster
        if place := _open_to_others(folder):
            _warn(f"another user owns or can write {place}, and could make this process run any code")
            return None
        if not folder.exists():
            _make(folder)
            with contextlib.suppress(OSError):  # another process may remove the same folders
                _prune(folder)
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    with contextlib.suppress(OSError):  # read-only
        os.utime(folder)  # the time of the last use, for `_prune`
    return folder


def _warn(reason: str) -> None:
    text = f"a folder for compiled code is not used: {reason}. Set NUMBA_CACHE_DIR to the full path of a folder of your own."
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _make(folder: Path) -> None:
    """Makes a folder and its parents, which only this user can write, whatever the umask is."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(mode=MODE, exist_ok=True)


def _prune(folder: Path) -> None:
    """Removes the folders of other versions beside `folder`, except for those that were used last."""
    others = [other for other in folder.parent.iterdir() if re.fullmatch("[0-9a-f]{16}", other.name) and other != folder]
    used = {other: other.lstat().st_mtime for other in others}
    for rank, other in enumerate(sorted(others, key=lambda other: -used[other])):
        if rank >= KEPT or used[other] < time.time() - KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


# Who can write


def _open_to_others(folder: Path) -> Path | None:
    """Returns the first existing folder on the way to `folder`, itself included, that another user could have changed."""
    if not hasattr(os, "geteuid"):  # Windows: folders of users are their own, and st_mode says nothing
        return None
    for place in (*reversed(folder.parents), folder):
        try:
            status = place.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(status.st_mode):  # such as HOME=/dev/null
            raise NotADirectoryError(str(place))
        made_by_numbanet = place in (folder, folder.parent)
        if is_foreign(status) if made_by_numbanet else _is_foreign_parent(status):
            return place
    return None


def _is_foreign_parent(status: os.stat_result) -> bool:
    """Returns whether another user could replace the folders in a folder.

    In a sticky folder such as /tmp, only the owner of a folder can. In a container of an unprivileged user, the folders of
    root, and only in such a container /, have an owner who is not root.
    """
    if status.st_uid in (0, os.geteuid(), os.stat("/").st_uid):
        return not status.st_mode & stat.S_ISVTX and _is_writable_by_others(status)
    return True


def is_foreign(status: os.stat_result) -> bool:
    """Returns whether a user other than this one and root owns a file or folder with this status, or can write it."""
    return hasattr(os, "geteuid") and (status.st_uid not in (0, os.geteuid()) or _is_writable_by_others(status))


def _is_writable_by_others(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    # With an access control list, these bits may stand for another user. In a folder, the files of that user are not loaded.
    private = stat.S_ISDIR(status.st_mode) and _is_group_of_one(status.st_gid)
    return bool(status.st_mode & stat.S_IWGRP) and not private


def _is_group_of_one(number: int) -> bool:
    """Returns whether a group is the private group of this user, which many systems make for each user, with the same name."""
    import grp  # not on Windows
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}
