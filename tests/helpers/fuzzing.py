"""Damages files of every kind that numbanet reads, and checks that each reader returns a result or raises a ValueError.

`python -m tests.helpers.fuzzing --count 50000` reads 50,000 damaged files in processes with limits of time and memory, and
prints the files for which a reader neither returns a result nor raises a ValueError. `--kind KIND --first N --keep FILE` writes
the damaged file with the number N to FILE. The tests read only a few damaged files.
"""

import argparse
import collections
import contextlib
import functools
import gzip
import io
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numbanet import Network, from_keras, from_torch, load_fashion_mnist, persist, read_idx, tables
from numbanet.persist import models
from tests.helpers.idx_files import idx, write_fashion_mnist

FILES = Path(__file__).resolve().parents[1] / "files"
SECONDS, BYTES = 5, 1 << 30  # the largest time and memory for reading one file
INTEGERS = (0, 1, -1, 2, 255, 65536, 2**31 - 1, 2**31, 2**32, 10**9, 3 * 10**8, 10**12, 2**63 - 1, 2**63, 10**40)
TEXTS = ("null", "true", "NaN", "Infinity", "1e400", "-0.0", '""', "[]", "{}", "1e-320", "\u0661", "0x10")
NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class Kind(NamedTuple):
    """A kind of file: its name, the contents of some undamaged files, and the function that reads such a file."""

    name: str
    contents: list[bytes]
    read: Callable[[Path], Any]


# Whole files


def saved(save: Callable[[Path], Any], name: str) -> bytes:
    """Calls `save`, which writes a file with the given name, and returns the content of the file."""
    with tempfile.TemporaryDirectory() as folder:
        save(path := Path(folder) / name)
        return path.read_bytes()


def networks(suffix: str) -> list[bytes]:
    """Returns the contents of files: two networks, a network trained on a table, and a checkpoint."""
    net = Network([3, 4, 2], ["leaky_relu", "softmax"], "cce", seed=5)
    column = Network([5, 1], "identity", "mse", seed=5, dtype="float64")
    table = "a,b,y\n" + "".join(f"{k}.5,{'uvw'[k % 3]},{'no' if k % 2 else 'yes'}\n" for k in range(9))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_text(table)
        encoding = tables.learn(tables.read(Path(folder) / "t.csv"), "y")
    of_table = Network([encoding.width, 3, 2], "relu", "cce", seed=5)
    of_table.table = encoding
    state = {"conditions": {"batch_size": 2}, "epoch": [1, 2], "history": {"loss": [1.0, 0.5]}, "best_epoch": 2}
    description = models.description_of(net._model, state)
    vectors = {"parameters": net._model.engine.read(), "best": net._model.engine.read()}
    return [
        *(saved(each.save, f"net{suffix}") for each in (net, column, of_table)),
        saved(lambda path: persist.save(path, description, vectors), f"net{suffix}"),
    ]


def arrays() -> list[bytes]:
    """Returns the contents of two NPZ files with samples, one without and one with compression."""
    x, y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 1, 0])
    return [
        saved(lambda path: np.savez(path, x=x, y=y), "x.npz"),
        saved(lambda path: np.savez_compressed(path, x=x.astype("u1"), y=np.array(["no", "yes", "yes", "no"])), "x.npz"),
    ]


def parquet() -> list[bytes]:
    """Returns the contents of two Parquet files with numbers, texts, booleans and missing values."""
    pyarrow, parquet = __import__("pyarrow"), __import__("pyarrow.parquet").parquet
    table = pyarrow.table({"a": [1, 2, None], "b": ["u", None, "w"], "c": [True, False, True], "d": [0.5, 1.5, -2.5]})
    return [
        saved(lambda path, c=compression: parquet.write_table(table, path, compression=c), "t.parquet")
        for compression in ("none", "snappy")
    ]


TABLE = 'a,b,y\n1.5,"u, v",yes\n-2,,no\n1e3,w,yes\n'
IDX = idx("uint8", (3, 2, 2), range(12))


def read_fashion_mnist(path: Path) -> Any:
    """Reads Fashion-MNIST from a folder in which one of the four files is the damaged file `path`."""
    with tempfile.TemporaryDirectory() as folder:
        write_fashion_mnist(Path(folder), 3, 2, zipped=False)
        (damaged := Path(folder) / "t10k-images-idx3-ubyte").write_bytes(path.read_bytes())
        try:
            return load_fashion_mnist(folder)
        except ValueError as error:
            raise ValueError(str(error).replace(str(damaged), str(path))) from None


