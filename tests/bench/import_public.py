"""Imports a folder of other tools' public configurations and prints one row a file for `tests/bundle/imported.tsv`.

    python -m tests.bench.import_public FOLDER --repository OWNER/NAME --commit COMMIT [--prefix PATH/] >> rows.tsv

The files themselves are not kept: a row holds where each lies, the hash of what was read, and what became of it. Files
that are no training configuration at all (launchers' and DeepSpeed's settings) are left out and counted on stderr.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.text import clean_line
from tuiwiz.bundle.imports.read import import_file

SUFFIXES = (".yaml", ".yml", ".json", ".py", ".sh")
NO_CONFIGURATION = ("this is no configuration", "no training command", "a file without a model", "not for training")
UNSUPPORTED = ("has no counterpart here", "sees or hears")


def row_of(path: Path) -> tuple[str, str]:
    """Result (imported, unsupported, refused or nothing) and a note."""
    try:
        found = import_file(path)
    except InvalidError as error:
        if any(mark in error.message for mark in NO_CONFIGURATION):
            return "", error.message
        result = "unsupported" if any(mark in error.message for mark in UNSUPPORTED) else "refused"
        return result, clean_line(error.message, 200)
    lost = sum(line.fate == "not carried" for line in found.lines)
    bundle = found.bundle
    kept = len(found.lines) - lost
    return "imported", f"{bundle.task.kind} {bundle.adapter.method}, {kept} carried or converted, {lost} not"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--prefix", default="")
    asked = parser.parse_args()
    skipped = 0
    for path in sorted(one for one in asked.folder.rglob("*") if one.suffix in SUFFIXES and one.is_file()):
        result, note = row_of(path)
        if not result:
            skipped += 1
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        place = asked.prefix + path.relative_to(asked.folder).as_posix()
        print("\t".join((asked.repository, asked.commit, place, digest, result, note)))
    print(f"{skipped} files are no training configuration", file=sys.stderr)


if __name__ == "__main__":
    main()
