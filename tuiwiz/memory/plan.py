"""The answer to "will it fit": one bundle, one model, one device."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from tuiwiz.base.units import gib
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.held import held
from tuiwiz.memory.search import Choice, choices, ordered
from tuiwiz.memory.setting import Setting, setting_of
from tuiwiz.memory.speed import BAND, speed
from tuiwiz.memory.stack import OURS
from tuiwiz.memory.verdict import Verdict, verdict
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.phases import run_steps

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
    `steps` and `seconds` are None while the rows are unknown.
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


def plan(
    bundle: Bundle, shape: ModelShape, device: Device, lengths: Mapping[str, int] | None, rows: int | None
) -> Plan:
    """Plan a bundle. `lengths`: `p50`, `p95` and `max` tokens of a row; `rows`: those that are trained on."""
    longest = lengths["max"] if lengths and lengths.get("max") else None
    setting = setting_of(bundle, device, longest, grouped=shape.grouped)
    found = estimate(shape, setting, device)
    judged = verdict(found.total_bytes, device.usable_bytes)
    options = _choices(bundle, shape, device, setting, longest)
    per_step, why = _step_seconds(bundle, shape, device, setting, lengths)
    steps = run_steps(bundle, rows) if rows else None
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
        why=why,
        steps=steps,
        seconds=per_step * steps if per_step is not None and steps is not None else None,
        disk_bytes=_disk(bundle, shape, setting),
        choices=tuple(options),
        next_step="" if judged == "fits" else _next_step(setting, options),
        others=device.others,
        notes=tuple(_notes(shape, setting, device)),
    )


def _choices(bundle: Bundle, shape: ModelShape, device: Device, setting: Setting, longest: int | None) -> list[Choice]:
    limits = {"effective": bundle.batch.effective, "max_length": bundle.data.max_length, "longest": longest}
    found = choices(shape, setting, device, **limits)  # type: ignore[arg-type]
    for method in METHODS:
        if method != setting.method:
            other = choices(shape, msgspec.structs.replace(setting, method=method), device, **limits)  # type: ignore[arg-type]
            found += [one for one in other if one.max_length == bundle.data.max_length][:1]
    return ordered(found)


def _step_seconds(
    bundle: Bundle, shape: ModelShape, device: Device, setting: Setting, lengths: Mapping[str, int] | None
) -> tuple[float | None, str]:
    if not lengths or not lengths.get("p50"):
        return None, "the lengths of the rows are not known"
    limit = bundle.data.max_length
    # The mean of a skewed distribution lies above its median.
    mean = min(limit, (2 * lengths["p50"] + min(limit, lengths.get("p95", lengths["p50"]))) // 3)
    usual = msgspec.structs.replace(setting, length=max(1, mean))
    return speed(shape, usual, device).step_s, f"+-{BAND:.0%}, from the device's data sheet"


def _disk(bundle: Bundle, shape: ModelShape, setting: Setting) -> int:
    """Checkpoints that are kept, the best one, the one being written, and the result."""
    static = held(shape, setting, OURS)
    kept = static.trained * 4 + 2 * 4 * static.trained
    result = static.trained * (setting.compute_bytes if setting.method == "full" else 4)
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
    if not shape.exact:
        notes.append(f"the architecture {shape.architecture} is not known: its tensors are guessed, the band is wide")
    if shape.experts:
        notes.append("a mixture of experts: not yet checked against measurements")
        if setting.method != "full":
            notes.append("experts stay in 16 bits and are not trained: adapters go to the other linear layers")
    if not device.bf16 and setting.compute == "fp32" and device.kind == "cuda":
        notes.append('this card has no bf16: model.dtype = "fp16" halves activations')
    if setting.length > shape.context > 0:
        notes.append(f"{shape.name} was made for {shape.context:,} tokens")
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
        return f"about {plan.seconds:.0f} s, +-{BAND * plan.seconds:.0f}"
    if minutes < 120:
        return f"about {minutes:.0f} min, +-{BAND * minutes:.0f}"
    return f"about {minutes / 60:.1f} h, +-{BAND * minutes / 60:.1f}"
