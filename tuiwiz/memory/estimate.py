"""Peak memory of a run, item by item, in closed form: no torch, some microseconds.

The peak is the largest of the moments of one optimizer step. At each moment the same things are held (weights, adapter,
optimizer states) and others differ (activations, logits, gradients, working space). Of the largest moment the items are
told, and they sum to the total. Method and evidence: activations as in Korthikanti et al., arXiv 2205.05198, with what
this package's executor really saves; checkpointing, arXiv 1604.06174; NF4 with double quantisation, arXiv 2305.14314.
"""

from __future__ import annotations

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.activations import saved
from tuiwiz.memory.held import held
from tuiwiz.memory.loss import logit_bytes, loss_bytes
from tuiwiz.memory.overhead import context_bytes, reserve_bytes, uncertainty
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import OURS, Stack

ITEMS = (
    "weights",
    "quantization_constants",
    "adapter",
    "gradients",
    "optimizer",
    "activations",
    "logits",
    "temporary",
    "communication",
    "context",
    "reserve",
)
LOSS, LAYER, FIRST_LAYER, EMBEDDING, STEP, ANSWERS = (
    "the loss of the longest batch",
    "the backward pass of one layer",
    "the last layer of the backward pass",
    "the gradient of the embedding",
    "the optimizer step",
    "the answers to held-out prompts",
)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `items` has every name of `ITEMS`, sums to `total_bytes`, and describes the moment `limiting`.

    `allocated_bytes` is the total without context and reserve: what an allocator counts.
    """

    items: dict[str, int]
    total_bytes: int
    low_bytes: int
    high_bytes: int
    allocated_bytes: int
    limiting: str


def estimate(shape: ModelShape, setting: Setting, device: Device, stack: Stack = OURS) -> Estimate:
    """The peak of an optimizer step on its longest rows."""
    static, kept = held(shape, setting, stack), saved(shape, setting, stack)
    found = moments(shape, setting, stack)
    limiting = max(found, key=lambda name: sum(found[name].values()))
    items = dict.fromkeys(ITEMS, 0.0)
    items |= {"weights": static.weights, "quantization_constants": static.constants}
    items |= {"adapter": static.adapter, "optimizer": static.optimizer, "communication": static.communication}
    items |= found[limiting]
    allocated = sum(items.values())
    items["context"] = context_bytes(device)
    items["reserve"] = reserve_bytes(items, shape, setting, device, shape.layers * kept.layer)
    whole = {name: round(size) for name, size in items.items()}
    total = sum(whole.values())
    low, high = uncertainty(shape, device)
    return Estimate(
        items=whole,
        total_bytes=total,
        low_bytes=round(total - low * (total - whole["weights"])),
        high_bytes=round(total + high * (total - whole["weights"])),
        allocated_bytes=round(allocated),
        limiting=limiting,
    )


def moments(shape: ModelShape, setting: Setting, stack: Stack) -> dict[str, dict[str, float]]:
    """What comes on top of what is held at the moments of a step that can be its peak, item by item."""
    static, kept = held(shape, setting, stack), saved(shape, setting, stack)
    full = setting.method == "full"
    head = shape.vocab * shape.hidden * stack.masters_bytes if full else 0
    store = kept.checkpoint if setting.checkpointing else shape.layers * kept.layer
    # From the second micro-batch on, the gradients of the first are there all along.
    earlier = static.gradients if setting.accumulation > 1 and stack.accumulates else 0.0
    found = {
        LOSS: {
            "activations": store + kept.final,
            "logits": loss_bytes(shape, setting, stack),
            "temporary": kept.compute_copies,
            "gradients": earlier,
        },
        STEP: {"gradients": static.gradients, "temporary": static.step},
        ANSWERS: {"activations": _answering(shape, setting)},
    }
    # A loop that holds the model's outputs keeps their logits until the backward pass is done.
    outputs = setting.tokens * shape.vocab * logit_bytes(setting, stack) if stack.keeps_logits else 0
    if setting.checkpointing:
        found[LAYER] = {
            "logits": outputs,
            "activations": kept.checkpoint + kept.layer,
            "temporary": kept.working,
            "gradients": max(earlier, head if full else static.gradients / shape.layers),
        }
    else:
        found[LAYER] = {
            "logits": outputs,
            "activations": store,
            "temporary": kept.working_of_mlp + kept.compute_copies,
            "gradients": earlier,
        }
    if full:
        found[FIRST_LAYER] = {
            "activations": kept.checkpoint / shape.layers + kept.layer,
            "temporary": kept.working,
            "gradients": static.gradients,
        }
    if full and shape.tied and stack.loss == "chunked":
        # The head's gradient waits for the embedding's, and their sum is a third.
        found[EMBEDDING] = {"gradients": static.gradients, "temporary": (3.0 if earlier else 2.0) * head}
    return found


def _answering(shape: ModelShape, setting: Setting) -> float:
    """Keys, values and logits while the prompts of evaluations are answered."""
    cache = 2 * shape.layers * shape.key_value * setting.length * setting.compute_bytes
    return float(setting.samples * (cache + 6 * shape.vocab))
