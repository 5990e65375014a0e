"""numbanet export"""

from pathlib import Path

from numbanet import Network
from numbanet.cli.common import add_command, refuse_unwritable

EXPORTED = (".npz", ".onnx", ".safetensors")
EXAMPLES = """examples:
  numbanet export digits.npz digits.onnx         to predict with ONNX Runtime and other programs
  numbanet export digits.npz digits.safetensors  tensors layer1.w, layer1.b, ...; numbanet reads it, too
  numbanet export digits.safetensors digits.npz
"""


def add(commands) -> None:
    """The command's options."""
    export = add_command(commands, "export", _export, "write a saved network for other programs", EXAMPLES)
    export.add_argument("model", metavar="MODEL", help="a file that train, or Network.save, wrote")
    export.add_argument("output", metavar="OUT", help=f"where to; its suffix says what: {', '.join(EXPORTED)}")


def _export(options) -> int:
    suffix = Path(options.output).suffix.lower()
    if suffix not in EXPORTED:
        raise ValueError(f"cannot export {options.output!r}: OUT must end in {', '.join(EXPORTED)}")
    refuse_unwritable(options.output)
    network = Network.load(options.model)
    (network.export if suffix == ".onnx" else network.save)(options.output)
    print(f"wrote {options.output}")
    return 0
