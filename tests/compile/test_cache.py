"""The compile cache: damaged files are compiled again, files of other users are not loaded, and old folders are removed."""

import contextlib
import importlib.util
import os
import pickle
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import numbanet
from numbanet import _cuda
from numbanet._compile import cache, config, folder, njit
from tests.helpers.engines import each

pytestmark = pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="needs compiled functions")

PACKAGE = Path(numbanet.__file__).parent
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners and modes of files")
as_root = pytest.mark.skipif(not ROOT, reason="needs files of another user")


@pytest.fixture(autouse=True)
def base(monkeypatch):
    """Returns an empty folder for the cache, which every user can enter, unlike pytest's own folders."""
    place = Path(tempfile.mkdtemp()).resolve()
    place.chmod(0o755)
    use(place / "base", monkeypatch)
    yield place / "base"
    folder.cache_folder.cache_clear()
    shutil.rmtree(place)


def use(path, monkeypatch):
    """Sets NUMBA_CACHE_DIR to `path`, and makes all other folders for the cache unusable."""
    monkeypatch.setattr(config, "CACHE_DIR", str(path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", os.devnull)
    folder.cache_folder.cache_clear()


def tiny(x):
    return x + 1


def outcome(number=1.0):
    """Calls the function `tiny`, and returns "loaded" if its machine code came from the cache, otherwise "compiled"."""
    dispatcher = njit(tiny)
    assert dispatcher(number) == number + 1
    return "loaded" if dispatcher.stats.cache_hits else "compiled"


CODE = {}  # the name and the content of the cache file of `tiny`


def filled():
    """Writes the machine code of `tiny`, which only the first call compiles, to the cache, and returns the path of the file."""
    if not CODE:
        assert outcome() == "compiled"
        (file,) = files()
        CODE.update(name=file.name, content=cache._read(file))
        file.unlink()
    file = folder.cache_folder() / CODE["name"]
    cache._write(file, CODE["content"])
    return file


def files():
    return list(folder.cache_folder().iterdir())


@contextlib.contextmanager
def unprivileged():
    """Removes the rights of root from this process, because root may read and write every file."""
    if ROOT:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if ROOT:
            os.seteuid(0)


# Damage


def emptied(file):
    os.truncate(file, 0)


def cut_short(file):
    os.truncate(file, file.stat().st_size // 2)


def cut_to_its_hash(file):
    os.truncate(file, 32)


def lengthened(file):
    with file.open("ab") as end:
        end.write(b"\0")


def flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def of_other_types(file):
    """Replaces the machine code for floats in the cache `file` with the machine code for integers."""
    outcome(1)
    (other,) = set(files()) - {file}
    other.replace(file)


def of_something_else(file):
    cache._write(file, pickle.dumps("no code"))


def removed(file):
    file.unlink()


def a_pipe(file):
    file.unlink()
    os.mkfifo(file)


def a_link_to_nothing(file):
    file.unlink()
    file.symlink_to(file.parent / "missing")


DAMAGES = [emptied, cut_short, cut_to_its_hash, lengthened, flipped, of_other_types, of_something_else, removed]
DAMAGES += [a_pipe, a_link_to_nothing] if hasattr(os, "mkfifo") else []


def test_a_second_process_loads():
    filled()
    assert outcome() == "loaded"


def test_loading_imports_nothing_that_only_a_compilation_needs(monkeypatch):
    filled()
    monkeypatch.setattr("numba.core.base.BaseContext.refresh", lambda _: pytest.fail("this imports scipy.linalg"))
    assert outcome() == "loaded"


@each("damage", DAMAGES)
def test_a_damaged_file_is_compiled_anew_and_replaced(damage):
    damage(filled())
    assert [outcome(), outcome()] == ["compiled", "loaded"]


def test_no_flipped_bit_passes(base):
    file = base / "file"
    base.mkdir()
    cache._write(file, bytes(1000))
    content = file.read_bytes()
    assert cache._read(file) == bytes(1000)
    for place in range(0, len(content), 13):
        file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            cache._read(file)


def test_a_folder_in_place_of_a_file_costs_time_only():
    file = filled()
    file.unlink()
    (file / "inside").mkdir(parents=True)
    assert [outcome(), outcome()] == ["compiled", "compiled"]


@posix
def test_an_unreadable_file_is_compiled_anew_and_replaced():
    file = filled()
    file.chmod(0)
    if ROOT:
        os.chown(file.parent, NOBODY, NOBODY)
    with unprivileged():
        folder.cache_folder.cache_clear()
        assert [outcome(), outcome()] == ["compiled", "loaded"]


# Disks


def test_a_full_disk_costs_the_cache_and_leaves_nothing(base, monkeypatch):
    """In this test, the cache is on a disk of 16 KB, which another file fills completely."""
    base.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "tmpfs", base], capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        space = folder.cache_folder() / "space"
        with contextlib.suppress(OSError):
            space.write_bytes(bytes(1 << 20))
        assert outcome() == outcome() == "compiled" and files() == [space]
        use(base / "full", monkeypatch)
        assert outcome() == "compiled"
    finally:
        subprocess.run(["umount", base], check=True)


def test_a_write_that_fails_halfway_costs_the_cache_and_leaves_nothing():
    resource = pytest.importorskip("resource")  # not on Windows
    folder.cache_folder()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert outcome() == "compiled" and not files()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [outcome(), outcome()] == ["compiled", "loaded"]


@posix
def test_a_folder_that_can_only_be_read_serves():
    place = filled().parent
    place.chmod(0o555)
    with unprivileged():
        folder.cache_folder.cache_clear()
        assert folder.cache_folder() == place
        assert [outcome(), outcome(1)] == ["loaded", "compiled"]
        assert len(files()) == 1
    place.chmod(0o755)


def test_a_read_only_disk_serves(base, monkeypatch):
    filled()
    (base.parent / "mounted").mkdir()
    if subprocess.run(["mount", "--bind", base, base.parent / "mounted"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", base.parent / "mounted"], check=True)
        use(base.parent / "mounted", monkeypatch)
        assert [outcome(), outcome(1), outcome(1)] == ["loaded", "compiled", "compiled"]
    finally:
        subprocess.run(["umount", base.parent / "mounted"], check=True)


# Other users


class Foreign:
    """An object that creates the folder `sign` when it is unpickled."""

    def __init__(self, sign):
        self.sign = sign

    def __reduce__(self):
        return os.mkdir, (self.sign,)


@pytest.fixture
def trap(base):
    """Returns the path of a cache file that creates the folder `sign` when it is loaded, and the path of `sign`."""
    file, sign = filled(), base.parent / "sign"
    cache._write(file, pickle.dumps(Foreign(str(sign))))
    folder.cache_folder.cache_clear()
    return file, sign


def test_the_trap_works(trap):
    """Loading the trap (a harmful cache file) creates the folder `sign`, by which the tests below would notice the loading."""
    assert outcome() == "compiled" and trap[1].exists()


def foreign(path):
    os.chown(path, NOBODY, NOBODY)


def writable_by_all(path):
    path.chmod(path.stat().st_mode | 0o002)


def writable_by_a_group(path):
    os.chown(path, -1, NOBODY)
    path.chmod(path.stat().st_mode | 0o020)


def writable_by_its_group(path):
    path.chmod(path.stat().st_mode | 0o020)


def sticky(path):
    """Lets all users create files in a folder, but not replace the files of other users."""
    path.chmod(0o1777)


WAYS = [pytest.param(foreign, marks=as_root), writable_by_all, pytest.param(writable_by_a_group, marks=as_root)]


@posix
@each("above", [1, 2, 3, 4])
@each("change", WAYS)
def test_a_folder_that_another_user_can_write_is_not_used_and_that_is_said_once(above, change, trap):
    file, sign = trap
    place = file.parents[above - 1]
    change(place)
    with pytest.warns(RuntimeWarning, match=rf"can write to, {place}, and could .*Set NUMBA_CACHE_DIR"):
        assert outcome() == "compiled"
    assert outcome() == "compiled" and not sign.exists()  # the test would fail at a second warning


@posix
@each("change", [*WAYS, writable_by_its_group])
def test_a_file_that_another_user_can_write_is_not_loaded_but_replaced(change, trap):
    file, sign = trap
    change(file)
    assert [outcome(), outcome()] == ["compiled", "loaded"] and not sign.exists()


@posix
@each("above", [1, 2])
def test_a_folder_of_numbanet_in_which_another_user_can_make_files_is_not_used(above, trap):
    file, sign = trap
    sticky(file.parents[above - 1])
    with pytest.warns(RuntimeWarning, match="can write"):
        assert outcome() == "compiled" and not sign.exists()


@posix
def test_in_a_sticky_folder_the_own_folder_is_used(base):
    base.mkdir()
    sticky(base)
    filled()
    assert outcome() == "loaded"


@as_root
def test_another_user_cannot_take_the_place_first(base):
    base.mkdir()
    sticky(base)
    with unprivileged():
        (base / "numbanet").mkdir()
    with pytest.warns(RuntimeWarning, match="can write"):
        assert outcome() == "compiled"
    assert not list((base / "numbanet").iterdir())


@as_root
def test_files_of_root_serve_another_user():
    filled()
    with unprivileged():
        folder.cache_folder.cache_clear()
        assert outcome() == "loaded"


@as_root
def test_a_private_group_may_write(base):
    """Many systems create a group for each user, and let members of the group write all files of the user."""
    base.mkdir(mode=0o775)
    base.chmod(0o775)
    filled()
    assert outcome() == "loaded"


@posix
@each("mask", [0o000, 0o002, 0o077])
def test_the_umask_lets_no_other_user_write(mask):
    before = os.umask(mask)
    try:
        file = filled()
    finally:
        os.umask(before)
    assert all(not path.stat().st_mode & 0o022 for path in (file, *file.parents[:4]))
    assert outcome() == "loaded"


# The folder


@each("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_relative_path_puts_nothing_into_the_working_folder(variable, base, monkeypatch):
    base.mkdir()
    monkeypatch.chdir(base)
    if variable == "NUMBA_CACHE_DIR":
        use("relative", monkeypatch)
    else:
        use("", monkeypatch)
        monkeypatch.setenv(variable, "relative")
    with pytest.warns(RuntimeWarning, match="relative is a relative path"):
        assert outcome() == "compiled"
    assert outcome() == "compiled" and not list(base.iterdir())


def test_the_next_folder_is_taken_if_one_cannot_be_used(base, monkeypatch):
    base.write_text("a file in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(base.parent / "next"))
    assert [outcome(), outcome()] == ["compiled", "loaded"]
    assert folder.cache_folder().parents[1] == base.parent / "next"


@posix
def test_an_unreadable_folder_is_passed_over(base, monkeypatch):
    place = filled().parent
    monkeypatch.setenv("XDG_CACHE_HOME", str(base.parent / "next"))
    (base.parent / "next").mkdir()
    if ROOT:
        os.chown(base.parent / "next", NOBODY, NOBODY)
    place.chmod(0)
    with unprivileged():
        folder.cache_folder.cache_clear()
        assert [outcome(), outcome()] == ["compiled", "loaded"]
        assert folder.cache_folder().parents[1] == base.parent / "next"
    place.chmod(0o755)


@each("count, removed", [(folder.KEPT + 3, 3), (3, 0)])
def test_folders_that_other_versions_used_long_ago_are_removed(count, removed, base):
    """The test creates one folder for each age in days, a very old folder, and a folder that no version of numbanet created."""
    others = [base / "numbanet" / f"{days:016x}" for days in range(count)]
    ancient, notes = base / "numbanet" / ("f00d" * 4), base / "numbanet" / "notes"
    for days, place in [*enumerate(others), (1000, ancient), (1000, notes)]:
        place.mkdir(parents=True)
        (place / "code.nbc").touch()
        os.utime(place, (time.time() - days * 86_400,) * 2)
    own = folder.cache_folder()
    assert set(own.parent.iterdir()) == {own, notes, *others[: count - removed]}


def test_a_folder_in_use_is_not_old():
    own = folder.cache_folder()
    os.utime(own, (0, 0))
    folder.cache_folder.cache_clear()
    assert folder.cache_folder() == own and own.stat().st_mtime > time.time() - 60


@each("ending", [".py", ".pyc"])
def test_each_version_has_a_folder_of_its_own(ending, base):
    (base / "room").mkdir(parents=True)
    module = (base / "room" / "formulas").with_suffix(ending)
    stamps = set()
    for content in ("a = 1", "a = 2"):
        module.write_text(content)
        stamps.add(folder._stamp(base))
    assert len(stamps) == 2
    module.unlink()
    assert folder._stamp(base) is None


def test_an_installation_without_sources_imports_compiles_and_loads(base):
    target = base.parent / "site" / "numbanet"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for source in PACKAGE.rglob("*.py"):
        compiled = target / source.relative_to(PACKAGE).with_suffix(".pyc")
        present = importlib.util.cache_from_source(str(source))
        if os.path.exists(present):
            shutil.copyfile(present, compiled)
        else:
            py_compile.compile(str(source), str(compiled), doraise=True)
    script = (
        "import numbanet; from numbanet.equations import relu; from numbanet._compile import folder, njit\n"
        "again = njit(relu.py_func); print(relu(2.0), again(2.0), len(again.stats.cache_hits), folder.cache_folder())\n"
        "print(numbanet.__file__)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(base), "PYTHONPATH": str(target.parent)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=base.parent, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *results, place, imported = done.stdout.split()
    assert results == ["2.0", "2.0", "1"] and Path(place).parents[1] == base and imported == str(target / "__init__.pyc")
