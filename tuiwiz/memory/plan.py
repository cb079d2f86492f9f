"""The answer to "will it fit": one bundle, one model, one device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from tuiwiz.base.price import Price, own_price
from tuiwiz.base.units import gib
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.measured import kept
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.corrected import Correction, corrected, correction_of
from tuiwiz.memory.cost import Budget, amount_words, budget_of, energy_kwh, money, watts_of
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.held import held
from tuiwiz.memory.search import Choice, choices, ordered
from tuiwiz.memory.setting import STRANGER_PASSES, Setting, setting_of
from tuiwiz.memory.speed import BAND, Speed, speed
from tuiwiz.memory.stack import OURS
from tuiwiz.memory.verdict import Verdict, verdict
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.phases import run_steps
from tuiwiz.spec.task import REFERENCE_TASKS

METHODS = ("qlora", "lora", "full")


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated step took, in bytes: tensors, and the whole process. `problem` says why there is none."""

    allocated_bytes: int = 0
    total_bytes: int = 0
    verdict: Verdict = "no"
    seconds: float = 0.0
    problem: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes and seconds. `items` sum to `total_bytes` at the moment `limiting`; see `memory.estimate`.

    `seconds_per_step` is None where the rows' lengths are unknown, and `why` says so. `choices` holds the bundle's own
    method at every micro-batch, and the best of the other methods, the fastest that fits first. `next_step` is the
    cheapest change that would make it fit, in words. `simulated` is there where it was asked for.
    `steps`, `tokens` (of the whole run) and `seconds` are None while the rows are unknown; so are `energy_kwh` and, at
    the user's price, `money`, which also need to know the device's `watts`. `budget`: what the bundle's limits of time
    leave. `corrected` says which rehearsals on this machine went into the figures. Bytes are those of one of the
    `processes`.
    """

    model: str
    device: str
    verdict: Verdict
    fits: bool
    device_bytes: int
    usable_bytes: int
    total_bytes: int
    low_bytes: int
    high_bytes: int
    items: dict[str, int]
    limiting: str
    seconds_per_step: float | None
    why: str
    steps: int | None
    seconds: float | None
    disk_bytes: int
    choices: tuple[Choice, ...]
    next_step: str = ""
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: Simulation | None = None
    tokens: int | None = None
    watts: float | None = None
    energy_kwh: float | None = None
    money: float | None = None
    currency: str = ""
    budget: Budget | None = None
    corrected: str = ""
    processes: int = 1


def plan(
    bundle: Bundle,
    shape: ModelShape,
    device: Device,
    lengths: Mapping[str, int] | None,
    rows: int | None,
    *,
    price: Price | None = None,
    measured: Iterable[Mapping[str, Any]] | None = None,
    now: datetime | None = None,
) -> Plan:
    """Plan a bundle. `lengths`: `p50`, `p95` and `max` tokens of a row; `rows`: those that are trained on.

    `price` is that of `config.toml`, and `measured` what rehearsals left on this machine, where they are not given.
    """
    longest = lengths["max"] if lengths and lengths.get("max") else None
    device = shared(device, bundle.batch.processes)
    setting = setting_of(bundle, device, longest, grouped=shape.grouped)
    correction = _correction(shape, setting, device, measured)
    found = corrected(estimate(shape, setting, device), correction)
    judged = verdict(found.total_bytes, device.usable_bytes)
    if not shape.exact and judged == "fits" and verdict(found.high_bytes, device.usable_bytes) == "no":
        judged = "tight"
    options = _choices(bundle, shape, device, setting, longest, correction)
    mean = _mean_length(bundle, lengths)
    usual = speed(shape, msgspec.structs.replace(setting, length=mean), device) if mean else None
    per_step = usual.step_s * correction.seconds if usual is not None else None
    steps = run_steps(bundle, rows) if rows else None
    seconds = per_step * steps if per_step is not None and steps is not None else None
    if seconds is not None and usual is not None and rows and steps:
        seconds += _reference_seconds(bundle, usual, rows, steps)
    price = price or own_price()
    kwh = energy_kwh(device, seconds, setting.cards)
    return Plan(
        model=shape.name,
        device=device.name,
        verdict=judged,
        fits=judged != "no",
        device_bytes=device.total_bytes,
        usable_bytes=device.usable_bytes,
        total_bytes=found.total_bytes,
        low_bytes=found.low_bytes,
        high_bytes=found.high_bytes,
        items=found.items,
        limiting=found.limiting,
        seconds_per_step=per_step,
        why=_why(per_step, correction),
        steps=steps,
        seconds=seconds,
        disk_bytes=_disk(bundle, shape, setting),
        choices=tuple(options),
        next_step="" if judged == "fits" else _next_step(setting, options),
        others=device.others,
        notes=tuple(_notes(shape, setting, device)),
        tokens=steps * bundle.batch.effective * setting.lines * mean if steps and mean else None,
        watts=watts_of(device, setting.cards),
        processes=setting.cards,
        energy_kwh=kwh,
        money=money(price, kwh, seconds),
        currency=price.currency if price is not None else "",
        budget=budget_of(bundle, per_step, steps, BAND, now or datetime.now()),
        corrected=correction.words(),
    )


def _correction(
    shape: ModelShape, setting: Setting, device: Device, measured: Iterable[Mapping[str, Any]] | None
) -> Correction:
    """What rehearsals say; of any other machine's device they say nothing.

    On a processor they raise a plan and never lower it: three steps of one length do not hold what a run on many
    lengths comes to, compiled products and gaps.
    """
    if measured is None:
        measured = kept() if device.here else ()
    found = correction_of(measured, shape.name, setting.method, device.name)
    return msgspec.structs.replace(found, memory=max(1.0, found.memory)) if device.kind == "cpu" else found


def shared(device: Device, processes: int) -> Device:
    """What a process has of the device: a card is its own, a machine's processor and memory are everybody's."""
    if device.kind == "cuda" or processes == 1:
        return device
    return msgspec.structs.replace(
        device,
        usable_bytes=device.usable_bytes // processes,
        flops=device.flops / processes,
        bandwidth=device.bandwidth / processes,
    )


def _choices(
    bundle: Bundle, shape: ModelShape, device: Device, setting: Setting, longest: int | None, correction: Correction
) -> list[Choice]:
    limits = {"effective": bundle.batch.effective, "max_length": bundle.data.max_length, "longest": longest}
    found = choices(shape, setting, device, **limits, correction=correction)  # type: ignore[arg-type]
    for method in METHODS:
        if method != setting.method:
            other = choices(shape, msgspec.structs.replace(setting, method=method), device, **limits)  # type: ignore[arg-type]
            found += [one for one in other if one.max_length == bundle.data.max_length][:1]
    return ordered(found)


def _mean_length(bundle: Bundle, lengths: Mapping[str, int] | None) -> int | None:
    """Tokens of a usual row: the mean of a skewed distribution lies above its median."""
    if not lengths or not lengths.get("p50"):
        return None
    limit = bundle.data.max_length
    return max(1, min(limit, (2 * lengths["p50"] + min(limit, lengths.get("p95", lengths["p50"]))) // 3))


def _why(per_step: float | None, correction: Correction) -> str:
    if per_step is None:
        return "the lengths of the rows are not known"
    source = "a rehearsal here" if correction.count and correction.same else "the device's data sheet"
    return f"+-{BAND:.0%}, from {source}"


def _reference_seconds(bundle: Bundle, usual: Speed, rows: int, steps: int) -> float:
    """Time before the first step, in which the model as it is reads every row that the run comes to."""
    if bundle.task.kind not in REFERENCE_TASKS:
        return 0.0
    passes = 1 + STRANGER_PASSES.get(bundle.task.kind, 0)
    return passes * usual.forward_s * min(steps, math.ceil(rows / bundle.batch.effective))


def _disk(bundle: Bundle, shape: ModelShape, setting: Setting) -> int:
    """Checkpoints that are kept, the best one, the one being written, and the result."""
    static = held(shape, setting, OURS)
    kept = static.trained * 4 + 2 * 4 * static.trained
    result = static.trained * (setting.compute_bytes if setting.method == "full" else 4)
    if setting.method == "freeze":
        # The whole model is written, its frozen parts too.
        result = shape.parameters * setting.compute_bytes
    return round((bundle.checkpoint.keep + 2) * kept + result)


def _next_step(setting: Setting, options: list[Choice]) -> str:
    fitting = [choice for choice in options if choice.fits]
    if not fitting:
        least = min(options, key=lambda choice: choice.total_bytes)
        return (
            f"nothing fits: the smallest is {least.method} at {least.max_length:,} tokens, "
            f"which needs {gib(least.total_bytes)}; choose a smaller model or a larger device"
        )
    own = [choice for choice in fitting if choice.method == setting.method]
    best = (own or fitting)[0]
    parts = [] if own else [f"method {best.method}"]
    if best.micro_batch != setting.micro:
        parts.append(f"{best.micro_batch} x {best.accumulation} rows")
    if best.gradient_checkpointing != setting.checkpointing:
        parts.append(f"checkpointing {'on' if best.gradient_checkpointing else 'off'}")
    if best.max_length < setting.length:
        parts.append(f"at most {best.max_length:,} tokens")
    return f"{', '.join(parts) or 'the same setting'} fits: {gib(best.total_bytes)}"


def _notes(shape: ModelShape, setting: Setting, device: Device) -> list[str]:
    notes = []
    if shape.guessed:
        notes.append(
            f"only the size of {shape.name} is known, {shape.parameters / 1e9:.2g}B parameters: widths are those of a "
            "usual model of that size, so that the band is very wide"
        )
    elif not shape.exact:
        notes.append(f"the architecture {shape.architecture} is not known: its tensors are guessed, the band is wide")
    if shape.experts:
        notes.append("a mixture of experts: not yet checked against measurements")
        if setting.adapts:
            notes.append("experts stay in 16 bits and are not trained: adapters go to the other linear layers")
    if not device.bf16 and setting.compute == "fp32" and device.kind == "cuda":
        notes.append('this card has no bf16: model.dtype = "fp16" halves activations')
    if setting.length > shape.context > 0:
        notes.append(f"{shape.name} was made for {shape.context:,} tokens")
    if setting.phases:
        notes.append("phases train different parts: the one that takes most is planned for")
    if setting.optimizer.startswith("paged"):
        notes.append("paged optimizer states move to host memory when the card is full")
    return notes


def simulation_words(found: Simulation) -> str:
    """`by simulation 11.7 GiB: fits`."""
    if found.problem:
        return f"not simulated: {found.problem}"
    word = {"fits": "fits", "tight": "tight", "no": "does not fit"}[found.verdict]
    return f"by simulation {gib(found.total_bytes)}, {gib(found.allocated_bytes)} of it in tensors: {word}"


def time_words(plan: Plan) -> str:
    """`about 21 min, +-7`; empty where it is unknown."""
    if plan.seconds is None or not math.isfinite(plan.seconds):
        return ""
    minutes = plan.seconds / 60
    if minutes < 1.5:
        return f"about {plan.seconds:.0f} s, +-{max(1.0, BAND * plan.seconds):.0f}"
    if minutes < 120:
        return f"about {minutes:.0f} min, +-{BAND * minutes:.0f}"
    return f"about {minutes / 60:.1f} h, +-{BAND * minutes / 60:.1f}"


def cost_words(plan: Plan) -> str:
    """`about 1.8 kWh, 0.54 EUR`; empty where it is unknown."""
    parts = []
    if plan.energy_kwh is not None:
        parts.append(f"{plan.energy_kwh:.2g} kWh" if plan.energy_kwh < 10 else f"{plan.energy_kwh:,.0f} kWh")
    if plan.money is not None:
        parts.append(amount_words(plan.money, plan.currency))
    return f"about {', '.join(parts)}" if parts else ""
