"""Faults put into real runs on purpose, as context managers around the executor."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from tuiwiz.executor import batching, build, checkpoint, evaluate, optim, soundness
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.spec import phases, rates
from tuiwiz.spec.optimizer import Schedule


@contextmanager
def spoiled(kind: str) -> Iterator[None]:
    """The executor with the fault `kind`; "" and the resumed kinds change nothing by themselves."""
    with ExitStack() as stack:
        for target, name, value in _changes(kind):
            stack.enter_context(patch.object(target, name, value))
        yield


def _changes(kind: str) -> list[tuple[Any, str, Any]]:
    if kind.startswith("oom-"):
        return [(CausalObjective, "__call__", _calls(_out_of_memory(int(kind[4:]))))]
    if kind.startswith("starved-"):
        return [(CausalObjective, "collate", _slow(CausalObjective.collate, int(kind[8:]) / 1000))]
    kinds: dict[str, list[tuple[Any, str, Any]]] = {
        "frozen": [(build, "make_optimizer", _stale(optim.make_optimizer))],
        "untold": [
            (build, "make_optimizer", _stale(optim.make_optimizer)),
            (soundness.Movement, "look", lambda self, run, rate: None),
        ],
        "masked": [(CausalObjective, "collate", _masked(CausalObjective.collate))],
        "permuted": [(CausalObjective, "collate", _permuted(CausalObjective.collate))],
        "starved": [(CausalObjective, "collate", _slow(CausalObjective.collate, 0.03))],
        "slowing": [(CausalObjective, "__call__", _calls(_slower))],
        "evaluates": [(evaluate, "evaluation_steps", lambda total, every, train, held: list(range(total + 1)))],
        "leak": [(CausalObjective, "__call__", _calls(_leak()))],
        "scaled": [(CausalObjective, "__call__", _scaled(CausalObjective.__call__, 4))],
        "overflow": [(CausalObjective, "__call__", _overflowing(CausalObjective.__call__))],
        "unshuffled": [(batching.Order, "step", _in_order)],
        "rate-early": [(phases, "rate_factor", _early)],
        "rate-late": [(phases, "rate_factor", lambda step, total, plan: rates.rate_factor(step, total * 4, plan))],
        "lost": [(checkpoint, "load", _forgetful(checkpoint.load))],
    }
    return kinds.get(kind, [])


def _stale(make: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer that was built before the adapters were wrapped: it moves weights that nobody uses."""

    def made(named: Any, bundle: Any, device: Any) -> Any:
        copies = [(name, torch.nn.Parameter(value.detach().clone())) for name, value in named]
        return make(copies, bundle, device)

    return made


def _masked(collate: Callable[..., Any]) -> Callable[..., Any]:
    def one_target(*args: Any) -> Any:
        batch = collate(*args)
        if not torch.is_grad_enabled():
            return batch
        return dataclasses.replace(
            batch, predicting=batch.predicting[:1], targets=batch.targets[:1], row_of=batch.row_of[:1]
        )

    return one_target


def _permuted(collate: Callable[..., Any]) -> Callable[..., Any]:
    """The ids of another tokenizer."""

    def other(*args: Any) -> Any:
        batch = collate(*args)
        return dataclasses.replace(batch, targets=(batch.targets * 7919 + 13) % 40_000)

    return other


def _slow(collate: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    def waiting(*args: Any) -> Any:
        if torch.is_grad_enabled():
            time.sleep(seconds)
        return collate(*args)

    return waiting


def _calls(before: Callable[[int], None]) -> Callable[..., Any]:
    """The objective, with `before(count)` called in front of every training pass."""
    inner = CausalObjective.__call__
    count = [0]

    def called(self: Any, batch: Any) -> Any:
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            count[0] += 1
            before(count[0])
        return inner(self, batch)

    return called


def _out_of_memory(at: int) -> Callable[[int], None]:
    def fail(count: int) -> None:
        if count >= at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return fail


def _slower(count: int) -> None:
    time.sleep(0.002 * max(0, count - 20))


def _leak() -> Callable[[int], None]:
    kept: list[torch.Tensor] = []
    return lambda count: kept.append(torch.ones(1_500_000))


def _scaled(inner: Callable[..., Any], factor: int) -> Callable[..., Any]:
    def called(self: Any, batch: Any) -> Any:
        found = inner(self, batch)
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            return _times(found, factor)
        return found

    return called


def _overflowing(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Some losses leave the range of their format, as those of long rows do in fp16."""
    count = [0]

    def called(self: Any, batch: Any) -> Any:
        found = inner(self, batch)
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            count[0] += 1
            if count[0] > 12 and count[0] % 5 == 0:
                return _times(found, float("inf"))
        return found

    return called


def _times(found: Outcome, factor: float) -> Outcome:
    return dataclasses.replace(found, parts={name: part * factor for name, part in found.parts.items()})


def _early(step: int, total: int, plan: Schedule) -> float:
    """The schedule of a run that was taken for shorter than it is."""
    short = total * 2 // 5
    return rates.rate_factor(step, short, plan) if step < short else 0.0


def _in_order(self: Any, index: int) -> list[int]:
    place = index % self.per_epoch
    return list(range(self.rows))[place * self.effective : (place + 1) * self.effective]


def _forgetful(load: Callable[..., Any]) -> Callable[..., Any]:
    def loaded(path: Any, weights: Any, optimizer: Any, scaler: Any) -> Any:
        fresh = {name: value.detach().clone() for name, value in weights.items()}
        progress = load(path, weights, optimizer, scaler)
        with torch.no_grad():
            for name, value in weights.items():
                value.copy_(fresh[name])
        return progress

    return loaded
