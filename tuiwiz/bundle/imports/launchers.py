"""Which words of a command line start which tool, whatever launches it (accelerate, torchrun, deepspeed, srun, uv)."""

from __future__ import annotations

import re
from typing import Any

_STARTS = {
    "swift": ("sft", "pt", "rlhf", "dpo", "orpo", "kto", "simpo", "cpo"),
    "trl": ("sft", "dpo", "kto", "orpo", "cpo", "reward", "grpo", "rloo", "ppo"),
}
_SWIFT_SCRIPT = re.compile(r"(?:^|/)(?:llm_(sft|pt|dpo|orpo|kto|simpo|cpo|rlhf)|swift/cli/(sft|pt|rlhf))\.py$")
_FACTORY = re.compile(r"(?:^|/)(?:llamafactory-cli|lmf|train_bash\.py|train\.py|run_exp\.py)$")
_TRL_SCRIPT = re.compile(r"(?:^|/)(?:run_)?(sft|dpo|kto|orpo|cpo|simpo|cpt|reward_modeling|reward|cpo_simpo)\.py$")
_MODULES = {
    "axolotl.cli.train": ("axolotl", "train"),
    "swift.cli.sft": ("swift", "sft"),
    "swift.cli.pt": ("swift", "pt"),
    "swift.cli.rlhf": ("swift", "rlhf"),
}
_TRL_MODULE = re.compile(r"trl\.scripts\.(sft|dpo|kto|orpo|cpo|reward|grpo)$")
_RUNNERS = ("python", "launch", "torchrun", "deepspeed", "accelerate", "uv", "srun")
_ALIASES = {"reward_modeling": "reward", "cpo_simpo": "cpo"}
_ENDS = (">", ">>", "<", "|", "&&", ";", "&", "2>&1", "&>", "2>")
_FILES = (".yaml", ".yml", ".json", ".py")


def recognise(words: list[str], variables: dict[str, str]) -> dict[str, Any] | None:
    """Tool, word, options, file and processes of a training command; None where the words start none."""
    for at, word in enumerate(words):
        found = _start(words, at, word)
        if found is None:
            continue
        tool, name, first = found
        rest = words[first:]
        given, file = options(rest), _file(rest)
        # Many tools have a train.py; only one of them has these words.
        if tool == "llamafactory" and not {"stage", "finetuning_type"} & given.keys() and not file:
            continue
        file = file or str(given.pop("config", "") if tool in ("trl", "axolotl") else "")
        if tool == "swift":
            name, given = _old_words(name, given)
        return {"tool": tool, "word": name, "options": given, "file": file,
                "processes": _processes(variables, words[:at])}  # fmt: skip
    return None


def _start(words: list[str], at: int, word: str) -> tuple[str, str, int] | None:
    """The tool, its word and where its options begin."""
    program = word.rpartition("/")[2]
    follower = words[at + 1] if at + 1 < len(words) else ""
    launched = any(any(part.startswith(_RUNNERS) for part in one.split("/")[-1:]) for one in words[:at])
    if match := _SWIFT_SCRIPT.search(word):
        return "swift", match[1] or match[2], at + 1
    if word in _MODULES and at and words[at - 1] in ("-m", "--module"):
        return *_MODULES[word], at + 1
    if match := _TRL_MODULE.fullmatch(word):
        return "trl", match[1], at + 1
    if program in _STARTS and follower in _STARTS[program]:
        return program, follower, at + 2
    if program in ("axolotl", "xtuner") and follower == "train":
        return program, "train", at + 2
    if _FACTORY.search(word):
        return "llamafactory", "train", at + 1 + (follower == "train")
    if launched and (match := _TRL_SCRIPT.search(word)):
        return "trl", _ALIASES.get(match[1], match[1]), at + 1
    return None


def _old_words(word: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """ms-swift 2 had a command of its own for every way to learn from preferences."""
    if word in ("sft", "pt", "rlhf"):
        return word, given
    return "rlhf", {"rlhf_type": word, **given}


def _processes(variables: dict[str, str], before: list[str]) -> int:
    """How many processes the script asks for: of the launcher before the command, else by its variables."""
    asked = options(before)
    names = ("num_processes", "nproc_per_node", "num_gpus", "nproc-per-node")
    given = next((str(asked[name]) for name in names if name in asked), variables.get("NPROC_PER_NODE", ""))
    return int(given) if given.isdigit() and 0 < int(given) <= 4096 else 1


def _file(words: list[str]) -> str:
    """The first word that is no option's: a configuration's path."""
    first = words[0] if words else ""
    return first if first.endswith(_FILES) else ""


def options(words: list[str]) -> dict[str, Any]:
    """`--a 1 --b x y --c=2 --no_d --e` as a table; a redirection or pipe ends it. `key=value` words count, too."""
    found: dict[str, Any] = {}
    name = ""
    fresh = False
    for word in words:
        if word in _ENDS or word.startswith((">", "2>", "&>")):
            break
        if word.startswith("--") and len(word) > 2:
            name, _, value = word[2:].partition("=")
            name = name.replace("-", "_")
            off = name.startswith("no_") and "=" not in word
            name = name[3:] if off else name
            found[name] = "false" if off else value if "=" in word else "true"
            fresh = "=" not in word
        elif name:
            found[name] = word if fresh else [*_many(found[name]), word]
            fresh = False
        elif re.fullmatch(r"[a-z_]\w*=.*", word):
            key, _, value = word.partition("=")
            found[key] = value
    return found


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
