"""Changes the last step of numba-cuda's compilation: kernels reach the driver as compiled C++, not as GPU machine code.

numba-cuda compiles a kernel to LTO-IR, which nvJitLink then links to machine code. This module makes nvJitLink link the LTO-IR
twice: to machine code and to PTX. From the machine code, the module uses only the numbers of registers and of bytes of local
memory. The module translates the PTX to C++, and compiles the C++.
"""

import hashlib
import importlib.abc
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from tests.software_gpu import build
from tests.software_gpu.translation import modules

# The modules with the class _Linker of numba-cuda, and of its successor numba-cuda-mlir.
LINKERS = ("numba.cuda.cudadrv.driver", "numba_cuda_mlir.numba_cuda.cudadrv.driver")
IMAGE = "software GPU: {}\0"  # the image that the driver gets in place of machine code; see driver/modules.cpp


def install() -> None:
    """Makes Python replace the method `_Linker.complete` when it imports the module with numba-cuda's class `_Linker`."""
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Returns the import spec of the module with numba-cuda's linker.

        After it has executed the module, the spec's loader replaces the method `_Linker.complete`.
        """
        if name not in LINKERS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            if hasattr(module, "_Linker"):  # Numba's built-in CUDA target has none
                module._Linker.complete = complete

        spec.loader.exec_module = exec_module
        return spec


def complete(linker: Any) -> Any:
    """Replaces `_Linker.complete` of numba-cuda: returns an object with the path of the kernels' library, not machine code."""
    from cuda.core import ObjectCode

    library = build.KERNELS / f"{key_of(linker)}.so"
    if not library.exists():
        build_library(linker, library)
    linker._info_log = linker._error_log = ""
    linker._complete = linker.linker = True
    return ObjectCode.from_cubin(IMAGE.format(library).encode())


def key_of(linker: Any) -> str:
    """Returns a file name that depends on the kernels' code, on the linker's options, and on the translation to C++."""
    translation = build.fingerprint(build.KERNEL_SOURCES, build.FLAGS, build.KERNEL_FLAGS)
    options = linker.arch, linker.max_registers, linker.lineinfo, translation
    parts = [bytes(code.code) for code in linker._object_codes] + [repr(options).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def build_library(linker: Any, library: Path) -> None:
    """Translates the PTX of the linker's code to C++, and compiles the C++ to `library`.

    If the linker's code is not PTX, it is first linked to PTX. The linker's code is also linked to machine code, from which
    only the numbers of registers and of stack bytes are taken.
    """
    _, log = linked(linker, "cubin")
    ptx = next((bytes(code.code) for code in linker._object_codes if code.code_type == "ptx"), None) or linked(linker, "ptx")[0]
    registers, stack = (
        max(map(int, re.findall(pattern, log)), default=0) for pattern in (r"Used (\d+) reg", r"(\d+) bytes stack")
    )
    build.build_kernels(library, modules.translated(ptx.decode("latin-1"), modules.Resources(registers, stack)))


def linked(linker: Any, kind: str) -> tuple[bytes, str]:
    """Links the linker's code to machine code (if `kind` is "cubin") or to PTX (if `kind` is "ptx").

    Returns the machine code or the PTX, and the messages of the assembler ptxas. PTX can be generated only from LTO-IR.
    """
    from cuda.core import Linker

    options = linker._get_linker_options(ptx=kind == "ptx")
    if kind == "cubin":
        options.ptxas_options = ["-v"]
    codes = [code for code in linker._object_codes if kind == "cubin" or code.code_type == "ltoir"]
    tool = Linker(*codes, options=options)
    result = bytes(tool.link(kind).code)
    log = tool.get_info_log()
    tool.close()
    return result, log
