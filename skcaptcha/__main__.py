"""``python -m skcaptcha`` is the command line."""

import sys

from skcaptcha.cli import main

if __name__ == "__main__":
    sys.exit(main())
