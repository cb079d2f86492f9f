"""A setting simulated: the peak that tensors take, what the process then holds of the card, and at which moment."""

from __future__ import annotations

import gc
import time
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.executor.simulation.allocator import CachingAllocator
from tuiwiz.executor.simulation.build import build, bundle_of
from tuiwiz.executor.simulation.kernels import WORKSPACES, cuda_kernels
from tuiwiz.executor.simulation.step import run_steps
from tuiwiz.executor.simulation.trace import Trace
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import OURS, Stack
from tuiwiz.spec.bundle import Bundle


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `static_bytes` are there before the first step: weights and adapters. `moments`: the most of each part.

    `reserved_bytes` is with the stack's own kind of segments. `trained` counts elements, `operations` those traced.
    """

    allocated_bytes: int
    reserved_bytes: int
    static_bytes: int
    moments: dict[str, int]
    trained: int
    operations: int
    seconds: float


def simulate(config: Any, setting: Setting, stack: Stack = OURS, bundle: Bundle | None = None) -> Simulated:
    """Simulate two steps of `setting` with a model of this transformers configuration.

    Raises:
        InvalidError: the setting asks for what has no simulation.
        Exception: whatever the model's classes raise where they cannot run without content.
    """
    if setting.numbers:
        raise InvalidError("a head of numbers cannot be simulated", hint="the plan's own estimate knows it")
    started = time.perf_counter()
    wanted = bundle or bundle_of(setting)
    trace = Trace(WORKSPACES)
    with cuda_kernels():
        model = build(config, setting, stack, wanted)
        trained = run_steps(model, setting, stack, wanted, trace)
    del model
    gc.collect()
    return Simulated(
        allocated_bytes=trace.peak,
        reserved_bytes=replay(trace.events, CachingAllocator(expandable=stack.expandable)),
        static_bytes=trace.static,
        moments=trace.moments,
        trained=trained,
        operations=trace.operations,
        seconds=round(time.perf_counter() - started, 2),
    )


def replay(events: list[tuple[int, int]], allocator: CachingAllocator) -> int:
    """What an allocator takes to serve a trace."""
    for number, size in events:
        if size:
            allocator.allocate(number, size)
        else:
            allocator.release(number)
    return allocator.peak_reserved
