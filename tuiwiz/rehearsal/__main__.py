"""`python -m tuiwiz.rehearsal BUNDLE [KEY=VALUE ...]`: the rehearsal that a bundle of the queue is due, if any.

Prints one JSON object, `{"code": ..., "message": ...}`: 0 where the run may start, else the exit code of what failed.
What is told on the way goes to standard error.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from tuiwiz.base.errors import TuiwizError
from tuiwiz.events.process import die_with_parent
from tuiwiz.rehearsal.due import rehearse_if_long


def main(argv: list[str]) -> int:
    # An exception, so that the job ends with this process and its scratch folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if parent := os.environ.pop("TUIWIZ_PARENT", ""):
        die_with_parent(int(parent))
    bundle, *sets = argv
    code, message = 0, ""
    try:
        rehearse_if_long(Path(bundle), sets, lambda words: print(f"{bundle}: {words}", file=sys.stderr, flush=True))
    except TuiwizError as error:
        code = int(error.exit_code)
        message = f"{error.message} ({error.hint})" if error.hint else error.message
    print(msgspec.json.encode({"code": code, "message": message}).decode(), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
