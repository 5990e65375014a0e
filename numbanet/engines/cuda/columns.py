"""Gives names to the columns of integer tables, which kernels read by column index."""

from enum import IntEnum


class Columns(IntEnum):
    """Base class for the names of a table's columns: each `auto()` becomes the next column index, counted from 0.

    Kernels take a member of a subclass as an integer constant.
    """

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count
