"""From a bundle's `[data]` and `[validation]` to rows a model can train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuiwiz.data.types import Prepared
from tuiwiz.spec.bundle import Bundle


def prepare(
    bundle: Bundle,
    folder: Path,
    tokenizer_folder: Path,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    tokenizer_name: str = "",
) -> Prepared:
    """Read, check, split and encode the bundle's data.

    `folder` is where the bundle's relative paths start; `progress(stage, done, total)` has total 0 where unknown.

    Raises:
        InvalidError: the data cannot be used; its problems name every bad row.
    """
    raise NotImplementedError
