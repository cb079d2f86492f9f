"""Command lines out of shell scripts: split into words, never run."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

_ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z_]\w*)=(\S*)")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)(?::?[-=]([^}]*))?\}?")
_SUM = re.compile(r"\$\((?:expr\s+|\()\s*(\d+)\s*([*/+-])\s*(\d+)\s*\)?\)|`expr (\d+) ([*/+-]) (\d+)`")
_STARTS = {"swift": ("sft", "pt", "rlhf"), "trl": ("sft", "dpo", "kto", "orpo", "cpo", "reward", "grpo")}
_COMMENT = re.compile(r"(^|\s)#[^\n]*")
_FACTORY = re.compile(r"(?:^|/)(?:llamafactory-cli|train_bash\.py|train\.py|run_exp\.py)$")
_SCRIPTS = re.compile(r"(?:^|/)(sft|dpo|kto|orpo|cpo|reward_modeling|reward|cpo_simpo)\.py$")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One training command: the tool, its word (`sft`), its options, and processes where the script says so."""

    tool: str
    word: str
    options: dict[str, Any]
    processes: int = 1


def commands(text: str) -> list[Command]:
    """All training commands of a script, in order; options without a value are `true`, with several a list."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n", " ", "\n".join(lines))
    variables: dict[str, str] = {}
    found = []
    for line in joined.splitlines():
        line = _resolve(line, variables)
        try:
            words = shlex.split(line, comments=False)
        except ValueError:
            # A quote that is closed on another line: not a command of ours.
            continue
        assigned: dict[str, str] = {}
        while words and (match := _ASSIGNMENT.match(words[0])):
            assigned[match[1]] = match[2]
            words = words[1:]
        if not words:
            variables |= assigned
            continue
        command = _command(words, variables | assigned)
        if command is not None:
            found.append(command)
    return found


def _resolve(line: str, variables: dict[str, str]) -> str:
    """Variables that the script itself sets, and sums of two whole numbers."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1], match[2] if match[2] is not None else match[0])

    def total(match: re.Match[str]) -> str:
        one, sign, other = match.groups()[:3] if match[1] else match.groups()[3:]
        a, b = int(one), int(other)
        results = {"*": a * b, "+": a + b, "-": a - b, "/": a // b if b else a}
        return str(results[sign])

    line = _VARIABLE.sub(value, line)
    return _SUM.sub(total, line)


def _command(words: list[str], variables: dict[str, str]) -> Command | None:
    for at, word in enumerate(words):
        if _FACTORY.search(word) and "--stage" in words[at:]:
            found = options(words[at + 1 :])
            return Command(
                tool="llamafactory", word="train", options=found, processes=_processes(variables, words[:at])
            )
        if word.rpartition("/")[2] == "llm_sft.py":
            found = options(words[at + 1 :])
            return Command(tool="swift", word="sft", options=found, processes=_processes(variables, words[:at]))
        tool = word.rpartition("/")[2]
        if tool in _STARTS and at + 1 < len(words) and words[at + 1] in _STARTS[tool]:
            found = options(words[at + 2 :])
            return Command(tool=tool, word=words[at + 1], options=found, processes=_processes(variables, words[:at]))
        script = _SCRIPTS.search(word)
        if script and at and ("python" in words[at - 1] or "launch" in words):
            name = {"reward_modeling": "reward", "cpo_simpo": "cpo"}.get(script[1], script[1])
            found = options(words[at + 1 :])
            return Command(tool="trl", word=name, options=found, processes=_processes(variables, words[:at]))
    return None


def _processes(variables: dict[str, str], before: list[str]) -> int:
    """How many processes the script asks for: of the launcher before the command, else by its variable."""
    asked = options(before)
    given = str(asked.get("num_processes") or asked.get("nproc_per_node") or variables.get("NPROC_PER_NODE", ""))
    return int(given) if given.isdigit() and 0 < int(given) <= 4096 else 1


def options(words: list[str]) -> dict[str, Any]:
    """`--a 1 --b x y --c=2 --d` as a table; a redirection or pipe ends it."""
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word in (">", ">>", "|", "&&", ";", "&", "2>&1"):
            break
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            name = name.replace("-", "_")
            found[name] = value if "=" in word else "true"
            fresh = "=" not in word
        elif name:
            found[name] = word if fresh else [*_many(found[name]), word]
            fresh = False
    return found


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
