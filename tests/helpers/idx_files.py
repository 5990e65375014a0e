"""Writes IDX files value by value, as the description of the format demands, independently of numbanet's own code."""

import gzip
import struct

# Maps the NumPy name of a type to the type's code in an IDX file and to its format letter in the module struct.
TYPES = {"uint8": (0x08, "B"), "int8": (0x09, "b"), "int16": (0x0B, "h"), "int32": (0x0C, "i"), "float32": (0x0D, "f"),
         "float64": (0x0E, "d")}  # fmt: skip


def idx(kind, shape, values) -> bytes:
    code, letter = TYPES[kind]
    header = bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape)
    return header + b"".join(struct.pack(f">{letter}", value) for value in values)


def write_fashion_mnist(folder, train=40, test=20, zipped=True):
    """Writes the four files of a tiny data set in the format of Fashion-MNIST.

    In an image of class c, the pixels of row c are 255, and all other pixels are 0.
    """
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
