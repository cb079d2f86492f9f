"""Models, devices and data sets that tests speak of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

from tuiwiz.spec.bundle import Bundle
from tuiwiz.wizard.facts import DataFacts, Facts


def shape(name: str, parameters: float, hidden: int, layers: int, heads: int, kv: int, intermediate: int) -> Any:
    head = hidden // heads
    per_rank = layers * (2 * (hidden + heads * head) + 2 * (hidden + kv * head) + 3 * (hidden + intermediate))
    return SimpleNamespace(
        name=name,
        parameters_per_rank=lambda *, experts: per_rank,
        parameters=int(parameters),
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv,
        head_dim=hidden // heads,
        intermediate=intermediate,
    )


SHAPES: dict[str, Any] = {
    "XS": shape("smollm2-135m", 134.5e6, 576, 30, 9, 3, 1536),
    "S": shape("llama-3.2-1b", 1.236e9, 2048, 16, 32, 8, 8192),
    "M": shape("qwen3-8b", 8.19e9, 4096, 36, 32, 8, 12288),
    "XXL": shape("llama-3.1-70b", 70.6e9, 8192, 80, 64, 8, 28672),
}
GPU: Any = SimpleNamespace(name="NVIDIA GeForce RTX 4090", kind="cuda", total_bytes=24 << 30, here=False)


def device(gib: float) -> Any:
    return SimpleNamespace(name=f"{gib} GiB", kind="cuda", total_bytes=int(gib * (1 << 30)), here=False)


CPU: Any = SimpleNamespace(name="CPU", kind="cpu", total_bytes=16 << 30, here=False)


def data(
    rows: int = 1425,
    *,
    supervised: int = 180_000,
    p95: int = 412,
    longest: int = 611,
    exact: bool = True,
    validation_rows: int | None = None,
) -> DataFacts:
    return DataFacts(
        rows=rows,
        tokens=2 * supervised,
        supervised_tokens=supervised,
        p50=p95 // 2,
        p95=p95,
        longest=longest,
        format="prompt-completion",
        mapping={"prompt": "question", "completion": "answer"},
        validation_rows=validation_rows,
        tokenizer="test",
        exact=exact,
    )


DATA = data()


def facts(model: Any = None, *, device: Any = GPU, data: DataFacts = DATA) -> Facts:
    return Facts(shape=model or SHAPES["M"], device=device, data=data)


class FakeChoice(msgspec.Struct):
    method: str
    rank: int
    max_length: int
    micro_batch: int
    accumulation: int
    gradient_checkpointing: bool
    total_bytes: int
    tokens_per_second: float
    fits: bool


class FakePlan(msgspec.Struct):
    verdict: str
    total_bytes: int
    usable_bytes: int
    limiting: str
    choices: list[FakeChoice]


def planner(bundle: Bundle, facts: Facts, rows: int | None) -> Any:
    """A planner of round numbers: a row needs `weights + 1 MiB a token`, half of it with checkpointing."""
    if facts.shape is None or facts.device is None:
        return None
    weights = facts.shape.parameters * {"qlora": 0.6, "lora": 2, "full": 8, "freeze": 4}[bundle.adapter.method]
    choices = []
    for length in sorted({bundle.data.max_length, bundle.data.max_length // 2}, reverse=True):
        for micro in (8, 4, 2, 1):
            for checkpointing in (False, True):
                total = int(weights + micro * length * (1 << 20) / (2 if checkpointing else 1))
                choices.append(
                    FakeChoice(
                        method=bundle.adapter.method,
                        rank=bundle.adapter.rank,
                        max_length=length,
                        micro_batch=micro,
                        accumulation=-(-bundle.batch.effective // micro),
                        gradient_checkpointing=checkpointing,
                        total_bytes=total,
                        tokens_per_second=1000.0 * micro / (1.3 if checkpointing else 1),
                        fits=total <= facts.device.total_bytes,
                    )
                )
    choices.sort(key=lambda choice: (not choice.fits, -choice.tokens_per_second))
    return FakePlan(
        verdict="fits" if choices[0].fits else "no",
        total_bytes=choices[0].total_bytes,
        usable_bytes=facts.device.total_bytes,
        limiting="activations",
        choices=choices,
    )
