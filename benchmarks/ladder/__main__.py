"""The benchmark `ladder` compares numbanet with other installed libraries (JAX, PyTorch, scikit-learn) on the CPU, in one run.

    python -m benchmarks.ladder                            # epochs of the networks R1 to R6 and of variants, on all cores
    python -m benchmarks.ladder R2 R3 --cores 1            # epochs of two networks, on one core
    python -m benchmarks.ladder R4 --activation tanh       # epochs of one network with the activation tanh in hidden layers
    python -m benchmarks.ladder --predict --startup        # predictions and start-up instead of epochs
    python -m benchmarks.ladder --all --json ladder.json   # every table

Run the command in the root of the repository. The ladder measures the version of numbanet in this repository. The networks have
the output activation softmax and the loss CCE. The networks are trained by plain gradient descent, unless the title of a table
says otherwise. All libraries start from the same parameters, and visit the samples in the same orders, from arrays that are
already in memory. Before the ladder measures a time, it checks that the libraries' losses over two epochs, or their
predictions, agree. In every round, the ladder measures each library once; the tables show the medians over the rounds. In every
round, the ladder also measures the ceiling: the rate of multiply-adds of values that stay in registers, which no library can
exceed.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

from benchmarks.command_line import make_parser, print_facts, selected_rungs, write_json


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    options = parse_arguments()
    pin(options.cores)
    write_json(options.json, measure(options))


def parse_arguments() -> argparse.Namespace:
    """Parses the command line, and returns its options."""
    parser = make_parser("benchmarks.ladder", __doc__)
    parser.add_argument(
        "--activation", choices=("relu", "sigmoid", "tanh"), help="activation function of the hidden layers of each RUNG"
    )
    parser.add_argument("--epochs", action="store_true", help="whole epochs (the default table)")
    parser.add_argument("--calls", action="store_true", help="train_step, partial_fit and one-epoch fit, networks R1 and R2")
    parser.add_argument("--predict", action="store_true", help="predictions of 1, 100 and 10,000 samples, networks R2 and R3")
    parser.add_argument("--startup", action="store_true", help="a whole process until the end of the first epoch, network R2")
    parser.add_argument("--memory", action="store_true", help="peak memory of a whole process, network R6")
    parser.add_argument("--fashion", action="store_true", help="ten epochs of Fashion-MNIST, against PyTorch")
    parser.add_argument(
        "--optimizers", action="store_true", help="epochs with momentum, Nesterov, Adam and AdamW, networks R2 to R4"
    )
    parser.add_argument("--all", action="store_true", help="print every table")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="cores to use (default: %(default)s)")
    options = parser.parse_args()
    if (options.activation or options.dtype) and not options.rungs:
        parser.error("--activation and --dtype change the networks named on the command line: name at least one RUNG")
    return options


def pin(cores: int) -> None:
    """Limits this process, and all thread pools that it creates later, to `cores` CPU cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(cores)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if cores > 1 else 'false'}"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures and prints the selected tables; returns their values and the facts about the machine."""
    # The following modules are imported after `pin` has been called, because NumPy's BLAS and Numba count the cores when
    # imported.
    from benchmarks.ladder import calls, epochs, fashion, optimizers, prediction, processes
    from benchmarks.measuring import Settings, machine

    facts = machine(options.cores)
    rungs = selected_rungs(options.rungs, activation=options.activation, dtype=options.dtype)
    settings = Settings(options.rounds, options.cores, options.markdown)
    print_facts(facts)
    tables: dict[str, Callable[[], Any]] = {
        "epochs": lambda: epochs.measure(rungs or epochs.RUNGS_BY_DEFAULT, settings),
        "calls": lambda: calls.measure(rungs or calls.RUNGS_BY_DEFAULT, settings),
        "predict": lambda: prediction.measure(rungs or prediction.RUNGS_BY_DEFAULT, settings),
        "startup": lambda: processes.measure_startup(rungs or processes.STARTUP_RUNGS, settings),
        "memory": lambda: processes.measure_memory(rungs or processes.MEMORY_RUNGS, settings),
        "optimizers": lambda: optimizers.measure(rungs or optimizers.RUNGS_BY_DEFAULT, settings),
        "fashion": lambda: fashion.measure(settings),
    }
    selected = [name for name in tables if getattr(options, name) or options.all] or ["epochs"]
    return facts | {name: tables[name]() for name in selected}


if __name__ == "__main__":
    main()
