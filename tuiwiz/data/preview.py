"""The first rows of a file as the model will see them, within a second for any size of file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tuiwiz.data.types import PreviewRow


def preview(
    path: Path,
    tokenizer_folder: Path | None,
    *,
    format: str = "auto",
    mapping: Mapping[str, str] | None = None,
    train_on: str = "assistant",
    system: str | None = None,
    max_length: int = 2048,
    overlong: str = "drop",
    limit: int = 5,
) -> list[PreviewRow]:
    """Up to `limit` rows with trained, context and truncated stretches. Without a tokenizer folder turns are simply
    written one after the other and token counts are None."""
    raise NotImplementedError
