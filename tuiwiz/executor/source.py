"""Where the base model's files lie on this machine, brought here if they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.problems import Problem
from tuiwiz.catalog.sources import fetch, locate
from tuiwiz.executor.quiet import prepare_environment
from tuiwiz.spec.bundle import Bundle


def model_folder(bundle: Bundle, base: Path, progress: Callable[[str, int, int], None]) -> Path:
    """A folder with weights and tokenizer of `model.source`; a relative source starts at `base`.

    Raises:
        InvalidError: the bundle names no model that there is, or one that cannot be trained.
        MachineLacksError: as `catalog.sources.fetch`.
    """
    source, revision = bundle.model.source, bundle.model.revision
    try:
        located = locate(source, revision, base)
    except UsageError as error:
        # Typed in a command it would be wrong usage; here it stands in a bundle.
        problem = Problem(message=error.message, hint=error.hint, key="model.source")
        raise InvalidError(error.message, hint=error.hint, problems=[problem]) from error
    # Decided before the hub's client is loaded, which reads its settings once.
    prepare_environment(offline=located.has_weights)
    return fetch(source, revision, base, progress)
