"""`python -m tuiwiz` and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    from tuiwiz.cli.main import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
