"""How a run ends: the best weights saved where people look for them, and a summary."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiwiz.base.files import fsync_folder
from tuiwiz.events import types
from tuiwiz.executor import checkpoint
from tuiwiz.executor.optim import for_evaluation
from tuiwiz.spec.task import HEAD_TASKS

if TYPE_CHECKING:
    from tuiwiz.executor.sampling import Sampler
    from tuiwiz.executor.trainer import Trainer

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)


def finish(run: Trainer, model: Path, sampler: Sampler, reason: str, wall_s: float) -> None:
    """Save the best evaluated weights (the last where nothing was evaluated) and close the run."""
    progress = run.progress
    best = progress.best_step
    if best is not None and best != progress.step:
        kept = run.recorder.folder.checkpoint(best)
        if kept.is_dir():
            if hasattr(run.optimizer, "eval"):
                # The weights that count are an average that its state holds.
                checkpoint.load(kept, run.weights, run.optimizer, run.scaler)
            else:
                checkpoint.load_weights(kept, run.weights)
        else:
            run.recorder.alert(
                "best_lost", f"the checkpoint of the best step {best} is gone: the last weights are saved"
            )
            best = None
    with for_evaluation(run.optimizer):
        sampler.at(progress.step, final=True)
        run.recorder.stage("saving", note="the result")
        path = save_result(run, model)
    found = summary(run, wall_s) | {
        "artifact": path.name,
        "artifact_step": best if best is not None else progress.step,
        "reason": {"early": "stopped improving", "time": "time limit"}.get(reason, reason),
    }
    run.recorder.flush()
    run.recorder.write(types.Finished, summary=found)


def stop(run: Trainer, reason: str, wall_s: float) -> None:
    run.recorder.write(types.Stopped, summary=summary(run, wall_s) | {"reason": reason})


def summary(run: Trainer, wall_s: float) -> dict[str, Any]:
    progress = run.progress
    _, peak = run.device.memory()
    return {
        "step": progress.step,
        "steps": run.total,
        "best_step": progress.best_step,
        "best_loss": progress.best_loss,
        "metric": run.bundle.evaluation.metric,
        "first_score": progress.first_score,
        "best_score": progress.best_score,
        "first_loss": progress.first_loss,
        "last_loss": progress.last_loss,
        "elapsed_s": round(wall_s, 3),
        "training_s": round(progress.elapsed_s, 3),
        "tokens": progress.tokens,
        "supervised_tokens": progress.supervised_tokens,
        "tokens_per_second": round(progress.tokens / max(1e-9, progress.elapsed_s), 2),
        "skipped_steps": progress.skipped_steps,
        "peak_bytes": peak,
    }


def save_result(run: Trainer, model: Path) -> Path:
    """Write `adapter/` (or `model/`) with the tokenizer beside it, whole or not at all.

    Raises:
        OSError: the disk is full.
    """
    folder = run.recorder.folder
    whole = run.bundle.adapter.method in ("full", "freeze")
    final = folder.model if whole else folder.adapter
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        config = getattr(run.model, "config", None)
        if config is not None and whole:
            config.use_cache = True
        if run.pissa is not None:
            run.pissa.save(run.model, temporary)
        else:
            # peft would save all of a matrix that has grown: its new rows are in the adapter already.
            more = {"save_embedding_layers": False} if run.bundle.adapter.new_tokens and not whole else {}
            run.model.save_pretrained(str(temporary), safe_serialization=True, **more)
        if config is not None and run.bundle.task.kind in HEAD_TASKS:
            # Names and number of the outputs; an adapter's own files do not say.
            config.save_pretrained(str(temporary))
        # peft writes a card full of placeholders.
        (temporary / "README.md").unlink(missing_ok=True)
        for name in TOKENIZER_FILES:
            if (model / name).is_file() and not (temporary / name).exists():
                shutil.copyfile(model / name, temporary / name)
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(final, ignore_errors=True)
        os.rename(temporary, final)
        fsync_folder(folder.path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final
