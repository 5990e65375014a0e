"""Hypothesis strategies for values that tests draw by the hundred."""

from hypothesis import strategies as st


def lists_of(values: st.SearchStrategy, size: int = 20) -> st.SearchStrategy:
    """Returns a strategy for lists of `size` values: Hypothesis takes about as long for an example as for drawing 20 values."""
    return st.lists(values, min_size=size, max_size=size)
