"""Converts PyTorch tensors, sparse matrices, and arrays with dtypes that NumPy lacks, such as bfloat16, to NumPy arrays.

The module recognises tensors and sparse matrices by their methods, and does not import PyTorch or SciPy. The conversion to
NumPy arrays does not round values.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def is_sparse(value: Any) -> bool:
    """Returns True for an object with a method toarray or todense, such as a sparse matrix or sparse array of SciPy."""
    kind = type(value)
    return not issubclass(kind, np.ndarray) and (hasattr(kind, "toarray") or hasattr(kind, "todense"))


def is_tensor(value: Any) -> bool:
    """Returns True for a PyTorch tensor."""
    kind = type(value)
    return hasattr(kind, "detach") and hasattr(kind, "cpu")


def without_tensors(name: str, value: Any) -> Any:
    """Converts a PyTorch tensor, or each tensor in a list, to a NumPy array; returns any other value unchanged."""
    if is_tensor(value):
        return of_tensor(name, value)
    if isinstance(value, list | tuple) and len(value) and is_tensor(value[0]):
        return [without_tensors(name, item) for item in value]
    return value


def unpacked(pair: Any) -> Any:
    """Returns `pair`, such as the tuple (x, y); raises TypeError if `pair` is an array, a DataFrame or a dict."""
    if hasattr(pair, "shape") or isinstance(pair, Mapping):
        raise TypeError
    return pair


def of_tensor(name: str, tensor: Any) -> np.ndarray:
    """Returns a PyTorch tensor, without its gradient, as a NumPy array. A tensor on a GPU is copied to host memory.

    A tensor of bfloat16 or of an 8-bit float type is converted to float32, because NumPy does not have these types.

    Raises
    ------
    ValueError
        The tensor is on PyTorch's device "meta", whose tensors have no values.
    TypeError
        PyTorch cannot convert the tensor.
    """
    if str(tensor.device) == "meta":
        raise ValueError(f"{name} is on PyTorch's device meta, where tensors have no values: load or compute the values first")
    tensor = tensor.detach().cpu()
    try:
        if str(tensor.layout) != "torch.strided":
            tensor = tensor.to_dense()
        if str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8")):
            tensor = tensor.float()
        return tensor.resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{name} is a tensor with dtype {tensor.dtype} that cannot become a NumPy array: {error}") from None


def as_array(name: str, value: Any) -> np.ndarray:
    """Returns an array of any library, or a nested list, as a NumPy array of any dtype. A NumPy array is not copied.

    Raises
    ------
    ValueError
        The value is a nested list whose rows differ in length, or a tensor on PyTorch's device "meta", which has no values.
    TypeError
        The value is a structured array, or its library cannot convert it to a NumPy array.
    MemoryError
        The value is a sparse matrix whose dense form does not fit in memory.
    """
    value = without_tensors(name, value)
    try:
        if is_sparse(value):
            value = value.toarray() if hasattr(value, "toarray") else value.todense()
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from None
    except MemoryError as error:
        raise MemoryError(f"{name} of shape {value.shape} is too large as a dense array: pass it in batches. {error}") from None
    except Exception as error:  # the conversion is code of another library, which may raise any exception
        raise TypeError(f"{name} is of type {type(value).__name__} and cannot become a NumPy array: {error}") from None
    if array.dtype.type.__module__ == "ml_dtypes":  # NumPy's functions do not support its dtypes, such as bfloat16
        return array.astype(np.int64 if "int" in array.dtype.name else np.float32)
    if array.dtype.names is not None:
        raise TypeError(
            f"{name} is a structured array with the fields {', '.join(array.dtype.names)}: if all fields are numbers, "
            "numpy.lib.recfunctions.structured_to_unstructured converts it"
        )
    return array
