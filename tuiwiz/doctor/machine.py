"""What this machine has and lacks: terminal, card, driver, libraries, kernels, disk, clipboard; each with a fix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import psutil

from tuiwiz.base import places
from tuiwiz.base.text import clean_line
from tuiwiz.base.units import GIB, gib
from tuiwiz.catalog.machine import Machine, machine

LEAST_DISK = 10 * GIB
LEAST_COLUMNS, LEAST_ROWS = 80, 24
NEEDED = ("attention sdpa", "attention eager")
"""Trials without which nothing can be trained."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `bad`: runs cannot work; `note`: something is missing that some runs want."""

    name: str
    verdict: Literal["good", "note", "bad"]
    said: str
    fix: str = ""


def check_machine(probe: Mapping[str, Any], found: Machine | None = None) -> list[Check]:
    """`probe` is the answer of the executor's job of that name, or holds `error`."""
    found = found or machine()
    return [*_terminal(), *_hardware(found), *_libraries(probe), *_disk(), *_tools()]


def _terminal() -> Iterator[Check]:
    term, colours = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")
    size = shutil.get_terminal_size((LEAST_COLUMNS, LEAST_ROWS))
    small = size.columns < LEAST_COLUMNS or size.lines < LEAST_ROWS
    yield Check(
        name="terminal",
        verdict="note" if small or term in ("", "dumb") else "good",
        said=clean_line(f"{term or 'no TERM'}, {size.columns} x {size.lines}, {colours or '256 colours or fewer'}"),
        fix=f"screens are made for {LEAST_COLUMNS} x {LEAST_ROWS} and more" if small else "",
    )
    encoding = (sys.stdout.encoding or "").lower()
    plain = "utf" not in encoding
    yield Check(
        name="encoding",
        verdict="note" if plain else "good",
        said=encoding or "unknown",
        fix="set LANG=C.UTF-8, or TUIWIZ_ASCII=1 for screens in ASCII" if plain else "",
    )
    if os.environ.get("TMUX"):
        yield _clipboard()


def _clipboard() -> Check:
    """Whether tmux hands what is copied on to the terminal (OSC 52)."""
    try:
        done = subprocess.run(
            ["tmux", "show-options", "-gv", "set-clipboard"], capture_output=True, text=True, timeout=3, check=False
        )
        value = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        value = ""
    works = value in ("on", "external")
    return Check(
        name="tmux clipboard",
        verdict="good" if works else "note",
        said=f"set-clipboard {value or 'unknown'}",
        fix="" if works else "put `set -g set-clipboard on` into ~/.tmux.conf",
    )


def _hardware(found: Machine) -> Iterator[Check]:
    for gpu in found.gpus:
        others = f"; {', '.join(gpu.others)}" if gpu.others else ""
        yield Check(
            name="GPU",
            verdict="good",
            said=f"{gpu.name}, {gib(gpu.usable_bytes)} of {gib(gpu.total_bytes)} free{others}",
        )
    if not found.gpus:
        yield Check(
            name="GPU",
            verdict="note",
            said=found.why or "none",
            fix="training works on the processor, for small models; with a card: install NVIDIA's driver",
        )
    kind = "bf16" if found.cpu.bf16 else "fp32"
    yield Check(
        name="processor",
        verdict="good",
        said=f"{found.cpus} cores, {kind}, {gib(found.cpu.usable_bytes)} of {gib(found.cpu.total_bytes)} memory free",
    )


def _libraries(probe: Mapping[str, Any]) -> Iterator[Check]:
    if "error" in probe:
        fix = "python -m pip install --upgrade tuiwiz, in an environment of its own"
        yield Check(name="libraries", verdict="bad", said=clean_line(str(probe["error"]), 300), fix=fix)
        return
    for name, told in probe.get("libraries", {}).items():
        yield Check(
            name=name,
            verdict="good" if told["ok"] else "bad",
            said=clean_line(told["said"]),
            fix="" if told["ok"] else f"python -m pip install --upgrade {name}",
        )
    for name, told in probe.get("trials", {}).items():
        bad = not told["ok"]
        yield Check(
            name=name,
            verdict="good" if not bad else "bad" if name in NEEDED else "note",
            said=clean_line(f"{probe.get('device', '')}: {told['said']}"),
            fix="" if not bad else "this build of torch has no such kernel here; another one is used in its place",
        )


def _disk() -> Iterator[Check]:
    for name, place in (("disk for runs", places.runs()), ("disk for models", places.cache())):
        there = next((path for path in (place, *place.parents) if path.exists()), Path("/"))
        free = psutil.disk_usage(str(there)).free
        low = free < LEAST_DISK
        writable = os.access(there, os.W_OK)
        fix = "free some space, or set TUIWIZ_HOME to another disk" if low else ""
        yield Check(
            name=name,
            verdict="bad" if not writable else "note" if low else "good",
            said=clean_line(f"{gib(free)} free under {place}" + ("" if writable else ", not writable")),
            fix=fix if writable else "set TUIWIZ_HOME to a folder of yours",
        )


def _tools() -> Iterator[Check]:
    config = places.config_file()
    yield Check(
        name="settings",
        verdict="good",
        said=clean_line(f"{config}{'' if config.exists() else ' (not there: defaults)'}"),
    )
