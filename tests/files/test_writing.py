"""Saving replaces a file completely or not at all; links, devices, pipes and file objects are written in place."""

import errno
import io
import itertools
import os
import stat
import threading

import pytest

import numbanet
from numbanet import files
from numbanet.files import writing
from tests.helpers.engines import each

as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do this")
on_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has neither pipes in folders nor modes of files")


@pytest.fixture
def net():
    return numbanet.Network([3, 4, 2], ["leaky_relu", "softmax"], "cce", seed=5, epsilon=0.03)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.write_bytes(b"old")
    return path


def write(target, content=b"whole"):
    with files.replacing(target) as file:
        file.write(content)


def test_a_file_is_replaced_only_after_success(target):
    with files.replacing(target) as file:
        file.write(b"whole")
        file.flush()
        assert target.read_bytes() == b"old"
    with pytest.raises(KeyboardInterrupt), files.replacing(target) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"whole" and os.listdir(target.parent) == ["target"]


@each("chain", [1, 3])
def test_a_link_is_followed_and_stays(chain, net, tmp_path):
    (tmp_path / "volume").mkdir()
    names = ["volume/run.npz", *(f"link{k}" for k in range(chain))]
    for old, new in itertools.pairwise(names):
        (tmp_path / new).symlink_to(old)
    for _ in range(2):  # in the first iteration, the file does not exist
        net.save(tmp_path / names[-1])
        assert (tmp_path / names[-1]).is_symlink() and numbanet.Network.load(tmp_path / names[0]).sizes == net.sizes
    assert os.listdir(tmp_path / "volume") == ["run.npz"]


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for attempt in (write, files.refuse_unwritable):
        with pytest.raises(OSError, match=f"{tmp_path}"):
            attempt(tmp_path / "a")


