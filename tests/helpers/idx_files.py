"""Writes IDX files value by value, after the format's description, with none of the code that reads them."""

import gzip
import struct

# name of the type in NumPy: its code in the file, its letter in struct
TYPES = {"uint8": (0x08, "B"), "int8": (0x09, "b"), "int16": (0x0B, "h"), "int32": (0x0C, "i"), "float32": (0x0D, "f"),
         "float64": (0x0E, "d")}  # fmt: skip


def idx(kind, shape, values) -> bytes:
    code, letter = TYPES[kind]
    header = bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape)
    return header + b"".join(struct.pack(f">{letter}", value) for value in values)


def write_fashion_mnist(folder, train=40, test=20, zipped=True):
    """Four files of tiny data: class c is an image whose row c is bright."""
    for part, count in (("train", train), ("t10k", test)):
        labels = [(7 * s) % 10 for s in range(count)]
        pixels = [255 if place // 28 == label else 0 for label in labels for place in range(784)]
        for name, content in (
            (f"{part}-images-idx3-ubyte", idx("uint8", (count, 28, 28), pixels)),
            (f"{part}-labels-idx1-ubyte", idx("uint8", (count,), labels)),
        ):
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
