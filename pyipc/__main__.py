"""`python -m pyipc` is the `pyipc` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