def kinds() -> dict[str, Kind]:
    """Returns, by name, the kinds of files that numbanet can read with the installed packages."""
    found = [
        Kind("net.npz", networks(".npz"), Network.load),
        Kind("data.idx", [IDX, gzip.compress(IDX, mtime=0), idx("float64", (2, 2), range(4))], read_idx),
        Kind("images.idx", [idx("uint8", (2, 28, 28), [9] * 1568)], read_fashion_mnist),
        Kind("table.csv", [TABLE.encode(), TABLE.replace(",", ";").encode(), b"\xef\xbb\xbf" + TABLE.encode()], tables.read),
        Kind("data.npz", arrays(), tables.read),
        Kind("data.npy", [saved(lambda path: np.save(path, np.eye(3)), "x.npy")], tables.read),
        Kind("table-idx", [IDX, gzip.compress(IDX, mtime=0)], tables.read),
    ]
    of_torch = functools.partial(from_torch, loss="cce", activations="tanh")
    with contextlib.suppress(ModuleNotFoundError):
        found.append(Kind("net.safetensors", networks(".safetensors"), Network.load))
        found.append(Kind("torch.safetensors", [(FILES / "torch.safetensors").read_bytes()], of_torch))
    with contextlib.suppress(ModuleNotFoundError):
        __import__("torch")
        found.append(Kind("torch.pt", [(FILES / "torch.pt").read_bytes()], of_torch))
    with contextlib.suppress(ModuleNotFoundError):
        __import__("h5py")
        models_of_keras = [(FILES / name).read_bytes() for name in ("sequential.keras", "functional.keras")]
        found.append(Kind("net.keras", models_of_keras, functools.partial(from_keras, loss="sse")))
        of_weights = functools.partial(from_keras, loss="cce", activations="tanh")
        found.append(Kind("net.weights.h5", [(FILES / "sequential.weights.h5").read_bytes()], of_weights))
    with contextlib.suppress(ModuleNotFoundError):
        found.append(Kind("table.parquet", parquet(), tables.read))
    return {kind.name: kind for kind in found}


# Damage


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Damages a file: often only an archive's members or a JSON header, with correct checksums and lengths; else any bytes."""
    if chance.random() < 0.7:
        with contextlib.suppress(zipfile.BadZipFile, EOFError, OSError):
            if content.startswith(b"PK"):
                return rezipped(content, chance)
            if content.startswith(b"\x1f\x8b"):
                return gzip.compress(altered(gzip.decompress(content), chance), mtime=0)
        if content[8:9] == b"{":
            end = 8 + int.from_bytes(content[:8], "little")
            header = altered(content[8:end], chance)
            return len(header).to_bytes(8, "little") + header + content[end:]
    return altered(content, chance)


def rezipped(content: bytes, chance: random.Random) -> bytes:
    """Writes a ZIP archive again, compressed or not, with one member damaged, and sometimes renamed or removed."""
    stored = io.BytesIO()
    methods = [zipfile.ZIP_STORED] * 5 + [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stored, "w", chance.choice(methods)) as new:
        names = old.namelist()
        chosen = chance.choice(names)
        for name in names:
            member = old.read(name)
            if name == chosen:
                member = inflated(member, chance) if chance.random() < 0.02 else altered(member, chance)
                if chance.random() < 0.05:
                    continue
                # The module zipfile cuts a name at the first NUL character, and cannot write an empty name.
                if chance.random() >= 0.95:
                    name = altered(name.encode(), chance).decode("latin-1").lstrip("\0") or "x"
            new.writestr(name, member)
    return altered(stored.getvalue(), chance) if chance.random() < 0.05 else stored.getvalue()


def inflated(member: bytes, chance: random.Random) -> bytes:
    """Appends up to 64 million zero bytes, which an archive compresses to a few kilobytes."""
    return member + bytes(chance.choice((1 << 20, 1 << 24, 1 << 26)))


def altered(content: bytes, chance: random.Random) -> bytes:
    """Applies one, two or four random changes to the content."""
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(CHANGES)(content, chance)
    return bytes(content)


def place(content: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(content) + 1)


def part(content: bytearray, chance: random.Random) -> slice:
    start = place(content, chance)
    return slice(start, start + chance.choice((1, 2, 4, 8, 64, 512)))


