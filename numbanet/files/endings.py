"""Refuses file names with the ending of another format, such as the name net.pt for an NPZ file."""

from collections.abc import Collection

from numbanet.files.names import Location, name_of, suffix_of

# The endings of each file format. The name of a file of any format may have an ending that is not listed, such as .v2 or .tmp.
ENDINGS = {
    "ONNX": (".onnx",),
    "Keras": (".keras", ".h5", ".hdf5"),
    "PyTorch": (".pt", ".pth"),
    "pickle": (".pkl", ".pickle", ".joblib"),
    "NumPy": (".npz", ".npy"),
    "safetensors": (".safetensors",),
    "text": (".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".xml", ".md"),
    "Parquet": (".parquet", ".pq"),
    "Excel": (".xlsx", ".xls"),
}
FORMATS = {ending: kind for kind, endings in ENDINGS.items() for ending in endings}


def refuse_other_ending(target: Location, own: Collection[str], remedy: str) -> None:
    """Raises ValueError if the name of the file to write has an ending, such as .pt, that belongs to another format.

    The endings of other formats are those in the constant `ENDINGS` that `own` does not contain.

    Parameters
    ----------
    target : path or binary file object
    own : collection of str
        The endings that fit the content of the file, such as ".npz".
    remedy : str
        The end of the error message, which says what to do.
    """
    if (suffix := suffix_of(target)) in FORMATS and suffix not in own:
        raise ValueError(f"cannot write {name_of(target)!r}: {suffix} is an ending of {FORMATS[suffix]} files; {remedy}")
