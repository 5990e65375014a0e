"""The command `numbanet`: train, predict, export, golden, verify, info, sheet."""

import argparse
import json
import os
import sys
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numbanet import Network, __version__, golden, inputs, load_digits, load_fashion_mnist, persist, verify
from numbanet._compile import announced
from numbanet.engines.topology import ACTIVATIONS
from numbanet.info import info, plans
from numbanet.network import DEVICES, KERNELS

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended
INK = " .:-=+*#%@"


class DataSet(NamedTuple):
    """What `train` can train on, and what it then does unless told otherwise."""

    load: Callable
    images: str
    defaults: dict


DATA_SETS = {
    "digits": DataSet(load_digits, "handwritten digits", {"output": "digits.npz", "epochs": 60, "batch_size": 16}),
    "fashion-mnist": DataSet(
        load_fashion_mnist, "images of clothes", {"output": "fashion-mnist.npz", "epochs": 10, "batch_size": 64}
    ),
}
EXAMPLES = """examples:
  numbanet train digits                          train on the bundled handwritten digits, save digits.npz
  numbanet train digits --hidden 64,32 --activation tanh --epochs 100
  numbanet train fashion-mnist                   train on Fashion-MNIST, where it is installed
  numbanet predict digits.npz digits --draw 3    what it makes of the held-out images
  numbanet predict model.npz data.csv            one answer per line of numbers
  numbanet export model.npz model.onnx           for other programs to predict with
  numbanet verify                                check every loop on this machine
  numbanet sheet -o sheet.svg                    draw every formula beside the curve its loop computes
"""
EXPORTED = (".npz", ".onnx", ".safetensors")
EXPORT_EXAMPLES = """examples:
  numbanet export digits.npz digits.onnx         to predict with ONNX Runtime and other programs
  numbanet export digits.npz digits.safetensors  tensors layer1.w, layer1.b, ...; numbanet reads it, too
  numbanet export digits.safetensors digits.npz
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 well, 1 refused or failed, 2 misused, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        with nullcontext() if getattr(options, "quiet", False) else announced():
            return options.command(options)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, RuntimeError, FloatingPointError, ImportError) as error:
        print(f"numbanet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _refuse_unwritable(path: str) -> None:
    """An error before hours of work rather than after."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OSError(f"cannot write {path}: {folder} is no folder that can be written to, or {path} is itself a folder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="numbanet",
        description="Neural networks as loops you can read, compiled for the CPU and for NVIDIA GPUs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"numbanet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    train = _command(commands, "train", _train, "train a network and save it")
    train.add_argument("data", choices=DATA_SETS, help="the bundled 8x8 handwritten digits, or Fashion-MNIST where installed")
    train.add_argument("-o", "--output", metavar="FILE", help=f"where to save the network {_defaults('output')}")
    train.add_argument("--hidden", type=_sizes, default=[128], metavar="N[,N...]", help="neurons of the hidden layers (128)")
    train.add_argument("--activation", choices=ACTIVATIONS, default="relu", help="of the hidden layers (%(default)s)")
    train.add_argument("--epochs", type=int, metavar="N", help=f"passes over the training images {_defaults('epochs')}")
    train.add_argument("--batch-size", type=int, metavar="N", help=f"images per update {_defaults('batch_size')}")
    train.add_argument("--learning-rate", type=float, default=0.1, metavar="ETA", help="(%(default)s)")
    train.add_argument("--dtype", choices=inputs.DTYPES, default="float32", help="(%(default)s)")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same bits (%(default)s)")
    train.add_argument("-q", "--quiet", action="store_true", help="print the result only")
    _device_options(train)

    predict = _command(commands, "predict", _predict, "print what a saved network answers, a line per sample")
    predict.add_argument("model", metavar="MODEL", help="a file that train, or Network.save, wrote")
    predict.add_argument(
        "data", metavar="DATA", help="'digits' for the held-out images, or a .csv of numbers, a .npy, or a .npz with an array x"
    )
    predict.add_argument("--outputs", action="store_true", help="print all outputs, not the class")
    predict.add_argument("--draw", type=int, default=0, metavar="N", help="draw the first N images of digits")
    _device_options(predict)

    export = _command(commands, "export", _export, "write a saved network for other programs", EXPORT_EXAMPLES)
    export.add_argument("model", metavar="MODEL", help="a file that train, or Network.save, wrote")
    export.add_argument("output", metavar="OUT", help=f"where to; its suffix says what: {', '.join(EXPORTED)}")

    vectors = _command(commands, "golden", _golden, "write every number of one step of five networks, to check a port by")
    vectors.add_argument("folder", metavar="FOLDER", help="where to write them, as JSON and as NPZ")

    check = _command(commands, "verify", _verify, "check every loop of this installation against an independent oracle")
    check.add_argument("--device", choices=DEVICES, default="auto", help="auto: the CPU and, if there is one, the GPU")

    about = _command(commands, "info", _info, "show versions, CPU features, threads, GPU and rungs")
    about.add_argument("--json", action="store_true", help="as one JSON object")
    about.add_argument("--plan", type=_sizes, metavar="N,N[,N...]", help="say how a network of these sizes trains on a GPU")
    about.add_argument("--batch-size", type=int, default=32, metavar="N", help="with --plan (%(default)s)")
    about.add_argument("--dtype", choices=inputs.DTYPES, default="float32", help="with --plan (%(default)s)")

    drawing = _command(commands, "sheet", _sheet, "draw the whole cheat sheet, each formula beside the curve its loop computes")
    drawing.add_argument(
        "-o", "--output", default="sheet.pdf", metavar="FILE", help="a .pdf, .png, .svg or .html, to print on A3 (%(default)s)"
    )
    return parser