def flip(content: bytearray, chance: random.Random) -> None:
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def set_byte(content: bytearray, chance: random.Random) -> None:
    if content:
        content[chance.randrange(len(content))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def set_integer(content: bytearray, chance: random.Random) -> None:
    size = chance.choice((2, 4, 8))
    start = place(content, chance)
    value = chance.choice(INTEGERS) % (1 << 8 * size)
    content[start : start + size] = value.to_bytes(size, chance.choice(("little", "big")))


def cut(content: bytearray, chance: random.Random) -> None:
    del content[place(content, chance) :]


def remove(content: bytearray, chance: random.Random) -> None:
    del content[part(content, chance)]


def repeat(content: bytearray, chance: random.Random) -> None:
    start = place(content, chance)
    content[start:start] = content[part(content, chance)] * chance.choice((1, 1, 2, 100))


def insert(content: bytearray, chance: random.Random) -> None:
    start = place(content, chance)
    content[start:start] = chance.randbytes(chance.choice((1, 4, 32)))


def move(content: bytearray, chance: random.Random) -> None:
    where = part(content, chance)
    taken = content[where]
    del content[where]
    start = place(content, chance)
    content[start:start] = taken


def set_number(content: bytearray, chance: random.Random) -> None:
    """Changes a number that is written as text, as in JSON, CSV and the headers of NPY files."""
    if found := list(NUMBER.finditer(content[: 1 << 16])):
        match = chance.choice(found)
        text = chance.choice(TEXTS) if chance.random() < 0.3 else str(chance.choice(INTEGERS))
        content[match.start() : match.end()] = text.encode()


def set_text(content: bytearray, chance: random.Random) -> None:
    """Changes a word, such as a name in JSON."""
    if found := list(re.finditer(rb"\w{3,}", content[: 1 << 16])):
        match = chance.choice(found)
        content[match.start() : match.end()] = chance.choice((chance.choice(found)[0], b"", b"x", b"softmax", b"\xff"))


CHANGES = (flip, flip, set_byte, set_integer, cut, remove, repeat, insert, move, set_number, set_number, set_number, set_text)


# Reading


class TooSlow(BaseException):
    """The exception that ends the reading of a file after the time limit.

    TooSlow is no subclass of Exception, so that readers of files do not catch TooSlow.
    """


def too_slow(*_: Any) -> None:
    raise TooSlow


def content_of(kind: Kind, number: int) -> bytes:
    """Returns the content of the damaged file with the given number, which is the same in every run."""
    chance = random.Random(f"{kind.name} {number}")
    return damaged(chance.choice(kind.contents), chance)


def fault(kind: Kind, number: int, folder: Path) -> str | None:
    """Reads the damaged file with the given number; returns what the reader does wrong, or None if all is right."""
    path = folder / f"{number}-{kind.name}"
    path.write_bytes(content_of(kind, number))
    before = signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        kind.read(path)
    except ValueError as error:
        message = str(error)
        if path.name not in message:
            return f"the message does not name the file: {message}"
        if "MemoryError" in message:
            return f"memory was claimed: {message}"
    except TooSlow:
        return f"took more than {SECONDS} s"
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__name__}: {error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return f"a panic, {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        path.unlink()
    return None


def limited_faults(kind: Kind, numbers: range, sent: Any) -> None:
    """Limits the memory of this process, reads damaged files, and sends each file's number and fault to the parent process."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            sent.send((number, fault(kind, number, Path(folder))))


def faults(kind: Kind, first: int, count: int) -> Iterator[tuple[int, str]]:
    """Reads damaged files in separate processes; yields the number and the fault of each file that is not read correctly."""
    number, end = first, first + count
    while number < end:
        received, sent = multiprocessing.get_context("fork").Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=limited_faults, args=(kind, range(number, end), sent))
        process.start()
        sent.close()
        with contextlib.suppress(EOFError):
            while number < end:
                if not received.poll(4 * SECONDS):
                    break
                number, found = received.recv()
                number += 1
                if found:
                    yield number - 1, found
        if number < end:
            process.kill()
            process.join()
            ended = "hung within a library" if process.exitcode == -signal.SIGKILL else f"ended the process: {process.exitcode}"
            yield number, ended
            number += 1
        process.join()


def main() -> int:
    """Reads the damaged files that the command line selects; prints one line for each fault and one for each kind of file."""
    known = kinds()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="number of files, of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="number of the first file of each kind")
    parser.add_argument("--kind", choices=known, action="append", help="kind of file; may be repeated (default: all)")
    parser.add_argument("--keep", metavar="FILE", help="write the first damaged file instead of reading it")
    options = parser.parse_args()
    chosen = [known[name] for name in options.kind or known]
    if options.keep:
        Path(options.keep).write_bytes(content_of(chosen[0], options.first))
        return 0
    share, failed = -(-options.count // len(chosen)), 0
    for kind in chosen:
        start, found = time.perf_counter(), collections.Counter()
        for number, message in faults(kind, options.first, share):
            found[re.sub(r"\d+", "N", message)[:60]] += 1
            print(json.dumps({"kind": kind.name, "number": number, "fault": message[:300]}), flush=True)
        failed += found.total()
        seconds = time.perf_counter() - start
        print(f"{kind.name}: {share} files, {found.total()} faults, {seconds:.0f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
