"""`job.toml` and `result.json`: what the executor is asked, and what it answers where there is no run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from tuiwiz.base.errors import InternalError
from tuiwiz.base.files import write_atomic
from tuiwiz.events.folder import JOB, RESULT


def write_job(folder: Path, job: str, arguments: dict[str, Any]) -> None:
    """`arguments` are plain values; None is left out."""
    given = {key: value for key, value in arguments.items() if value is not None}
    write_atomic(folder / JOB, tomli_w.dumps({"job": job, **given}))


def read_job(folder: Path) -> dict[str, Any]:
    """The job and its arguments.

    Raises:
        InternalError: there is no readable job in the folder.
    """
    try:
        return tomllib.loads((folder / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InternalError(f"no readable job in {folder}: {error}") from error


def write_result(folder: Path, result: dict[str, Any]) -> None:
    write_atomic(folder / RESULT, msgspec.json.encode(result) + b"\n")


def read_result(folder: Path) -> dict[str, Any] | None:
    """The answer, None when the job left none."""
    try:
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return None
