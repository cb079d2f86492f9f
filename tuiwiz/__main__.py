"""`python -m tuiwiz` and the console script."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run a command and leave with its exit code; Ctrl-C is no traceback, also while modules are still being loaded."""
    # Ends that the caller closed are missing. Opened in this order they take their own numbers again, and stay open.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    # A terminal that cannot show a character gets a question mark for it.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        from tuiwiz.cli.main import main as run

        code = run()
    except KeyboardInterrupt:
        sys.stderr.write("tuiwiz: interrupted\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
