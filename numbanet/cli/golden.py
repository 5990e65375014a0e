"""numbanet golden"""

from numbanet.cli.common import add_command
from numbanet.proof import golden


def add(commands) -> None:
    """The command's options."""
    vectors = add_command(commands, "golden", _golden, "write every number of one step of five networks, to check a port by")
    vectors.add_argument("folder", metavar="FOLDER", help="where to write them, as JSON and as NPZ")


def _golden(options) -> int:
    for path in golden.write(options.folder):
        print(f"wrote {path}")
    return 0
