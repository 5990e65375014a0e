"""Finds the size and number of the SIMD registers of the CPU for which Numba compiles."""

from typing import NamedTuple

import llvmlite.binding
import numba.core.config


class RegisterFile(NamedTuple):
    """The SIMD registers of all CPUs with the same instruction set.

    Parameters
    ----------
    name : str
        The name of the instruction set.
    width : int
        The size of a register in bytes.
    number : int
        The number of registers.
    """

    name: str
    width: int
    number: int


# The register files by the LLVM feature that a CPU needs, best first. AVX2 has the registers of AVX.
_FILES = {
    "avx512f": RegisterFile("AVX-512", 64, 32),
    "avx": RegisterFile("AVX", 32, 16),
    "neon": RegisterFile("NEON", 16, 32),
}
_OTHERS = RegisterFile("generic", 16, 16)


def register_file() -> RegisterFile:
    """Returns the `RegisterFile` with the widest SIMD registers that compiled code may use.

    The environment variables NUMBA_CPU_NAME and NUMBA_CPU_FEATURES restrict the instructions that Numba uses.
    """
    listed = getattr(numba.core.config, "CPU_FEATURES", None)
    if listed is None:
        features = {name for name, present in llvmlite.binding.get_host_cpu_features().items() if present}
    else:
        features = {name[1:] for name in listed.split(",") if name.startswith("+")}
    return next((file for feature, file in _FILES.items() if feature in features), _OTHERS)


REGISTERS = register_file()
