"""Which tool a file is for, and its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.bundle.imports import axolotl, llamafactory, shell, swift, trl, xtuner
from tuiwiz.bundle.imports.draft import Imported

LARGEST_FILE = 1 << 20
"""Bytes of a configuration."""
MOST_PARTS = 20_000
"""Parts of a YAML, those that it repeats by reference counted each time."""
SUFFIXES = (".yaml", ".yml", ".json", ".py", ".sh", ".bash", ".txt")


def import_file(path: Path, *, command: str = "") -> Imported:
    """The bundle of another tool's configuration. `command` says what a TRL YAML is for (sft, dpo, ...).

    Raises:
        UsageError: no such file.
        InvalidError: no tool's configuration, or something in it that has no counterpart.
        MachineLacksError: it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="a YAML, a Python file or a shell script of another tool")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise MachineLacksError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > LARGEST_FILE:
        raise InvalidError(f"{path} is too large for a configuration (over 1 MiB)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError(f"{path} is not UTF-8 at byte {error.start}") from error
    return import_text(text, path.as_posix(), command=command)


def import_text(text: str, name: str, *, command: str = "") -> Imported:
    """As `import_file`, from a text; `name` is its path, whose suffix and words tell of what it is."""
    suffix = Path(name).suffix.lower()
    if suffix == ".py":
        return xtuner.read(text)
    if suffix in (".yaml", ".yml", ".json"):
        return _from_table(_yaml(text), name, command)
    found = shell.commands(text)
    if found:
        first = found[0]
        if first.tool == "llamafactory":
            return llamafactory.read(first.options, first.processes)
        reader = swift.read if first.tool == "swift" else trl.read
        return reader(first.options, first.word, first.processes)
    if suffix in (".sh", ".bash"):
        raise InvalidError("no training command in this script", hint="`swift sft|pt|rlhf ...` and `trl ...` are known")
    return _from_table(_yaml(text), name, command)


def _from_table(table: dict[str, Any], name: str, command: str) -> Imported:
    if "base_model" in table or "base_model_config" in table:
        return axolotl.read(table)
    if "stage" in table or "finetuning_type" in table:
        return llamafactory.read(table)
    if any(key in table for key in ("model_name_or_path", "model_id", "dataset_mixer")):
        return trl.read(table, command or trl.command_of(table, name))
    if "rlhf_type" in table or "train_type" in table or "sft_type" in table:
        return swift.read(table, "rlhf" if "rlhf_type" in table else command or "sft")
    hint = "LLaMA-Factory, axolotl, TRL, ms-swift and XTuner 0.x are known"
    raise InvalidError("this is no configuration of a tool that can be imported", hint=hint)


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        place = f" in line {where.line + 1}" if where is not None else ""
        raise InvalidError(f"no valid YAML{place}: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(value, dict):
        raise InvalidError("this YAML is no table of settings")
    if _parts(value, MOST_PARTS) < 0:
        raise InvalidError(f"this YAML has more than {MOST_PARTS:,} parts or turns back on itself")
    return {str(key): inner for key, inner in value.items()}


def _parts(value: Any, left: int, depth: int = 0) -> int:
    """What is left of a budget of parts; below 0 when it is used up."""
    if left < 0 or depth > 50:
        return -1
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    left -= 1
    for one in inner:
        left = _parts(one, left, depth + 1)
        if left < 0:
            return -1
    return left
