"""`python -m retrograd`: the door to the command line, which is `cli`'s."""

import sys

from .cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
