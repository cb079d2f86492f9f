"""Job `simulate`: what settings would allocate on a card, by simulation; no card and no weights are needed.

In: `shape` (or `model_folder`, whose own configuration is read), `settings`, a list, and `stack`. Out: `results`, one a
setting, each with either the bytes or `problem`. Imports take most of the time, so that several settings share a job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.text import clean_line
from tuiwiz.bundle.read import read_bundle
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.events.job import read_job
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import OURS, Stack


def run(folder: Path) -> dict[str, Any]:
    """Simulate every setting; one that cannot be is told and does not stop the others."""
    from tuiwiz.executor.quiet import prepare_environment

    job = read_job(folder)
    prepare_environment(offline=True)
    from tuiwiz.executor.simulation.configs import config_in, config_of
    from tuiwiz.executor.simulation.simulate import simulate

    stack = msgspec.convert(job["stack"], Stack) if "stack" in job else OURS
    source = job.get("model_folder")
    config = config_in(Path(source)) if source else config_of(msgspec.convert(job["shape"], ModelShape))
    bundle = read_bundle(Path(job["bundle"])) if "bundle" in job else None
    results: list[dict[str, Any]] = []
    for values in job["settings"]:
        try:
            found = simulate(config, msgspec.convert(values, Setting), stack, bundle)
            results.append(msgspec.to_builtins(found))
        except TuiwizError as error:
            results.append({"problem": error.message})
        # Classes of any architecture run here on tensors without content, which some of them do not bear.
        except Exception as error:
            words = (str(error) or type(error).__name__).splitlines()[0]
            results.append({"problem": f"this model's classes cannot be simulated: {clean_line(words, 160)}"})
    return {"results": results}
