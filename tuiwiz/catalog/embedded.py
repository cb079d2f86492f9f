"""The model that tuiwiz brings itself: SmolLM2-135M-Instruct, Apache-2.0."""

from __future__ import annotations

from pathlib import Path

from tuiwiz.base import places

NAME = "smollm2-135m-instruct"


def folder() -> Path:
    """Where the converted model lies, or will lie."""
    return places.cache() / "models" / NAME


def is_ready() -> bool:
    """Whether it was brought and converted; the conversion makes the folder whole or not at all."""
    return (folder() / "config.json").is_file()