def _command(commands, name: str, function, summary: str, examples: str | None = None) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function)
    return parser


def _device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="(%(default)s)")
    parser.add_argument("--kernels", choices=KERNELS, default="fast", help="(%(default)s)")


def _defaults(option: str) -> str:
    """The option's default for each data set, in the order of DATA_SETS."""
    return "(" + ", ".join(str(data_set.defaults[option]) for data_set in DATA_SETS.values()) + ")"


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def _train(options) -> int:
    data_set = DATA_SETS[options.data]
    vars(options).update({name: value for name, value in data_set.defaults.items() if getattr(options, name) is None})
    _refuse_unwritable(options.output)
    persist.container(options.output)
    x, y, x_test, y_test = data_set.load()
    network = Network(
        [x.shape[1], *options.hidden, 10],
        options.activation,
        "cce",
        dtype=options.dtype,
        seed=options.seed,
        device=options.device,
        kernels=options.kernels,
    )
    if not options.quiet:
        print(f"{len(y)} {data_set.images} to train on, {len(y_test)} held out; {network}")
    history = network.fit(
        x,
        y,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        validation_data=(x_test, y_test),
        verbose=not options.quiet,
    )
    result = network.evaluate(x_test, y_test)
    network.save(options.output)
    print(f"test accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f}, on {len(y_test)} held-out images")
    print(f"saved {options.output}")
    return INTERRUPTED if history.interrupted else 0


def _predict(options) -> int:
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    labels = None
    if options.data == "digits":
        _, _, x, labels = load_digits()
    else:
        x = _read(options.data)
    if options.draw and labels is None:
        raise ValueError("--draw draws digits only")
    y_hat = network.predict(x)
    classes = y_hat.argmax(axis=1) if network.loss == "cce" else (y_hat > 0.5).astype(int) if network.loss == "bce" else y_hat
    for row in y_hat if options.outputs else classes:
        print(",".join(f"{value:.7g}" for value in np.atleast_1d(row)))
    for s in range(min(options.draw, len(x))):
        print(f"\nimage {s}: a {labels[s]}, seen as {classes[s]} with probability {y_hat[s].max():.3f}", file=sys.stderr)
        print(_drawing(x[s]), file=sys.stderr)
    if labels is not None:
        print(f"{(classes == labels).sum()} of {len(labels)} right", file=sys.stderr)
    return 0


def _read(path: str) -> np.ndarray:
    """The samples in a file, (n, n_in)."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".npy", ".npz"):
        raise ValueError(f"cannot read {path!r}: DATA must be digits, or a .csv, .npy or .npz file")
    try:
        if suffix == ".csv":
            return np.loadtxt(path, delimiter=",", ndmin=2)
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if suffix == ".npy":
                return loaded
            if "x" not in loaded:
                raise ValueError(f"it holds {', '.join(loaded) or 'nothing'}, but no array x")
            return loaded["x"]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from None


def _drawing(image: np.ndarray) -> str:
    """An 8x8 image in characters, two to a pixel."""
    shades = (image.reshape(8, 8) * (len(INK) - 1)).round().astype(int)
    return "\n".join("".join(INK[shade] * 2 for shade in line) for line in shades)


def _export(options) -> int:
    suffix = Path(options.output).suffix.lower()
    if suffix not in EXPORTED:
        raise ValueError(f"cannot export {options.output!r}: OUT must end in {', '.join(EXPORTED)}")
    _refuse_unwritable(options.output)
    network = Network.load(options.model)
    (network.export if suffix == ".onnx" else network.save)(options.output)
    print(f"wrote {options.output}")
    return 0


def _golden(options) -> int:
    for path in golden.write(options.folder):
        print(f"wrote {path}")
    return 0


def _verify(options) -> int:
    return 0 if all(row.passed for row in verify(options.device)) else 1


def _plans(options) -> dict[str, str]:
    topology = inputs.topology(options.plan, "relu", "cce", options.dtype, 0.01)
    return plans(topology, inputs.integer("batch_size", options.batch_size))


def _info(options) -> int:
    facts = info() if options.plan is None else _plans(options)
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for name, fact in facts.items():
            print(f"{name:{width}}  {fact}")
    return 0


def _sheet(options) -> int:
    from numbanet.pictures import save_sheet  # needs matplotlib, which nothing else here does

    _refuse_unwritable(options.output)
    save_sheet(options.output)
    print(f"saved {options.output}")
    return 0
