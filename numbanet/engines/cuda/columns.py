"""Defines the base class of enumerations that name the columns of integer tables.

CUDA kernels read tables of integers (two-dimensional arrays) by column index.
"""

from enum import IntEnum


class Columns(IntEnum):
    """Base class of enumerations that name the columns of an integer array.

    Members that are defined with `auto()` stand for the columns 0, 1, 2, ..., in the order of their definition. In a kernel,
    each member is compiled to its integer value, as a constant.
    """

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count
