"""Where to start with a task that no preset speaks of: one rate for adapters, one for all weights, and a length.

Extrapolated from published runs on models below 5B (grade C): the order of magnitude is right, a sweep finds the rest.
"""

from __future__ import annotations

import msgspec

from tuiwiz.wizard.work import PLANNER, Work


class Start(msgspec.Struct, frozen=True):
    """Learning rates for alpha 32 and for all weights, rows a step, passes over the rows, and where that is from."""

    adapters: float
    full: float
    rows: int
    epochs: float
    source: str


STARTS: dict[str, Start] = {
    "pretrain": Start(1e-4, 5e-5, 64, 1.0, "Unsloth's continued pretraining"),
    "classify": Start(2e-4, 2e-5, 32, 5.0, "RoBERTa and LoRA papers"),
    "dpo": Start(1e-5, 1e-6, 64, 1.0, "alignment-handbook, SimPO"),
    "simpo": Start(1e-5, 1e-6, 64, 1.0, "SimPO"),
    "orpo": Start(8e-5, 5e-6, 32, 3.0, "ORPO, alignment-handbook"),
    "kto": Start(5e-6, 1e-6, 32, 2.0, "HALOs, TRL"),
    "reward": Start(1e-4, 2e-5, 64, 1.0, "Llama 2, open-instruct"),
}


def start_from(work: Work, method: str) -> None:
    """Enter the values for `work`'s task, if it is one of these."""
    start = STARTS.get(str(work.values["task.kind"]))
    if start is None:
        return
    why = f"no preset speaks of this task; grade C, from {start.source}: compare two or three rates"
    rate = start.full if method in ("full", "freeze") else start.adapters
    work.put("optimizer.learning_rate", rate, PLANNER, why)
    work.put("batch.effective", start.rows, PLANNER, why)
    work.put("schedule.epochs", start.epochs, PLANNER, why)
    if method in ("lora", "qlora"):
        work.put("adapter.alpha", 32.0, PLANNER, "the alpha that the rate is for")