@on_posix
def test_a_pipe_gets_the_content_and_stays(net, tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe.npz")
    files.refuse_unwritable(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(numbanet.Network.load(pipe)))
    reader.start()
    net.save(pipe)
    reader.join(60)
    assert stat.S_ISFIFO(pipe.lstat().st_mode) and found[0].sizes == net.sizes


@on_posix
def test_a_training_cannot_resume_from_a_pipe(net, tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match=r"checkpoint .*pipe.npz is a device or a pipe"):
        net.fit([[0, 1, 2]], [1], epochs=1, checkpoint=tmp_path / "pipe.npz", verbose=0)


@as_root
def test_a_device_stays(net, tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        device.write_bytes(b"")
    except OSError:
        pytest.skip("devices cannot be made here")
    files.refuse_unwritable(device)
    net.save(device)
    assert stat.S_ISCHR(device.lstat().st_mode)


@each("folder", ["/dev/fd", "/proc/self/fd"])
@each("to", ["file", "pipe"])
def test_open_files_by_number_are_written_at_their_position(folder, to, tmp_path):
    """For example, /dev/stdout is a link to the file /dev/fd/1, which stands for the open file number 1."""
    if not os.path.isdir(folder):
        pytest.skip(f"{folder} does not exist here")
    end, handle = os.pipe() if to == "pipe" else (None, os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT))
    (tmp_path / "link").symlink_to(f"{folder}/{handle}")
    os.write(handle, b"one ")
    files.refuse_unwritable(tmp_path / "link")
    write(tmp_path / "link", b"two ")
    os.write(handle, b"three")
    os.close(handle)
    if end is None:
        assert (tmp_path / "out").read_bytes() == b"one two three"
    else:
        assert os.read(end, 100) == b"one two three"
        os.close(end)
    assert set(os.listdir(tmp_path)) <= {"link", "out"}


def test_hard_links_get_the_new_content(target):
    os.link(target, other := target.with_name("other"))
    write(target)
    assert other.read_bytes() == b"whole" and other.stat().st_nlink == 2


@on_posix
@each("mode", [0o600, 0o666, 0o751])
def test_the_permissions_of_a_file_survive(mode, target):
    target.chmod(mode)
    write(target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@on_posix
def test_a_new_file_has_the_permissions_that_the_system_gives_it(tmp_path):
    write(tmp_path / "new")
    (tmp_path / "plain").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


@as_root
def test_the_owner_of_a_file_survives(target):
    os.chown(target, 12345, 23456)
    write(target)
    assert (target.stat().st_uid, target.stat().st_gid) == (12345, 23456) and target.read_bytes() == b"whole"


@on_posix
def test_a_file_whose_owner_cannot_be_kept_is_written_in_place(target, monkeypatch):
    before = target.stat().st_ino
    monkeypatch.setattr(writing, "_keep", lambda *_: (_ for _ in ()).throw(PermissionError("not the owner")))
    write(target)
    assert target.read_bytes() == b"whole" and target.stat().st_ino == before and os.listdir(target.parent) == ["target"]


@each("attribute", ["user.origin"])
def test_extended_attributes_survive(attribute, target):
    try:
        os.setxattr(target, attribute, b"here")
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    write(target)
    assert os.getxattr(target, attribute) == b"here"


@each("error", [errno.EBUSY, errno.EXDEV, errno.EPERM])
def test_a_file_that_cannot_be_renamed_over_is_written_in_place(error, target, monkeypatch):
    """For example, a file that is mounted into a container cannot be replaced by giving its name to another file."""

    def replace(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "replace", replace)
    write(target)
    assert target.read_bytes() == b"whole" and os.listdir(target.parent) == ["target"]
    with pytest.raises(OSError):  # a new file could not be created
        write(target.with_name("new"))
    assert os.listdir(target.parent) == ["target"]


def refusing(path, *_):
    """A replacement for os.open that refuses to create files."""
    raise PermissionError(errno.EACCES, "Permission denied", path)


def test_a_file_in_a_folder_that_takes_no_new_file_is_written_in_place(target, monkeypatch):
    monkeypatch.setattr(os, "open", refusing)
    files.refuse_unwritable(target)
    write(target)
    assert target.read_bytes() == b"whole"
    for attempt in (write, files.refuse_unwritable):
        with pytest.raises(PermissionError, match=r"cannot write .*new: no file can be created in .*: Permission denied"):
            attempt(target.with_name("new"))


def test_unwritable_targets_are_refused_before_a_training(target, monkeypatch):
    long = target.with_name("n" * 300)
    for path, message in (
        (target.parent, "is a folder"),
        (f"{target.parent / 'new'}/", "is a folder"),
        (target.parent / "missing" / "net.npz", "folder .*missing does not exist"),
        (target / "net.npz", "target"),
        (long, "name too long|n{300}"),
    ):
        for attempt in (write, files.refuse_unwritable):
            with pytest.raises(OSError, match=message):
                attempt(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    for attempt in (write, files.refuse_unwritable):
        with pytest.raises(PermissionError, match=r"cannot write .*target: the file is write-protected"):
            attempt(target)
    assert target.read_bytes() == b"old" and os.listdir(target.parent) == ["target"]


@each("name", ["n" * 255, "ä" * 127])
def test_the_longest_names_can_be_written(name, tmp_path):
    for _ in range(2):
        files.refuse_unwritable(tmp_path / name)
        write(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


@on_posix
def test_the_next_write_deletes_the_files_of_killed_processes_only(target):
    """An unlocked temporary file belonged to a killed process, because a lock ends with the process that holds it."""
    target.with_name(".numbanet-0123456789abcdef.tmp").write_bytes(bytes(1000))
    with files.replacing(target.with_name("other")) as busy:
        busy.write(b"more")
        assert len(os.listdir(target.parent)) == 2
        target.with_name(".numbanet-0123456789abcdef.tmp").write_bytes(bytes(1000))
        write(target)
        assert len(os.listdir(target.parent)) == 2
    assert sorted(os.listdir(target.parent)) == ["other", "target"]
    assert target.with_name("other").read_bytes() == b"more"


def test_a_file_that_another_process_deletes_too_early_is_made_again(target, monkeypatch):
    """A temporary file that is created but not yet locked looks like the temporary file of a killed process."""
    pytest.importorskip("fcntl")
    flock, deleted = writing.fcntl.flock, []

    def interrupted(handle, operation):
        if not deleted:
            (name,) = (name for name in os.listdir(target.parent) if name != "target")
            os.unlink(target.parent / name)
            deleted.append(name)
        flock(handle, operation)

    monkeypatch.setattr(writing.fcntl, "flock", interrupted)
    write(target)
    assert deleted and target.read_bytes() == b"whole" and os.listdir(target.parent) == ["target"]


def test_other_hidden_files_are_left_alone(target):
    for name in (".numbanet-notes.tmp", ".target.abcdefgh", ".numbanet-0123456789abcdef.tmp.bak"):
        target.with_name(name).touch()
    write(target)
    assert len(os.listdir(target.parent)) == 4


# File objects


def test_a_file_object_holds_a_network(net):
    buffer = io.BytesIO()
    net.save(buffer)
    assert numbanet.Network.load(buffer).sizes == net.sizes  # loading works although the file position is at the end
    buffer.seek(0)
    loaded = numbanet.Network.load(buffer)
    assert repr(loaded) == repr(net) and (loaded.parameters()[0][0] == net.parameters()[0][0]).all()


@each("name", ["net.npz", "net.safetensors"])
def test_an_open_file_gets_the_format_of_its_name(name, net, tmp_path):
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    net.save(tmp_path / f"expected-{name}")
    with (tmp_path / name).open("wb") as file:
        file.write(b"before")
        net.save(file)
    assert (tmp_path / name).read_bytes() == b"before" + (tmp_path / f"expected-{name}").read_bytes()
    with (tmp_path / name).open("rb") as file:
        file.seek(6)
        assert numbanet.Network.load(file).sizes == net.sizes


def test_an_onnx_file_can_be_written_to_a_file_object(net, tmp_path):
    pytest.importorskip("onnx")
    net.export(tmp_path / "net.onnx")
    net.export(buffer := io.BytesIO())
    assert buffer.getvalue() == (tmp_path / "net.onnx").read_bytes()


def test_a_trace_can_be_written_to_a_file_object(net):
    net.trace([[0.0, 1.0, 2.0]], [1]).save(buffer := io.BytesIO())
    assert buffer.getvalue().startswith(b"PK")


class Slow(io.RawIOBase):
    """A raw (unbuffered) file object, whose method `write` may write fewer bytes than it receives."""

    def __init__(self):
        self.content = b""

    def writable(self):
        return True

    def write(self, part):
        self.content += bytes(part[:7])
        return min(7, len(part))


def test_a_raw_file_object_gets_all_bytes():
    write(slow := Slow(), bytes(range(100)))
    assert slow.content == bytes(range(100))


def test_a_failure_writes_nothing_to_a_file_object():
    buffer = io.BytesIO()
    with pytest.raises(KeyboardInterrupt), files.replacing(buffer) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert buffer.getvalue() == b""


@each("file", [io.StringIO(), 3, None, object()])
def test_what_is_no_binary_file_is_refused(file, net):
    for attempt in (net.save, numbanet.Network.load):
        with pytest.raises(TypeError, match=r"binary file object, not|opened as text"):
            attempt(file)


def test_a_damaged_file_object_is_refused_by_its_name(tmp_path):
    with pytest.raises(ValueError, match="the BytesIO object is damaged or not a numbanet model"):
        numbanet.Network.load(io.BytesIO(b"PK"))
    (tmp_path / "net.npz").write_bytes(b"PK")
    with (tmp_path / "net.npz").open("rb") as file, pytest.raises(ValueError, match=r"net\.npz is damaged"):
        numbanet.Network.load(file)
