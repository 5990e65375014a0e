"""numbanet train"""

import json
import os
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numbanet import Network, checks, inputs, persist, tables
from numbanet.cli.common import (
    DATA_SETS,
    INTERRUPTED,
    add_command,
    add_device_options,
    add_table_options,
    names,
    refuse_unwritable,
    sizes,
)
from numbanet.cli.figures import add_metrics_option, figures, line, metrics_in_units
from numbanet.distributed.communicators import Communicator, of_launch
from numbanet.engines.topology import ACTIVATIONS, LOSSES
from numbanet.tables.encoding import Categorical, Classes
from numbanet.tables.learning import IMPUTE, TASKS, task_of
from numbanet.training.optimizers import OPTIMIZERS, Optimizer
from numbanet.training.schedules import SCHEDULES

EXAMPLES = """a table is a .csv or .tsv whose first line names the columns, a .parquet, a .npz with arrays x and y, or IDX:
  numbanet train sales.csv --target price                   save model.npz; a fifth of the rows is held out
  numbanet train sales.csv --target price --impute median --ignore id,name -o sales.npz
  numbanet train data.parquet --target kind --categorical region --hidden 128,64 --dropout 0.2 --early-stopping 20
  numbanet train arrays.npz --optimizer momentum --momentum 0.95 --learning-rate 0.01 --schedule cosine
  numbanet train train-images-idx3-ubyte.gz --target train-labels-idx1-ubyte.gz
  numbanet train digits
  mpiexec -n 4 numbanet train digits                        train by four processes at once, which needs numbanet[mpi]
"""
OF_TABLES = ("target", "task", "categorical", "ignore", "impute", "separator", "validation_split")
TABLE_DEFAULTS = {
    "output": "model.npz", "epochs": 100, "batch_size": 32, "hidden": [64], "optimizer": "adam", "validation_split": 0.2
}  # fmt: skip
DATA_SETS_LEARNING_RATE = 0.1


class Material(NamedTuple):
    """What to train on, and with what kind of network."""

    x: np.ndarray
    y: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray] | None
    loss: str
    n_out: int
    labels: tuple[str, ...]
    encoding: tables.Encoding | None
    said: str


def add(commands) -> None:
    """The command's options."""
    train = add_command(commands, "train", _train, "train a network and save it", EXAMPLES)
    train.add_argument(
        "data",
        metavar=f"{{{','.join(DATA_SETS)}}}|FILE",
        help="the bundled 8x8 handwritten digits, or Fashion-MNIST where installed, or a table",
    )
    train.add_argument("-o", "--output", metavar="FILE", help=f"where to save the network {_defaults('output')}")
    train.add_argument("--hidden", type=sizes, metavar="N[,N...]", help="neurons of the hidden layers (128; of a table 64)")
    train.add_argument("--activation", choices=ACTIVATIONS, default="relu", help="of the hidden layers (%(default)s)")
    train.add_argument("--loss", choices=LOSSES, help="(cce for classes, mse for quantities)")
    train.add_argument("--dropout", type=float, default=0.0, metavar="P", help="share of the hidden neurons (%(default)s)")
    train.add_argument("--epochs", type=int, metavar="N", help=f"passes over the training images {_defaults('epochs')}")
    train.add_argument("--batch-size", type=int, metavar="N", help=f"images per update {_defaults('batch_size')}")
    train.add_argument("--optimizer", choices=OPTIMIZERS, help="(gradient_descent; of a table adam)")
    train.add_argument(
        "--learning-rate", type=float, metavar="ETA", help=f"({DATA_SETS_LEARNING_RATE}; else 0.01, for adam and adamw 0.001)"
    )
    train.add_argument("--schedule", choices=SCHEDULES, help="how the learning rate changes")
    train.add_argument("--momentum", type=float, metavar="MU", help="of the optimizers momentum and nesterov (0.9)")
    train.add_argument("--weight-decay", type=float, metavar="LAMBDA", help="(0; for adamw 0.01)")
    train.add_argument("--early-stopping", type=int, metavar="N", help="end after N epochs without a better held-out loss")
    train.add_argument(
        "--class-weight", type=_class_weight, metavar="balanced|LABEL=WEIGHT,...", help="what the samples of a class count"
    )
    add_metrics_option(train, names)
    train.add_argument("--dtype", choices=inputs.DTYPES, default="float32", help="(%(default)s)")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same bits (%(default)s)")
    train.add_argument("--checkpoint", metavar="FILE", help="keep the training's state there, and go on from it")
    train.add_argument("--json", action="store_true", help="print the result as JSON, all else on stderr")
    train.add_argument("-q", "--quiet", action="store_true", help="print the result only")
    add_device_options(train)
    table = train.add_argument_group("tables")
    table.add_argument("--target", metavar="COLUMN", help="what to predict; of .npz an array (y), of IDX the file of labels")
    table.add_argument("--task", choices=TASKS, help="else found from the target, and said")
    table.add_argument("--categorical", type=names, metavar="COLUMN[,...]", help="columns of categories that look like numbers")
    table.add_argument("--impute", choices=IMPUTE, help="fill in for missing numbers; for categories the most frequent")
    table.add_argument("--validation-split", type=float, metavar="P", help="share of the rows to hold out (0.2)")
    add_table_options(table)


