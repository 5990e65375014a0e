"""numbanet verify"""

from numbanet.cli.common import add_command
from numbanet.network import DEVICES
from numbanet.proof.verification import verify


def add(commands) -> None:
    """The command's options."""
    check = add_command(commands, "verify", _verify, "check every loop of this installation against an independent oracle")
    check.add_argument("--device", choices=DEVICES, default="auto", help="auto: the CPU and, if there is one, the GPU")


def _verify(options) -> int:
    return 0 if all(row.passed for row in verify(options.device)) else 1
