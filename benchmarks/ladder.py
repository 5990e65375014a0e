"""The ladder: numbanet against everybody installed, on the same work in the same run.

    python benchmarks/ladder.py                            # epochs of R1 to R6, of sigmoid, tanh and float64, on all cores
    python benchmarks/ladder.py R2 R3 --cores 1            # two rungs, pinned to one core
    python benchmarks/ladder.py R4 --activation tanh       # one rung, other hidden layers
    python benchmarks/ladder.py --predict --startup        # something else than epochs
    python benchmarks/ladder.py --all --json ladder.json   # everything

Networks are trained by plain gradient descent, unless a table says otherwise, on softmax and CCE. All start from the same
parameters and take the samples in the same orders, from arrays that lie ready in memory. Before anything is timed, the losses
of two epochs have to agree, or the predictions. Then everybody takes a turn, round after round; the tables show medians. The
ceiling is what the cores do that only multiply and add in registers, measured in the same rounds.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path


def main():
    options = arguments()
    pin(options.cores)
    results = measure(options)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help="R1 to R6, instead of those a table has by default")
    parser.add_argument("--activation", choices=("relu", "sigmoid", "tanh"), help="of hidden layers, with RUNG")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="of everything, with RUNG")
    parser.add_argument("--epochs", action="store_true", help="whole epochs; the default")
    parser.add_argument("--predict", action="store_true", help="predictions of one sample and of 10,000; R2, R3")
    parser.add_argument("--startup", action="store_true", help="whole processes to the first trained epoch; R2")
    parser.add_argument("--memory", action="store_true", help="peak memory of whole processes; R6")
    parser.add_argument("--fashion", action="store_true", help="ten epochs of Fashion-MNIST")
    parser.add_argument("--optimizers", action="store_true", help="epochs by momentum, Adam and others; R2, R3, R4")
    parser.add_argument("--all", action="store_true", help="everything")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="how many to use (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each that are timed (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="tables as docs/performance.md has them")
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    options = parser.parse_args()
    if (options.activation or options.dtype) and not options.rungs:
        parser.error("--activation and --dtype need a RUNG")
    return options


def pin(cores):
    """Keeps this process, and every thread pool yet to be made, to that many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(cores)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if cores > 1 else 'false'}"


def measure(options) -> dict:
    """Prints the tables asked for; returns their figures."""
    # After pinning: NumPy's BLAS and Numba count the cores when they are loaded.
    from benchmarks import epochs, fashion, optimizers, prediction, processes
    from benchmarks.measuring import Settings, machine

    results, rungs = machine(options.cores), named(options)
    settings = Settings(options.rounds, options.cores, options.markdown)
    print(", ".join(f"{name} {value}" for name, value in results.items() if name != "versions"))
    print(", ".join(f"{name} {version}" for name, version in results["versions"].items()))
    parts = {
        "epochs": lambda: epochs.measure(rungs or epochs.LADDER, settings),
        "predict": lambda: prediction.measure(rungs or prediction.PREDICTED, settings),
        "startup": lambda: processes.measure_startup(rungs or processes.STARTED, settings),
        "memory": lambda: processes.measure_memory(rungs or processes.REMEMBERED, settings),
        "optimizers": lambda: optimizers.measure(rungs or optimizers.COMPARED, settings),
        "fashion": lambda: fashion.measure(settings),
    }
    asked = [part for part in parts if getattr(options, part) or options.all] or ["epochs"]
    return results | {part: parts[part]() for part in asked}


def named(options):
    """The rungs of the command line, in the variant asked for."""
    from benchmarks.rungs import RUNGS

    if unknown := set(options.rungs) - set(RUNGS):
        sys.exit(f"no such rung: {', '.join(sorted(unknown))}; there are {', '.join(RUNGS)}")
    variant = {"activation": options.activation, "dtype": options.dtype}
    variant = {name: value for name, value in variant.items() if value}
    return [replace(RUNGS[name], **variant) for name in options.rungs]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # measures the numbanet beside it
    main()