def _defaults(option: str) -> str:
    """The option's default for each data set, in the order of DATA_SETS, and for tables."""
    of_sets = ", ".join(str(data_set.defaults[option]) for data_set in DATA_SETS.values())
    return f"({of_sets}); of a table {TABLE_DEFAULTS[option]}"


def _class_weight(text: str) -> str | dict[str, float]:
    if text == "balanced":
        return text
    pairs = [name.rpartition("=") for name in names(text)]
    return {label: float(weight) for label, _, weight in pairs}


def _train(options) -> int:
    _settle(options)
    communicator = of_launch()
    if communicator.rank == 0:
        _check_paths(options)
        return _train_together(options, communicator)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # rank 0 speaks
        return _train_together(options, communicator)


def _check_paths(options) -> None:
    for path in [options.output] if options.checkpoint is None else [options.output, options.checkpoint]:
        refuse_unwritable(path)
        if Path(path).exists() and Path(options.data).exists() and Path(path).samefile(options.data):
            raise ValueError(f"{path} is the table itself: give another file to write to")
    persist.container(options.output)


def _train_together(options, communicator: Communicator) -> int:
    """What each process does."""
    optimizer = _optimizer(options)
    material = _of_data_set(options) if options.data in DATA_SETS else _of_table(options)
    network = Network(
        [material.x.shape[1], *options.hidden, material.n_out],
        options.activation,
        material.loss,
        dtype=options.dtype,
        seed=options.seed,
        dropout=options.dropout,
        device=options.device,
        kernels=options.kernels,
    )
    network.table = material.encoding
    metrics = metrics_in_units(options.metrics, material.encoding)
    class_weight = _by_index(options.class_weight, material.labels)
    on_stderr = options.json or material.encoding is not None
    with redirect_stdout(sys.stderr) if on_stderr else nullcontext():
        if not options.quiet:
            print(f"{material.said}; {network}")
        history = network.fit(
            material.x,
            material.y,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            optimizer=optimizer,
            schedule=options.schedule,
            validation_data=material.held_out,
            class_weight=class_weight,
            metrics=metrics,
            early_stopping=options.early_stopping,
            checkpoint=options.checkpoint,
            communicator=communicator,
            verbose=not options.quiet,
        )
    if communicator.rank:
        return 0
    result = figures(network, *(material.held_out or (material.x, material.y)), options.metrics)
    network.save(options.output)
    _report(options, material, history, result)
    return INTERRUPTED if history.interrupted else 0


