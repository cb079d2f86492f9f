"""Asks the executor what its libraries can do here; an executor that breaks is an answer too."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import TuiwizError
from tuiwiz.runs.launch import run_job


def probe() -> dict[str, Any]:
    """The result of the job `probe`; `error` says why there is none."""
    with tempfile.TemporaryDirectory(prefix="tuiwiz-probe-") as folder:
        try:
            return run_job("probe", Path(folder), {})
        except TuiwizError as error:
            return {"error": f"{error.message} {error.hint}".strip()}
