"""Saves networks without pickle: a JSON description, parameters and moments in NPZ or safetensors files. Exports ONNX files."""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import inputs
from numbanet.files import Location, is_file_object, name_of, reading, refuse_other_ending, replacing, suffix_of
from numbanet.files.tensors import safetensors_package
from numbanet.persist import npz_file, onnx_file, safetensors_file
from numbanet.persist.description import Description as Description
from numbanet.persist.description import Formulas
from numbanet.training.model import RESTORE

# The ends of error messages about files of other programs, by suffix.
HINTS: dict[str, str] = {
    **dict.fromkeys((".keras", ".h5"), "; to import a Keras model, call numbanet.from_keras"),
    **dict.fromkeys((".pt", ".pth", ".bin"), "; to import PyTorch weights, call numbanet.from_torch"),
    **dict.fromkeys((".csv", ".tsv", ".parquet"), "; the commands take the model first and then the data"),
    ".onnx": "; numbanet writes ONNX files, but cannot load them",
}


ENDINGS = (".npz", ".safetensors")
# The ends of error messages about a file to write, by the suffixes of other formats; the key "" stands for all other suffixes.
TO_WRITE: dict[str, str] = {
    "": "export writes .onnx files for other programs",
    ".onnx": "export writes .onnx files",
    **dict.fromkeys((".pt", ".pth"), "torch.save writes .pt files, for instance of numbanet.to_torch(net).state_dict()"),
}


def container(target: Location) -> ModuleType:
    """Returns the module that writes the target's format: safetensors for the suffix .safetensors, otherwise NPZ.

    Raises
    ------
    ValueError
        The suffix belongs to another format; `numbanet.files.endings.ENDINGS` lists the suffixes of other formats.
    """
    suffix = suffix_of(target)
    others = TO_WRITE.get(suffix, TO_WRITE[""])
    refuse_other_ending(target, ENDINGS, f"save writes {' and '.join(ENDINGS)} files; {others}")
    if suffix == ".safetensors":
        safetensors_package()
        return safetensors_file
    return npz_file


def save(target: Location, description: Description, vectors: dict[str, NDArray[Any]]) -> None:
    """Writes a network's description, parameters and optimizer moments to a file object or path; replaces an existing file."""
    write = container(target).write
    _refuse_not_finite("save", vectors["parameters"], description)
    # The format safetensors has no byte order, and the package safetensors writes wrong values for arrays that are not
    # contiguous.
    vectors = {name: np.ascontiguousarray(vectors[name], description.topology.dtype) for name in description.vectors}
    with replacing(target) as file:
        write(file, description, vectors)


def export(target: Location, description: Description, parameters: NDArray[Any]) -> None:
    """Writes a network as an ONNX model that computes predictions; if `target` is a path, it must end in .onnx."""
    if suffix_of(target) != ".onnx" and not is_file_object(target, "write"):
        others = " and ".join(ENDINGS)
        raise ValueError(f"cannot export {name_of(target)!r}: the name must end in .onnx; save writes {others} files")
    _refuse_not_finite("export", parameters, description)
    content = onnx_file.serialized(description, parameters)
    with replacing(target) as file:
        file.write(content)


def _refuse_not_finite(call: str, parameters: NDArray[Any], description: Description) -> None:
    if wrong := inputs.first_wrong_parameter(parameters, description.topology):
        raise FloatingPointError(f"cannot {call} a network whose parameters are not all finite: {wrong}; {RESTORE}")


def load(source: Location, own: Formulas = ()) -> tuple[Description, dict[str, NDArray[Any]]]:
    """Reads a network's description, parameters and optimizer moments from an NPZ or safetensors file with any name.

    `own` contains the formulas that users wrote and that the network may use.

    Raises
    ------
    ValueError
        The file is damaged or not a numbanet model, a parameter is infinite or NaN, or the network uses a formula that `own`
        does not contain.
    OSError
        The file cannot be opened.
    """
    hint = HINTS.get(suffix_of(source), "")
    with reading(source, f"{{}} is damaged or not a numbanet model: {{}}{hint}") as file:
        start = file.read(9)
        file.seek(0)
        if start[8:] == b"{":
            description, vectors = safetensors_file.read(file, own)
        elif start.startswith(b"PK"):
            description, vectors = npz_file.read(file, own)
        else:
            raise ValueError("the file is neither an NPZ file nor a safetensors file")
    for name in {"parameters", "best"} & vectors.keys():  # moments may be infinite: adam then makes no further update
        if wrong := inputs.first_wrong_parameter(vectors[name], description.topology):
            raise ValueError(f"{name_of(source)} contains a network whose parameters are not all finite: {wrong}")
    return description, vectors