def _settle(options) -> None:
    """Fills in the defaults of the data; what does not go together is misuse."""
    if options.data in DATA_SETS:
        for name in OF_TABLES:
            if getattr(options, name) is not None:
                options.misused(f"--{name.replace('_', '-')} is for tables, not for {options.data}")
        if options.optimizer is options.learning_rate is None:
            options.learning_rate = DATA_SETS_LEARNING_RATE
        defaults = DATA_SETS[options.data].defaults
    else:
        if not tables.is_table(options.data):
            options.misused(f"{options.data!r} is none of {', '.join(DATA_SETS)}, nor a .csv, .tsv, .parquet, .npz or IDX file")
        if options.target is None and Path(options.data).suffix.lower() != ".npz":
            options.misused(f"--target is needed: what is there to predict in {options.data}?")
        defaults = TABLE_DEFAULTS
    vars(options).update({name: value for name, value in defaults.items() if getattr(options, name) is None})


def _optimizer(options) -> Optimizer:
    constants = {name: getattr(options, name) for name in ("momentum", "weight_decay") if getattr(options, name) is not None}
    if "momentum" in constants and options.optimizer not in ("momentum", "nesterov"):
        options.misused("--momentum is of --optimizer momentum and nesterov")
    return OPTIMIZERS[options.optimizer](**constants)


def _by_index(class_weight, labels: tuple[str, ...]):
    """Weights by the label as weights by its index."""
    if not isinstance(class_weight, dict):
        return class_weight
    return {labels.index(checks.choice("class", label, labels)): weight for label, weight in class_weight.items()}


def _of_data_set(options) -> Material:
    if options.loss not in (None, "cce"):
        raise ValueError(f"{options.data} are ten classes: their loss is cce, not {options.loss}")
    data_set = DATA_SETS[options.data]
    x, y, x_test, y_test = data_set.load()
    said = f"{len(y)} {data_set.images} to train on, {len(y_test)} held out"
    return Material(x, y, (x_test, y_test), "cce", 10, tuple(map(str, range(10))), None, said)


def _of_table(options) -> Material:
    table = tables.read(options.data, separator=options.separator, target=options.target)
    target = "y" if tables.is_idx(options.data) else options.target or "y"
    task, reason = (options.task, "as told") if options.task else task_of(table, target)
    rows, held_out = tables.split(table, target, options.validation_split, task=task, seed=options.seed)
    encoding = tables.learn(
        table,
        target,
        task=task,
        categorical=options.categorical or (),
        ignore=options.ignore or (),
        impute=options.impute,
        rows=rows,
    )
    loss = options.loss or encoding.target.losses[0]
    x, y = encoding.x(table, options.dtype), encoding.y(table)
    return Material(
        x[rows],
        y[rows],
        (x[held_out], y[held_out]) if held_out.size else None,
        loss,
        encoding.target.width(loss),
        encoding.target.labels if isinstance(encoding.target, Classes) else (),
        encoding,
        f"{_said(encoding, task, reason)}\n{rows.size} rows to train on, {held_out.size} held out",
    )


def _said(encoding: tables.Encoding, task: str, reason: str) -> str:
    target, classes = encoding.target, ""
    if isinstance(target, Classes):
        classes = f" into {len(target.labels)} classes"
    categorical = sum(isinstance(feature, Categorical) for feature in encoding.features)
    return (
        f"{target.name}: {task}{classes} ({reason}), from {len(encoding.features) - categorical} numeric and {categorical} "
        f"categorical columns"
    )


def _report(options, material: Material, history, result: dict[str, float]) -> None:
    count, of_what = len(material.y), "rows trained on"
    if material.held_out:
        count, of_what = len(material.held_out[1]), "held-out rows" if material.encoding else "held-out images"
    if options.json:
        found = {"model": options.output, "rows": len(material.y), "held_out": count if material.held_out else 0}
        if material.encoding:
            found |= {"target": material.encoding.target.name, "classes": list(material.labels) or None}
        found |= {"figures": result, "epochs": len(history.epoch), "best_epoch": history.best_epoch}
        found |= {"interrupted": history.interrupted, "history": history.history}
        print(json.dumps(found, indent=2))
        return
    print(f"{'' if material.encoding else 'test '}{line(result)}, on {count} {of_what}")
    print(f"saved {options.output}")
