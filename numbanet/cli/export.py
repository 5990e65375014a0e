"""The subcommand `numbanet export`: converts a saved network to another file format."""

import argparse
from pathlib import Path

from numbanet import Network
from numbanet.cli.common import MODEL_HELP, add_command
from numbanet.files import refuse_unwritable
from numbanet.persist import onnx_table

EXPORTED = (".npz", ".onnx", ".safetensors")
EXAMPLES = """examples:
  numbanet export digits.npz digits.onnx         for ONNX Runtime and other programs
  numbanet export digits.npz digits.safetensors  tensors layer1.w, layer1.b, ...; numbanet can load the file
  numbanet export digits.safetensors digits.npz
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `export` and its options."""
    export = add_command(commands, "export", _export, "convert a saved network to another file format", EXAMPLES)
    export.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    export.add_argument("output", metavar="OUT", help=f"file to write; its suffix sets the format: {', '.join(EXPORTED)}")


def _export(options: argparse.Namespace) -> int:
    suffix = Path(options.output).suffix.lower()
    if suffix not in EXPORTED:
        raise ValueError(f"cannot export {options.output!r}: OUT must end in {', '.join(EXPORTED)}")
    refuse_unwritable(options.output)
    network = Network.load(options.model)
    (network.export if suffix == ".onnx" else network.save)(options.output)
    print(f"wrote {options.output}")
    if suffix == ".onnx" and network.table is not None:
        print(onnx_table.interface(network.table))
    return 0
