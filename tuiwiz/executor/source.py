"""Where the base model's files lie on this machine, brought here if they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuiwiz.catalog.sources import fetch, locate
from tuiwiz.executor.quiet import prepare_environment
from tuiwiz.spec.bundle import Bundle


def model_folder(bundle: Bundle, base: Path, progress: Callable[[str, int, int], None]) -> Path:
    """A folder with weights and tokenizer of `model.source`; a relative source starts at `base`.

    Raises:
        InvalidError, MachineLacksError, UsageError: as `catalog.sources.fetch`.
    """
    source, revision = bundle.model.source, bundle.model.revision
    # Decided before the hub's client is loaded, which reads its settings once.
    prepare_environment(offline=locate(source, revision, base).has_weights)
    return fetch(source, revision, base, progress)
