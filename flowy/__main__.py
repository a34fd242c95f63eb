"""`python -m flowy`: the same as the command `flowy`.

Owns nothing; its neighbour `cli` has the options and the commands.
"""

from __future__ import annotations

import sys

from flowy.cli import main

if __name__ == "__main__":
    sys.exit(main())
