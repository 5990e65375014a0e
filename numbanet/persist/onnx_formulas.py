"""The activations of `numbanet.equations.beyond` as nodes of an ONNX graph.

ONNX Runtime computes Erf in float32 only; it computes all other operators of the nodes in float32 and in float64.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet.equations.beyond import SELU_LAMBDA, SELU_PRODUCT
from numbanet.persist.onnx_table import Node

Step = tuple[str | int | float, ...]

_SOFTPLUS: list[Step] = [("Abs", "z"), ("Neg", 0), ("Exp", 1), ("Add", 2, 1.0), ("Log", 3), ("Max", "z", 0.0), ("Add", 4, 5)]
# Step 2 is e^z - 1 for z <= 0, and step 3 is z for z > 0.
_BELOW_AND_ABOVE: list[Step] = [
    ("Min", "z", 0.0),
    ("Exp", 0),
    ("Sub", 1, 1.0),
    ("Max", "z", 0.0),
]
# The steps that compute each activation. A step is an operator and its operands: "z", the number of an earlier step (an int),
# or a constant (a float). The result of the last step is the activation a.
STEPS: dict[str, list[Step]] = {
    "silu": [("Sigmoid", "z"), ("Mul", "z", 0)],
    "gelu": [("Div", "z", math.sqrt(2)), ("Erf", 0), ("Add", 1, 1.0), ("Mul", "z", 2), ("Div", 3, 2.0)],
    "gelu_tanh": [
        *[("Mul", "z", "z"), ("Mul", 0, 0.044715), ("Add", 1, 1.0), ("Mul", "z", 2), ("Mul", 3, math.sqrt(8 / math.pi))],
        *[("Sigmoid", 4), ("Mul", "z", 5)],
    ],
    "elu": [*_BELOW_AND_ABOVE, ("Add", 2, 3)],
    "selu": [*_BELOW_AND_ABOVE, ("Mul", 2, SELU_PRODUCT), ("Mul", 3, SELU_LAMBDA), ("Add", 4, 5)],
    "mish": [*_SOFTPLUS, ("Tanh", 6), ("Mul", "z", 7)],
    "hard_sigmoid": [("Add", "z", 3.0), ("Div", 0, 6.0), ("Max", 1, 0.0), ("Min", 2, 1.0)],
    "softsign": [("Abs", "z"), ("Add", 0, 1.0), ("Div", "z", 1)],
    "exponential": [("Exp", "z")],
    "softplus": _SOFTPLUS,
}


def nodes(name: str, z: str, a: str, layer: str) -> list[Node]:
    """Returns the nodes that compute the activation `name` from the tensor z; the last node writes the tensor a."""
    steps = STEPS[name]
    results = [f"{layer}.{name}.{k}" for k in range(1, len(steps))] + [a]

    def tensor(operand: str | int | float) -> str:
        return z if operand == "z" else results[operand] if isinstance(operand, int) else _name(operand)

    return [
        (str(operator), list(map(tensor, operands)), [result], f"{layer}.{name}.{k}", {})
        for k, ((operator, *operands), result) in enumerate(zip(steps, results, strict=True), start=1)
    ]


def constants(name: str, dtype: np.dtype) -> dict[str, NDArray[Any]]:
    """Returns the constants in the nodes of the activation `name`, as a dict from tensor names to arrays."""
    numbers = {operand for _, *operands in STEPS[name] for operand in operands if isinstance(operand, float)}
    return {_name(number): np.full(1, number, dtype) for number in sorted(numbers)}


def _name(number: Any) -> str:
    return f"constant {number!r}"
