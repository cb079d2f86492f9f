"""Small files of every kind, written by the tests themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAIRS = [{"prompt": f"What is {i} plus {i}?", "completion": f"It is {2 * i}."} for i in range(1, 31)]


def lines(path: Path, rows: Iterable[Any]) -> Path:
    """JSON lines; a str is written as it is."""
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def chat(*contents: str, system: str = "") -> list[dict[str, str]]:
    """User and assistant turns in alternation."""
    turns = [{"role": "system", "content": system}] if system else []
    return turns + [
        {"role": "assistant" if i % 2 else "user", "content": content} for i, content in enumerate(contents)
    ]
