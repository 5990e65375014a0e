"""Runs numbanet's command line: `python -m numbanet` does the same as the command `numbanet`."""

import sys

from numbanet.cli import main

sys.exit(main())
