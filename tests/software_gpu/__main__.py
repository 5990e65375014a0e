"""Builds the software GPU if necessary, and runs a command with it: python -m tests.software_gpu COMMAND ...

Without a command, the module only builds the software GPU. After the command, the module prints how many kernels ran, and the
findings (errors in kernels) that no test expected. If there are unexpected findings, the exit status is not 0. The page
docs/software-gpu.md lists the environment variables that the software GPU reads.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.software_gpu import build
from tests.software_gpu.findings import lines_of


def main(command: list[str]) -> int:
    """Builds the driver of the software GPU, runs a command, and returns the exit status."""
    build.build_driver()
    if not command:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        status = subprocess.run(command, env=environment(folder)).returncode
        print(executed(Path(folder)))
        findings = lines_of(Path(folder) / "findings")
    print(f"software GPU: {len(findings)} findings", *findings, sep="\n")
    return status or bool(findings)


def environment(report: str) -> dict[str, str]:
    """Returns environment variables with which the command loads the software GPU in place of NVIDIA's driver."""
    driver = [build.FOLDER, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    modules = [build.HERE / "startup", build.ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    paths = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, driver)), "PYTHONPATH": os.pathsep.join(map(str, modules))}
    return {**os.environ, **paths, "SOFTWARE_GPU_REPORT": report}


def executed(report: Path) -> str:
    """Returns a line that states how many kernels, launches and CUDA graphs were executed, and the seconds spent in kernels.

    A kernel that is compiled for several combinations of argument types counts as several kernels.
    """
    rows = [line.split("\t") for line in lines_of(report / "launches")]
    names, launches = {name for *_, name in rows}, sum(int(count) for count, *_ in rows)
    kernels = sum(name.startswith("_ZN8numbanet") for name in names)
    graphs, seconds = len(lines_of(report / "graphs")), sum(float(row[1]) for row in rows)
    return (
        f"software GPU: {kernels} kernels of numbanet and {len(names) - kernels} others in {launches} launches, "
        f"{graphs} launches of graphs, {seconds:.0f} s in kernels"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
