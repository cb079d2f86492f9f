"""Out of memory: one rung down, and what failed once more from its start with its random streams.

The rungs of a step are half the micro-batch, down to one row, recomputed activations, and on CUDA those in host memory;
an evaluation halves the tokens of one pass; a save gives cached memory back once. None of these changes the arithmetic
but for the order of sums: the effective batch and the learning rate stay. The last rung of a step does, and says so:
optimizer states in 8 bits. Each rung is an `adjusted` event and an entry of `[[adjustments]]` in
`resolved.toml`, so that a resumed or replayed run takes it at the same step.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

import msgspec
import torch

from tuiwiz.base.errors import DoesNotFitError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.text import clean_line
from tuiwiz.bundle.change import change
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.events import types
from tuiwiz.executor import small_states
from tuiwiz.executor.chance import streams_now
from tuiwiz.executor.crew import Crew
from tuiwiz.executor.failure import is_out_of_memory
from tuiwiz.executor.model import enable_checkpointing
from tuiwiz.executor.speedups import keeping_activations
from tuiwiz.spec.bundle import Adjustment

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer

_T = TypeVar("_T")

MICRO, RECOMPUTE, PASS = "batch.micro", "memory.gradient_checkpointing", "evaluation tokens of a pass"
OFFLOAD, STATES = "memory.offload", small_states.KEY
CHANGES = "this changes the arithmetic"
"""What the reason of a rung ends with after which the run is not that of one with room."""
TOKENS = "batch.micro_tokens"
LEAST_PASS = 64
"""Tokens below which an evaluation pass is not halved."""
WHOLE_UPDATES = ("adamw", "sgd")
"""Optimizers that take all the memory of an update before they change the first weight."""


def step_or_lower(run: Trainer, work: Callable[[], _T]) -> _T:
    """`work`, an optimizer step, as often as rungs are left.

    Raises:
        DoesNotFitError: it does not fit on the lowest rung.
    """
    return _work(run, work, lambda words: _lower_step(run, words))


def evaluate_or_lower(run: Trainer, work: Callable[[], _T]) -> _T:
    """`work`, an evaluation, with ever fewer tokens in one pass."""
    return _work(run, work, lambda words: _lower_evaluation(run, words))


def save_or_release(run: Trainer, work: Callable[[], _T]) -> _T:
    """`work`, a save, once more after cached memory was given back."""
    left = [True]

    def release(words: str) -> bool:
        run.recorder.log(f"out of memory while saving ({words}): once more", "warning")
        return bool(left and left.pop())

    return _work(run, work, release)


@contextmanager
def together(crew: Crew) -> Iterator[None]:
    """Work between two exchanges: where one process has no room, all go one rung lower.

    Raises:
        OutOfMemoryError: a process had no room, with its words.
    """
    words = ""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if crew.size == 1 or not is_out_of_memory(error):
            raise
        words = _first_words(error)
    if words := crew.trouble(words):
        raise torch.OutOfMemoryError(words)


def _first_words(error: BaseException) -> str:
    """Only the words: the error holds the frames, and they hold the tensors that did not fit."""
    return clean_line(str(error).partition("\n")[0], 160) or type(error).__name__


def apply_due(run: Trainer) -> None:
    """Take the adjustments that an earlier attempt made up to the present step."""
    for one in run.adjustments[run.adjusted :]:
        if one.step > run.progress.step:
            return
        _apply(run, one)
        run.adjusted += 1


def take_one(run: Trainer, words: str) -> None:
    """One rung lower before anything failed here: an earlier attempt was ended for memory."""
    if run.bundle.memory.oom == "ladder" and not _lower_step(run, words):
        raise DoesNotFitError(f"{words}, on the lowest rung of the ladder", hint=_HINT)


_HINT = "a smaller model, data.max_length or adapter.rank; `tuiwiz plan` shows what fits"


def _work(run: Trainer, work: Callable[[], _T], lower: Callable[[str], bool]) -> _T:
    if run.bundle.memory.oom != "ladder":
        return work()
    streams = streams_now()
    while True:
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or _half_updated(run):
                raise
            words = _first_words(error)
        _forget(run)
        if not lower(words):
            raise DoesNotFitError(f"out of memory on the lowest rung of the ladder: {words}", hint=_HINT)
        streams.put_back()


def _half_updated(run: Trainer) -> bool:
    """Whether the update may have moved some weights and not others: that step cannot be taken again."""
    own = run.bundle.optimizer.name == small_states.FROM and type(run.optimizer) is not torch.optim.AdamW
    return run.updating and (own or run.bundle.optimizer.name not in WHOLE_UPDATES)


def _forget(run: Trainer) -> None:
    """Let go of everything that the failed attempt left behind."""
    run.updating = False
    run.optimizer.zero_grad(set_to_none=True)
    if run.scaler is not None:
        run.scaler._per_optimizer_states.clear()
    gc.collect()
    run.device.release()


def _lower_step(run: Trainer, words: str) -> bool:
    if run.micro_tokens is not None:
        # Below the longest row a smaller budget changes nothing for it.
        if run.micro_tokens > max(run.train_rows.lengths):
            return _adjust(run, TOKENS, run.micro_tokens, run.micro_tokens // 2, words)
    elif run.micro > 1:
        return _adjust(run, MICRO, run.micro, (run.micro + 1) // 2, words)
    if not run.recomputes:
        return _adjust(run, RECOMPUTE, False, True, words)
    if run.device.is_cuda and run.keeping is nullcontext:
        return _adjust(run, OFFLOAD, "none", "activations", words)
    if small_states.possible(run.bundle, run.optimizer):
        name = small_states.small_name(run.device)
        return _adjust(run, STATES, run.bundle.optimizer.name, name, f"{words}; {CHANGES}")
    return False


def _lower_evaluation(run: Trainer, words: str) -> bool:
    half = run.evaluation_tokens // 2
    return half >= LEAST_PASS and _adjust(run, PASS, run.evaluation_tokens, half, words)


def _adjust(run: Trainer, key: str, before: int | str, after: int | str, words: str) -> bool:
    step, reason = run.progress.step, f"out of memory: {words}"
    one = Adjustment(step=step, key=key, from_=before, to=after, reason=reason)
    _apply(run, one)
    run.adjustments = (*run.adjustments[: run.adjusted], one, *run.adjustments[run.adjusted :])
    run.adjusted += 1
    run.recorder.write(types.Adjusted, step=step, key=key, from_=before, to=after, reason=reason)
    resolved = run.recorder.folder.resolved
    if resolved.exists() and run.crew.rank == 0:
        lines = resolved.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        kept = msgspec.structs.replace(read_bundle(resolved), adjustments=run.adjustments)
        write_atomic(resolved, write_bundle(kept, heading=lines))
    return True


def _apply(run: Trainer, one: Adjustment) -> None:
    if one.key == MICRO:
        run.micro = int(one.to)
    elif one.key == TOKENS:
        run.micro_tokens = int(one.to)
    elif one.key == RECOMPUTE:
        enable_checkpointing(run.model)
        run.recomputes = True
    elif one.key == OFFLOAD:
        run.keeping = keeping_activations(change(run.bundle, {OFFLOAD: one.to}, by="executor"))
    elif one.key == STATES and small_states.possible(run.bundle, run.optimizer):
        # A resumed run's optimizer may be the small one already.
        run.optimizer = small_states.with_small_states(run.optimizer, run.bundle, str(one.to), run.weights, run.device)
    elif one.key == PASS:
        run.evaluation_tokens = int(one.to)
