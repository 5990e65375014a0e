"""numbanet chooses the width of its SIMD vectors according to the instructions that Numba may use."""

import numba.core.config
import pytest

from numbanet.engines.cpu.registers import register_file


@pytest.mark.parametrize(
    ("features", "width", "number"),
    [
        ("+avx512f,+avx2,+avx,+sse2", 64, 32),
        ("-avx512f,+avx2,+avx,+sse2", 32, 16),
        ("+avx,+sse2", 32, 16),
        ("+neon", 16, 32),
        ("+sse2", 16, 16),
        ("", 16, 16),
    ],
)
def test_registers_are_those_of_the_instructions_that_numba_may_use(monkeypatch, features, width, number):
    monkeypatch.setattr(numba.core.config, "CPU_FEATURES", features)
    registers = register_file()
    assert (registers.width, registers.number) == (width, number)
