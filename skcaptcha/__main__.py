"""``python -m skcaptcha`` is the command line."""

import sys


def run():
    """Run the command line; what it imports takes seconds, in which Ctrl-C may come."""
    try:
        from skcaptcha.cli import main

        return main()
    except KeyboardInterrupt:
        print("skcaptcha: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
