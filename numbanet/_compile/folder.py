"""Finds the compile cache's folder, checks who can write to it, and removes the cache folders of other numbanet versions."""

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

KEPT = 12  # maximum number of folders of other versions to keep, because several versions may be in use
KEPT_SECONDS = 30 * 86_400  # a folder of another version that no process has used for this time is always removed
# The folders of the package that contain no compiled functions. An edit of their files leaves the cache valid.
NOT_COMPILED = {"__pycache__", "cli", "datasets", "interchange", "notebook", "pages", "pictures", "proof", "sklearn", "tables"}
MODE = 0o755  # permissions of new folders: all users can read them, so that all users of a container can use root's cache


def _stamp(package: Path) -> str | None:
    """Returns a hash of a package's modules and the versions of Python, Numba and llvmlite, or None if a module cannot be read.

    The modules in the folders NOT_COMPILED are not hashed.

    Numba's own cache checks only the file that contains the compiled function. After an edit of a formula, a loop in
    another file that calls the formula would therefore keep its old machine code (numba issues 1833 and 8396). In an
    installation without sources, `_stamp` hashes the .pyc files. If the package was imported from an archive, `_stamp` finds no
    files and returns None.
    """
    stamp, found = hashlib.sha256(), False
    stamp.update(f"{numba.__version__} {llvmlite.__version__} {sys.version}".encode())
    for folder, folders, names in os.walk(package):
        skipped = NOT_COMPILED if folder == str(package) else {"__pycache__"}
        folders[:] = sorted(set(folders) - skipped)
        for name in sorted(names):
            if name.endswith((".py", ".pyc")):
                path, found = os.path.join(folder, name), True
                stamp.update(os.path.relpath(path, package).encode())
                try:
                    with open(path, "rb") as file:
                        stamp.update(file.read())
                except OSError:
                    return None
    return stamp.hexdigest()[:16] if found else None


# The hash is computed at import, because a later update of the package could replace the files of the imported modules.
_STAMP = _stamp(Path(__file__).parents[1])


@functools.cache
def cache_folder() -> Path | None:
    """Returns the folder of the compile cache, or None if no folder can be used.

    `cache_folder` tries a subfolder of NUMBA_CACHE_DIR, of XDG_CACHE_HOME, and of ~/.cache, in this order, and creates the
    subfolder if necessary. A subfolder that exists already must be readable, but need not be writable. If a path is relative,
    or if other users can write to the folder, `cache_folder` warns and does not use the folder.
    """
    for base in _bases() if _STAMP else ():
        try:
            if folder := _folder_in(base):
                return folder
        except (OSError, RuntimeError):  # OSError: a missing permission or a full disk; RuntimeError: links in a cycle
            continue
    return None


def _bases() -> Iterator[Path]:
    for path in (numba.core.config.CACHE_DIR, os.environ.get("XDG_CACHE_HOME")):  # type: ignore[attr-defined]
        if path:
            yield Path(path)
    try:
        yield Path.home() / ".cache"
    except RuntimeError:  # the user has no home directory
        return


def _folder_in(base: Path) -> Path | None:
    if not base.is_absolute():
        _warn(f"{base} is a relative path, and would name a different folder in each working directory")
        return None
    folder = Path(base, "numbanet", str(_STAMP)).resolve()
    for _ in range(2):  # checks again after the folder is made, because another user may have made it in the meantime
        if place := _open_to_others(folder):
            _warn(f"another user owns, or can write to, {place}, and could make this process run any code")
            return None
        if not folder.exists():
            _make(folder)
            with contextlib.suppress(OSError):  # another process may remove the same folders at the same time
                _prune(folder)
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    with contextlib.suppress(OSError):  # the folder may be read-only
        os.utime(folder)  # `_prune` reads the time of the last use
    return folder


def _warn(reason: str) -> None:
    text = f"a folder for compiled code is not used: {reason}. Set NUMBA_CACHE_DIR to the full path of a folder of your own."
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _make(folder: Path) -> None:
    """Creates a folder and its missing parents. Only the current user can write to the new folders, whatever the umask is."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(mode=MODE, exist_ok=True)


def _prune(folder: Path) -> None:
    """Removes the cache folders of other versions beside `folder`, except the most recently used ones (at most KEPT).

    Also removes a folder that no process has used for KEPT_SECONDS.
    """
    others = [other for other in folder.parent.iterdir() if re.fullmatch("[0-9a-f]{16}", other.name) and other != folder]
    used = {other: other.lstat().st_mtime for other in others}
    for rank, other in enumerate(sorted(others, key=lambda other: -used[other])):
        if rank >= KEPT or used[other] < time.time() - KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


# Functions that find out which users can write to a folder


def _open_to_others(folder: Path) -> Path | None:
    """Returns the first folder, among `folder` and its parents, that another user could have changed, or None."""
    if not hasattr(os, "geteuid"):  # on Windows, each user's folders are private, and st_mode does not show permissions
        return None
    for place in (*reversed(folder.parents), folder):
        try:
            status = place.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(status.st_mode):  # not a folder, for example if HOME is /dev/null
            raise NotADirectoryError(str(place))
        made_by_numbanet = place in (folder, folder.parent)
        if is_foreign(status) if made_by_numbanet else _is_foreign_parent(status):
            return place
    return None


def _is_foreign_parent(status: os.stat_result) -> bool:
    """Returns True if another user could replace the subfolders of a folder. `status` is the result of os.stat for the folder.

    In a folder with the sticky bit, such as /tmp, only the owner of a subfolder can replace the subfolder. The owner of / is
    trusted like root: in a container that an unprivileged user runs, the system's folders may have an owner other than root.
    """
    if status.st_uid in (0, os.geteuid(), os.stat("/").st_uid):
        return not status.st_mode & stat.S_ISVTX and _is_writable_by_others(status)
    return True


def is_foreign(status: os.stat_result) -> bool:
    """Returns True if a user other than root and the current user owns, or can write to, a file.

    `status` is the result of os.stat for the file or folder.
    """
    return hasattr(os, "geteuid") and (status.st_uid not in (0, os.geteuid()) or _is_writable_by_others(status))


def _is_writable_by_others(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    # If a file has an access control list, its group bits may show the permissions of another user, not of the group. In a
    # folder, write permission of another user does no harm, because files of another user are not loaded.
    private = stat.S_ISDIR(status.st_mode) and _is_group_of_one(status.st_gid)
    return bool(status.st_mode & stat.S_IWGRP) and not private


def _is_group_of_one(number: int) -> bool:
    """Returns True if a group contains only the current user and has the user's name.

    Many systems create such a group for each user.
    """
    import grp  # imported here, because Windows does not have this module
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}
