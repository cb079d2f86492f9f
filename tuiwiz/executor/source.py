"""Where the base model's files lie on this machine, brought here if they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuiwiz.base import places
from tuiwiz.base.errors import InvalidError
from tuiwiz.executor.quiet import prepare_environment
from tuiwiz.spec.bundle import Bundle


def model_folder(bundle: Bundle, base: Path, progress: Callable[[str, int, int], None]) -> Path:
    """A folder with weights and tokenizer of `model.source`; a relative source starts at `base`."""
    source = bundle.model.source
    for folder in (base / source, places.cache() / "models" / source):
        if (folder / "config.json").is_file():
            prepare_environment(offline=True)
            return folder
    raise InvalidError(f"there is no model {source}")
