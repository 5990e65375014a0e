"""`python -m numbanet` is the command `numbanet`."""

import sys

from numbanet.cli import main

sys.exit(main())
