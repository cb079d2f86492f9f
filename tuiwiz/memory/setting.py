"""What a run's memory depends on besides model and device."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.parts import as_words
from tuiwiz.spec.task import HEAD_TASKS, PAIR_TASKS

Compute = Literal["bf16", "fp16", "fp32"]
STRANGER_PASSES = {"kto": 1}
"""Forward passes over each row of a step that come on top of the training pass, by task."""
COMPUTE_BYTES: dict[str, int] = {"bf16": 2, "fp16": 2, "fp32": 4}


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run. `length` is the longest row in tokens, padding included; `micro` rows share a forward pass.

    `supervised`: the largest share of a row's tokens that go through the head. `slim`: norms and gated feed-forward
    parts that keep less, as the executor has them on processors. `lines`: rows of the forward pass for each row of the
    set, 2 where pairs are compared (what the model thought of them before is counted beforehand: no second model).
    `samples`: prompts that are answered at once in an evaluation. `trainable`: the parts that `freeze` trains.
    `numbers`: the model ends in a small head of numbers. `strangers`: forward passes without gradient over every row of
    a step. `phase`: of the parts that the run trains, those that one of its phases does; empty for all. `phases`: name
    and parts of each phase that has its own, of which the hardest decides.
    """

    method: Literal["qlora", "lora", "full", "freeze"] = "qlora"
    length: int = 2048
    micro: int = 1
    accumulation: int = 1
    rank: int = 16
    targets: str | tuple[str, ...] = "all-linear"
    dropout: float = 0.0
    double_quantised: bool = True
    compute: Compute = "bf16"
    checkpointing: bool = False
    fused_loss: bool = True
    optimizer: str = "adamw"
    momentum: bool = False
    attention: Literal["sdpa", "flash", "math", "eager"] = "sdpa"
    supervised: float = 1.0
    slim: bool = False
    bits: Literal[4, 8] = 4
    lines: int = 1
    samples: int = 0
    trainable: tuple[str, ...] = ()
    phase: tuple[str, ...] = ()
    phases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    numbers: bool = False
    strangers: int = 0
    sharding: Literal["single", "exchange", "ddp", "fsdp", "zero2", "zero3"] = "single"
    """`exchange`: our own data parallelism, which sums gradients bucket by bucket."""
    cards: int = 1

    @property
    def tokens(self) -> int:
        """Tokens of one forward pass."""
        return self.micro * self.lines * self.length

    @property
    def adapts(self) -> bool:
        """Whether adapters are trained and the model itself is not."""
        return self.method in ("qlora", "lora")

    @property
    def compute_bytes(self) -> int:
        return COMPUTE_BYTES[self.compute]


def setting_of(bundle: Bundle, device: Device, longest: int | None = None, *, grouped: bool = True) -> Setting:
    """The setting that a bundle asks for on a device; rows are no longer than `longest` tokens, if that is known."""
    lines = 2 if bundle.task.kind in PAIR_TASKS else 1
    length = min(int(bundle.data.max_length), longest or int(bundle.data.max_length))
    batch = bundle.batch
    share = -(-batch.effective // batch.processes)
    own = -(-share // batch.accumulation) if batch.accumulation else min(share, 8)
    if batch.micro_tokens:
        own = rows_within(batch.micro_tokens, lines * length, batch.effective)
    micro = min(batch.micro or own, share)
    return Setting(
        method=bundle.adapter.method,
        length=length,
        micro=micro,
        accumulation=-(-share // micro),
        rank=bundle.adapter.rank,
        targets=bundle.adapter.targets,
        dropout=bundle.adapter.dropout,
        double_quantised=bundle.quantization.double,
        compute=_compute(bundle, device),
        checkpointing=bundle.memory.gradient_checkpointing,
        fused_loss=bundle.memory.fused_loss,
        # On a processor there is nowhere to page to: the states stay.
        optimizer=bundle.optimizer.name.removeprefix("paged_" if device.kind == "cpu" else ""),
        momentum=bool(bundle.optimizer.momentum),
        slim=device.kind == "cpu",
        bits=bundle.quantization.bits,
        lines=lines,
        samples=0 if bundle.task.kind in HEAD_TASKS else bundle.evaluation.samples,
        trainable=as_words(bundle.adapter.trainable),
        phases=_phases(bundle),
        numbers=bundle.task.kind in HEAD_TASKS,
        strangers=STRANGER_PASSES.get(bundle.task.kind, 0),
        sharding="exchange" if bundle.launch.strategy == "ddp" else bundle.launch.strategy,
        cards=max(1, bundle.batch.processes),
        attention=_attention(bundle, device, grouped=grouped),
    )


def _phases(bundle: Bundle) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Phases by what they train, where any has a set of its own."""
    if all(one.trainable is None for one in bundle.phases):
        return ()
    found: dict[tuple[str, ...], str] = {}
    for one in bundle.phases:
        words = as_words(one.trainable or ())
        found.setdefault(() if "all" in words else words, one.name)
    return tuple((name, words) for words, name in found.items())


def rows_within(tokens: int, longest: int, effective: int) -> int:
    """Rows that one forward pass of at most so many tokens can always hold: rows of `longest` tokens, at least one."""
    return max(1, min(effective, tokens // max(1, longest)))


def _attention(bundle: Bundle, device: Device, *, grouped: bool) -> Literal["sdpa", "flash", "math", "eager"]:
    """The kernel that runs. Cards before Ampere, and fp32, have none for `grouped` heads: torch builds the scores."""
    if bundle.model.attention == "eager":
        return "eager"
    if device.kind == "cpu" or (device.bf16 and _compute(bundle, device) != "fp32"):
        return "flash"
    return "math" if grouped else "sdpa"


def _compute(bundle: Bundle, device: Device) -> Compute:
    """The type of products, by the executor's rule: bf16 where the device has it."""
    wanted = bundle.model.dtype
    if bundle.adapter.method == "qlora" and bundle.quantization.compute_dtype != "auto":
        wanted = bundle.quantization.compute_dtype
    if wanted == "auto":
        return "bf16" if device.bf16 else "fp32"
    return wanted
