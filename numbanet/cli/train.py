"""The subcommand `numbanet train`: trains a network and saves it."""

import argparse
import json
import os
import sys
import tempfile
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from numbanet import History, Network, checks, inputs, persist, tables
from numbanet.cli.common import (
    DATA_SETS,
    INTERRUPTED,
    STANDARD,
    add_choice,
    add_command,
    add_device_options,
    add_metrics_option,
    names,
    refuse_overwriting,
    sizes,
)
from numbanet.cli.problems import Problem, of_data_set, of_table
from numbanet.cli.reports import add_curves_option, add_report_option, check_pictures, write_curves, write_report
from numbanet.cli.table_options import READING, add_table_options
from numbanet.distributed.communicators import Communicator, of_launch
from numbanet.engines.topology import ALL_ACTIVATIONS, ALL_LOSSES
from numbanet.evaluation import figures, line, metrics_in_units, unit_of
from numbanet.files import refuse_unwritable
from numbanet.tables.learning import IMPUTE, TASKS
from numbanet.tables.targets import Classes
from numbanet.training.optimizers import OPTIMIZERS, Optimizer
from numbanet.training.schedules import SCHEDULES

EXAMPLES = """a table is a .csv or .tsv file with column names in its first line, or a .parquet, .npz (x and y) or IDX file:
  numbanet train sales.csv --target price                   hold out a fifth of the rows, save model.npz
  numbanet train sales.csv --target price --impute median --ignore id,name -o sales.npz
  numbanet train data.parquet --target kind --categorical region --hidden 128,64 --dropout 0.2 --early-stopping 20
  numbanet train arrays.npz --optimizer momentum --momentum 0.95 --learning-rate 0.01 --schedule cosine
  numbanet train train-images-idx3-ubyte.gz --target train-labels-idx1-ubyte.gz
  numbanet train digits
  mpiexec -n 4 numbanet train digits                        train in four processes at once (needs the extra mpi)
"""
OF_TABLES = ("target", "task", "categorical", "impute", "validation_split", *READING)
TABLE_DEFAULTS = {
    "output": "model.npz", "epochs": 100, "batch_size": 32, "hidden": [64], "optimizer": "adam", "validation_split": 0.2
}  # fmt: skip
DATA_SETS_LEARNING_RATE = 0.1
OPTIMIZER_NAMES = {
    "gradient_descent": "gradient descent", "nesterov": "Nesterov momentum", "adam": "Adam", "adamw": "AdamW"
}  # fmt: skip


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `train` and its options."""
    train = add_command(commands, "train", _train, "train a network and save it", EXAMPLES)
    train.add_argument(
        "data",
        metavar=f"{{{','.join(DATA_SETS)}}}|FILE",
        help="the bundled 8x8 images of digits, Fashion-MNIST (if installed), or a table; - reads a table from standard input",
    )
    train.add_argument(
        "-o", "--output", metavar="FILE", help=f"file to save the network to, or - for standard output {_defaults('output')}"
    )
    train.add_argument("--json", action="store_true", help="print the result as JSON on stdout, and all other text on stderr")
    train.add_argument("-q", "--quiet", action="store_true", help="print only the result")
    _add_network_options(train.add_argument_group("network"))
    _add_training_options(train.add_argument_group("training"))
    _add_options_of_tables(train.add_argument_group("tables"))


def _add_options_of_tables(table: argparse._ActionsContainer) -> None:
    table.add_argument(
        "--target",
        metavar="COLUMN",
        help="column to predict; for .npz the name of the target array (default: y), for IDX the file of labels",
    )
    add_choice(table, "--task", TASKS, help="kind of prediction (default: inferred from the target)")
    table.add_argument(
        "--categorical",
        action="extend",
        type=names,
        metavar="COLUMN[,...]",
        help="columns to encode as categories, even if they are numeric",
    )
    add_choice(
        table,
        "--impute",
        IMPUTE,
        help="statistic that replaces missing numbers; missing categories become the most frequent category (default: missing "
        "values are an error)",
    )
    table.add_argument(
        "--validation-split",
        type=float,
        metavar="P",
        help=f"fraction of the rows to hold out (default: {TABLE_DEFAULTS['validation_split']})",
    )
    add_table_options(table)


def _add_network_options(network: argparse._ActionsContainer) -> None:
    network.add_argument("--hidden", type=sizes, metavar="N[,N...]", help=f"neurons of each hidden layer {_defaults('hidden')}")
    add_choice(
        network, "--activation", ALL_ACTIVATIONS, default="relu", help="activation of the hidden layers (default: %(default)s)"
    )
    add_choice(network, "--loss", ALL_LOSSES, help="loss to minimise (default: cce for classification, mse for regression)")
    network.add_argument(
        "--dropout",
        type=float,
        default=0.0,
        metavar="P",
        help="fraction of the hidden neurons to drop in each training step (default: %(default)s)",
    )
    add_choice(network, "--dtype", inputs.DTYPES, default="float32", help="floating-point type (default: %(default)s)")
    network.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="random seed; the same seed gives a bit-identical network (default: %(default)s)",
    )
    add_device_options(network)


def _add_training_options(training: argparse._ActionsContainer) -> None:
    training.add_argument("--epochs", type=int, metavar="N", help=f"passes over the training data {_defaults('epochs')}")
    training.add_argument("--batch-size", type=int, metavar="N", help=f"samples per update {_defaults('batch_size')}")
    add_choice(training, "--optimizer", OPTIMIZERS, help=f"update rule {_defaults('optimizer')}")
    training.add_argument(
        "--learning-rate",
        type=float,
        metavar="ETA",
        help="learning rate (default: 0.001 for adam and adamw, 0.01 for all others; for digits and fashion-mnist with their "
        f"default optimizer {DATA_SETS_LEARNING_RATE})",
    )
    add_choice(training, "--schedule", SCHEDULES, help="learning rate schedule (default: a constant learning rate)")
    training.add_argument(
        "--momentum", type=float, metavar="MU", help="momentum, for the optimizers momentum and nesterov (default: 0.9)"
    )
    training.add_argument("--weight-decay", type=float, metavar="LAMBDA", help="weight decay (default: 0; for adamw 0.01)")
    training.add_argument(
        "--early-stopping",
        type=int,
        metavar="N",
        help="stop after N epochs without a lower loss on samples that are set aside from the training samples: for images, a "
        "fifth; for a table, the fraction --validation-split of the training rows",
    )
    training.add_argument(
        "--class-weight",
        type=_class_weight,
        metavar="balanced|LABEL=WEIGHT,...",
        help="weight of each class in the loss; balanced: inversely proportional to the class's frequency (default: all 1)",
    )
    add_metrics_option(training)
    add_report_option(training)
    add_curves_option(training)
    training.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="save the training state after each epoch, and resume training from FILE if it exists",
    )


def _defaults(option: str) -> str:
    """Returns the end of an option's help text, which lists the option's default for each named data set and for tables."""
    users: dict[str, list[str]] = {}  # the users of each default value: data sets, and tables
    for name, defaults in {**{name: known.defaults for name, known in DATA_SETS.items()}, "a table": TABLE_DEFAULTS}.items():
        value = defaults[option]
        users.setdefault(",".join(map(str, value)) if isinstance(value, list) else str(value), []).append(name)
    return f"(default: {', '.join(f'{value} for ' + ' and '.join(user) for value, user in users.items())})"


def _class_weight(text: str) -> Literal["balanced"] | dict[str, float]:
    if text == "balanced":
        return "balanced"
    pairs = [name.rpartition("=") for name in names(text)]
    try:
        if all(equals for _, equals, _ in pairs):
            return {label: float(weight) for label, _, weight in pairs}
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be balanced or LABEL=WEIGHT,..., with numbers as weights, not {text!r}")


def _train(options: argparse.Namespace) -> int:
    _set_defaults(options)
    communicator = of_launch()
    if communicator.size > 1 and STANDARD in (options.data, options.output):
        raise ValueError("several processes cannot share standard input or output: name files instead of -")
    if communicator.rank == 0:
        _check_paths(options)
        return _train_together(options, communicator)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # only rank 0 prints
        return _train_together(options, communicator)


def _check_paths(options: argparse.Namespace) -> None:
    """Raises OSError or ValueError if the output or checkpoint file cannot be written, or is the input table."""
    for path in (options.output, options.checkpoint):
        if path not in (None, STANDARD):
            persist.container(path)
            refuse_unwritable(path)
            refuse_overwriting(path, options.data)
    if options.checkpoint is not None and os.path.realpath(options.checkpoint) == os.path.realpath(options.output):
        raise ValueError(f"--output and --checkpoint are both {options.output}: name two files")
    check_pictures(options, options.data)


def _train_together(options: argparse.Namespace, communicator: Communicator) -> int:
    """Trains the network together with the other processes; only rank 0, the first process, saves it and prints the result."""
    optimizer = _optimizer(options)
    problem = of_data_set(options) if options.data in DATA_SETS else of_table(options)
    network = Network(
        [problem.x.shape[1], *options.hidden, problem.n_out],
        options.activation,
        problem.loss,
        dtype=options.dtype,
        seed=options.seed,
        dropout=options.dropout,
        device=options.device,
        kernels=options.kernels,
    )
    network.table = problem.encoding
    metrics = metrics_in_units(options.metrics, problem.encoding)
    class_weight = _by_index(options.class_weight, problem)
    on_stderr = options.json or problem.encoding is not None or options.output == STANDARD
    with redirect_stdout(sys.stderr) if on_stderr else nullcontext():
        if not options.quiet:
            print(f"{problem.summary}; {network}")
        history = network.fit(
            problem.x,
            problem.y,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            optimizer=optimizer,
            schedule=options.schedule,
            validation_data=problem.watched,
            class_weight=class_weight,
            metrics=metrics,
            early_stopping=options.early_stopping,
            checkpoint=options.checkpoint,
            communicator=communicator,
            verbose=not options.quiet,
        )
    if communicator.rank:
        return 0
    result = figures(network, *(problem.held_out or (problem.x, problem.y)), options.metrics)
    _save(network, options.output)
    with redirect_stdout(sys.stderr) if options.output == STANDARD else nullcontext():
        _print_result(options, problem, history, result)
    settings = _settings(options, problem, optimizer, communicator.size)
    samples = (problem.measured, None) if problem.measured else problem.held_out or (problem.x, problem.y)
    write_report(options, network, samples, _measured(problem)[1], history, settings)
    write_curves(options, history)
    return INTERRUPTED if history.interrupted else 0


def _save(network: Network, path: str) -> None:
    """Saves a network to a file, or writes it as NPZ to standard output."""
    if path != STANDARD:
        network.save(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.npz"
        network.save(saved)
        sys.stdout.buffer.write(saved.read_bytes())
        sys.stdout.buffer.flush()


def _set_defaults(options: argparse.Namespace) -> None:
    """Sets omitted options to the defaults of the data set, or of tables; exits with status 2 if an option does not apply."""
    if options.data in DATA_SETS:
        for name in OF_TABLES:
            if getattr(options, name) is not None:
                options.misused(f"--{name.replace('_', '-')} applies to tables, not to {options.data}")
        if options.optimizer is options.learning_rate is None:
            options.learning_rate = DATA_SETS_LEARNING_RATE
        defaults = DATA_SETS[options.data].defaults
    else:
        if options.data != STANDARD and not tables.is_table(options.data):
            options.misused(
                f"unknown data {options.data!r}{checks.suggestion(options.data, DATA_SETS)}: expected {', '.join(DATA_SETS)}, "
                "a .csv, .tsv, .parquet, .npz or IDX file, or - for standard input"
            )
        if options.target is None and Path(options.data).suffix.lower() != ".npz":
            options.misused(f"--target is required for {options.data}: name the column to predict")
        defaults = TABLE_DEFAULTS
    vars(options).update({name: value for name, value in defaults.items() if getattr(options, name) is None})


def _optimizer(options: argparse.Namespace) -> Optimizer:
    constants = {name: getattr(options, name) for name in ("momentum", "weight_decay") if getattr(options, name) is not None}
    if "momentum" in constants and options.optimizer not in ("momentum", "nesterov"):
        options.misused("--momentum requires --optimizer momentum or nesterov")
    return OPTIMIZERS[options.optimizer](**constants)


def _by_index(
    class_weight: Literal["balanced"] | dict[str, float] | None, problem: Problem
) -> Literal["balanced"] | dict[int, float] | None:
    """Replaces the class labels in class weights with class indices."""
    if not isinstance(class_weight, dict):
        return class_weight
    target = problem.encoding.target if problem.encoding else Classes("label", problem.labels)
    if not isinstance(target, Classes):
        raise ValueError(f"--class-weight applies to classification, but the target {target.name!r} is a number")
    return {target.index(label): weight for label, weight in class_weight.items()}


def _measured(problem: Problem) -> tuple[int, str]:
    """Returns the number of samples on which the final loss and metrics are computed, and a noun, such as "held-out rows"."""
    if not problem.held_out:
        return len(problem.y), "training rows"
    return len(problem.held_out[1]), "held-out rows" if problem.encoding else "held-out images"


def _settings(options: argparse.Namespace, problem: Problem, optimizer: Optimizer, processes: int) -> dict[str, Any]:
    """Returns the settings that a report lists, such as the batch size; `processes` is the number of processes."""
    settings = {
        "data": options.data,
        "split": problem.summary.splitlines()[-1],
        "epochs": options.epochs,
        "batch size": options.batch_size,
        "optimizer": _described(options, optimizer),
        "schedule": options.schedule,
        "early stopping": options.early_stopping and f"after {options.early_stopping} epochs without a lower loss",
        "class weights": options.class_weight,
        "seed": options.seed,
        "processes": processes if processes > 1 else None,
        "checkpoint": options.checkpoint,
        "model file": options.output,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _described(options: argparse.Namespace, optimizer: Optimizer) -> str:
    """Returns the optimizer and its constants in words, without constants that are 0 and therefore have no effect."""
    eta = optimizer.learning_rate if options.learning_rate is None else options.learning_rate
    constants = {"learning rate": eta, **{name.replace("_decay", " decay"): value for name, value in asdict(optimizer).items()}}
    name = OPTIMIZER_NAMES.get(str(options.optimizer), str(options.optimizer))
    return ", ".join([name, *(f"{constant} {value:g}" for constant, value in constants.items() if value)])


def _print_result(options: argparse.Namespace, problem: Problem, history: History, result: dict[str, float]) -> None:
    """Prints the final loss, the final metrics and the name of the saved file, as JSON or as two lines."""
    (count, noun), unit = _measured(problem), unit_of(problem.encoding)
    if options.json:
        record: dict[str, Any] = {"model": options.output, "rows": len(problem.y), "held_out": count if problem.held_out else 0}
        if problem.encoding:
            record |= {"target": problem.encoding.target.name, "classes": list(problem.labels) or None}
        record |= {"figures": result} | ({"unit": unit, "unit_of_losses": f"standardised {unit}"} if unit else {})
        record |= {"epochs": len(history.epoch), "best_epoch": history.best_epoch}
        record |= {"interrupted": history.interrupted, "history": history.history}
        print(json.dumps(record, indent=2))
        return
    print(f"{'' if problem.encoding else 'test '}{line(result, unit)}, on {count:,} {noun}")
    print(f"saved {options.output}")
