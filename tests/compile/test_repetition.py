"""Numba finds functions registered within `without_repetition`, which speeds up compilation; afterwards, Numba is unchanged."""

import numba
import pytest
from numba.core.registry import cpu_target
from numba.extending import overload

from numbanet import _cuda
from numbanet._compile import config
from numbanet._compile.repetition import without_repetition

pytestmark = pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="needs compiled functions")


def test_a_function_that_is_registered_meanwhile_is_found():
    def added(a, b):
        raise NotImplementedError

    def sum_of(a, b):
        return added(a, b)

    with without_repetition():
        assert numba.njit(lambda a, b: a + b)(1, 2) == 3
        overload(added)(lambda a, b: lambda a, b: a + b)
        assert numba.njit(sum_of)(1, 2) == 3


def test_each_operation_has_the_type_of_its_own_operands():
    with without_repetition():
        product = numba.njit(lambda a, b: a * b)
        assert [type(product(a, b)) for a, b in [(2, 3), (2, 3.0), (True, 3), (2, 3)]] == [int, float, int, int]


def test_numba_is_unchanged_afterwards():
    contexts = cpu_target.typing_context, cpu_target.target_context
    before = [set(vars(context)) for context in contexts]
    with pytest.raises(KeyboardInterrupt), without_repetition(), without_repetition():
        raise KeyboardInterrupt
    assert [set(vars(context)) for context in contexts] == before
