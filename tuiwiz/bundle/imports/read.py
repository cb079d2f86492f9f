"""Which tool a file is for, and its bundle."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.bundle.imports import axolotl, factory_v1, llamafactory, shell, swift, trl, xtuner
from tuiwiz.bundle.imports.draft import Imported, Line
from tuiwiz.bundle.imports.neighbours import LARGEST_FILE, Neighbours
from tuiwiz.bundle.imports.syntax import Base

MOST_PARTS = 20_000
"""Parts of a YAML, those that it repeats by reference counted each time."""
NO_TRAINING = {"infer_backend": "inference", "export_dir": "merging or export", "do_predict": "prediction"}
"""Keys of configurations that train nothing."""
KNOWN = "LLaMA-Factory, axolotl, TRL, ms-swift and XTuner 0.x are known"
_MEGATRON = re.compile(r"^[^#\n]*\bmegatron\s+(?:sft|pt|rlhf)\b", re.MULTILINE)
_KEY = re.compile(r"^([A-Za-z_]\w*)[ \t]*:(?=\s)", re.MULTILINE)
SCRIPTS = (".sh", ".bash", ".slurm", ".sbatch")


def import_file(path: Path, *, command: str = "") -> Imported:
    """The bundle of another tool's configuration. `command` says what a TRL YAML is for (sft, dpo, ...).

    Files that it names by relative paths (a script's YAML, an XTuner base) are read where they lie near it.

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
    return import_text(text, path.as_posix(), command=command, neighbours=Neighbours(path.parent))


def import_text(text: str, name: str, *, command: str = "", neighbours: Neighbours | None = None) -> Imported:
    """As `import_file`, from a text; `name` is its path, whose suffix and words tell of what it is."""
    suffix = Path(name).suffix.lower()
    near = neighbours or Neighbours(None)
    if suffix == ".py":
        return xtuner.read(text, _python_base(near, near.folder))
    if suffix in (".yaml", ".yml", ".json"):
        found = _from_table(_yaml(text), name, command)
        return msgspec.structs.replace(found, lines=(*found.lines, *_twice(text)))
    script = shell.read_script(text)
    if script.commands:
        near.written |= script.files
        first, *others = script.commands
        found = _from_command(first, near)
        lines = [*found.lines, *(Line(source=first.tool, fate="not carried", how=one) for one in first.notes)]
        lines += [
            Line(
                source=f"{one.tool} {one.word}", fate="not carried", how="a further command: one is imported at a time"
            )
            for one in others
        ]
        return msgspec.structs.replace(found, lines=tuple(lines))
    if suffix in SCRIPTS:
        if _MEGATRON.search(text):
            hint = "the same options under `swift sft` train one whole model a device and are imported"
            raise InvalidError("ms-swift: training by Megatron has no counterpart here", hint=hint)
        hint = (
            "known: `swift sft|pt|rlhf`, `trl sft|dpo|...`, `llamafactory-cli train`, `axolotl train`, `xtuner train`"
        )
        raise InvalidError("no training command in this script", hint=hint)
    return _from_table(_yaml(text), name, command)


def _from_command(first: shell.Command, near: Neighbours) -> Imported:
    """The bundle of a command line, over the values of the file that it names."""
    options: dict[str, Any] = dict(first.options)
    table: dict[str, Any] = {}
    if first.file:
        held = near.read(first.file)
        if held is None:
            hint = f"import that file instead: tuiwiz import {first.file}"
            raise InvalidError(f"this script's values lie in {first.file}, which is not here", hint=hint)
        if first.tool == "xtuner":
            return xtuner.read(held[0], _python_base(near, held[1].parent), first.processes)
        table = _yaml(held[0])
    if first.tool == "xtuner":
        raise InvalidError("this `xtuner train` names no Python file", hint="import the configuration itself")
    given = table | options
    if first.tool == "axolotl":
        return axolotl.read(given, first.processes)
    if first.tool == "llamafactory":
        return llamafactory.read(given, first.processes)
    if first.tool == "swift":
        return swift.read(given, first.word, first.processes)
    return trl.read(given, first.word, first.processes)


def _python_base(near: Neighbours, folder: Path | None) -> Base:
    def base(name: str) -> tuple[str, Base] | None:
        held = near.read(name, folder)
        return None if held is None else (held[0], _python_base(near, held[1].parent))

    return base


def _from_table(table: dict[str, Any], name: str, command: str) -> Imported:
    for key, what in NO_TRAINING.items():
        nested = [one for one in table.values() if isinstance(one, dict)]
        if any(key in one for one in [table, *nested]) and not any(
            one in table for one in ("do_train", "learning_rate", "num_train_epochs")
        ):
            raise InvalidError(f"this configuration is for {what}, not for training", hint=KNOWN)
    if "base_model" in table or "base_model_config" in table:
        return axolotl.read(table)
    if "stage" in table or "finetuning_type" in table:
        return llamafactory.read(table)
    if factory_v1.is_new(table):
        return llamafactory.read(table)
    if any(key in table for key in ("model_name_or_path", "model_id", "dataset_mixer", "dataset_mixture")):
        return trl.read(table, command or trl.command_of(table, name))
    if any(key in table for key in ("rlhf_type", "train_type", "sft_type", "tuner_type")):
        return swift.read(table, "rlhf" if "rlhf_type" in table else command or "sft")
    raise InvalidError("this is no configuration of a tool that can be imported", hint=KNOWN)


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


def _twice(text: str) -> list[Line]:
    """Settings that a YAML holds more than once, of which its readers take the last without a word."""
    counts = Counter(_KEY.findall(text))
    how = "it is written more than once: the last one counts"
    return [Line(source=key, fate="not carried", how=how) for key, count in counts.items() if count > 1]


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
