"""Names for the columns of tables of integers, which kernels read by position."""

from enum import IntEnum


class Columns(IntEnum):
    """A table's columns: each `auto()` is the next position, counted from 0. Kernels take a member as the constant it is."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count
