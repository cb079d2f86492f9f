"""Peak memory of a run, item by item, in closed form: no torch, some microseconds.

The peak is the largest of the moments of one optimizer step. At each moment the same things are held (weights, adapter,
optimizer states) and others differ (activations, logits, gradients, working space). Of the largest moment the items are
told, and they sum to the total. Method and evidence: activations as in Korthikanti et al., arXiv 2205.05198, with what
this package's executor really saves; checkpointing, arXiv 1604.06174; NF4 with double quantisation, arXiv 2305.14314.
"""

from __future__ import annotations

import msgspec

from tuiwiz.base.text import clean_line
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.activations import Saved, saved
from tuiwiz.memory.held import Held, held
from tuiwiz.memory.loss import logit_bytes, loss_bytes
from tuiwiz.memory.overhead import PYTHON_AND_LIBRARIES, overhead, uncertainty
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import OURS, Stack
from tuiwiz.memory.trained import trained_of

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
LOSS, LAYER, FIRST_LAYER, EMBEDDING, STEP, ANSWERS, LOADING = (
    "the loss of the longest batch",
    "the backward pass of one layer",
    "the last layer of the backward pass",
    "the gradient of the embedding",
    "the optimizer step",
    "the answers to held-out prompts",
    "the loading of the model",
)
FILE_BYTES = 2
"""Of a parameter in a published weights file, most of which are in 16 bits."""
HOLES = 1.9
"""Heap that copies of passing weights take, as a multiple of their size; it varies from start to start."""


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
    """The peak of an optimizer step on its longest rows, in the phase that takes most where they train different parts.
    `limiting` then names that phase, too."""
    if not setting.phases:
        return _estimate(shape, setting, device, stack)
    found = {name: _estimate(shape, one, device, stack) for name, one in by_phase(setting).items()}
    name = max(found, key=lambda one: found[one].total_bytes)
    words = f'{found[name].limiting}, in phase "{clean_line(name, 40)}"'
    return msgspec.structs.replace(found[name], limiting=words)


def by_phase(setting: Setting) -> dict[str, Setting]:
    """The setting of each phase that has its own parts."""
    return {name: msgspec.structs.replace(setting, phase=words, phases=()) for name, words in setting.phases}


def hardest(shape: ModelShape, setting: Setting, stack: Stack = OURS) -> Setting:
    """The setting of the phase that takes most tensors; the setting itself where there is one set for all."""

    def allocated(one: Setting) -> float:
        return held(shape, one, stack).total + max(sum(items.values()) for items in moments(shape, one, stack).values())

    return max(by_phase(setting).values(), key=allocated, default=setting)


def _estimate(shape: ModelShape, setting: Setting, device: Device, stack: Stack) -> Estimate:
    static, kept = held(shape, setting, stack), saved(shape, setting, stack)
    found = _moments(shape, setting, stack, static, kept)
    limiting = max(found, key=lambda name: sum(found[name].values()))
    items = dict.fromkeys(ITEMS, 0.0)
    items |= {"weights": static.weights, "quantization_constants": static.constants}
    items |= {"adapter": static.adapter, "optimizer": static.optimizer, "communication": static.communication}
    items |= found[limiting]
    allocated = sum(items.values())
    items["context"], items["reserve"] = overhead(items, shape, setting, device, kept.layers)
    loading, libraries = loading_bytes(shape, setting, static), PYTHON_AND_LIBRARIES
    if device.kind == "cpu" and libraries + loading > sum(items.values()):
        # Nothing else is there yet, no product is compiled, and what comes later fits into the room that this leaves.
        before = {"weights": static.weights, "quantization_constants": static.constants}
        items = {**dict.fromkeys(ITEMS, 0.0), **before, "context": libraries}
        items["temporary"] = loading - static.weights - static.constants
        limiting, allocated = LOADING, loading
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
    return _moments(shape, setting, stack, held(shape, setting, stack), saved(shape, setting, stack))


def _moments(
    shape: ModelShape, setting: Setting, stack: Stack, static: Held, kept: Saved
) -> dict[str, dict[str, float]]:
    parts = trained_of(shape, setting)
    head = shape.vocab * shape.hidden * stack.masters_bytes if parts.head else 0
    store = kept.checkpoint if setting.checkpointing else kept.layers
    reached = max(1, parts.reached)
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
            "temporary": kept.working + kept.layer_copies,
            "gradients": max(earlier, head or static.gradients / reached),
        }
    else:
        found[LAYER] = {
            "logits": outputs,
            "activations": store,
            "temporary": kept.working_of_mlp + kept.compute_copies,
            "gradients": earlier,
        }
    if not setting.adapts:
        embedding = shape.vocab * shape.hidden * stack.masters_bytes if parts.embedding else 0
        # Gradients of this layer come as what it kept goes.
        own = parts.matrices / max(1, parts.touched) * stack.masters_bytes
        found[FIRST_LAYER] = {
            "activations": kept.checkpoint / shape.layers * (shape.layers - reached + 1) + kept.layer,
            "temporary": kept.working + kept.layer_copies,
            "gradients": max(earlier, static.gradients - (0 if shape.tied else embedding) - own),
        }
        if embedding and not (shape.tied and parts.head):
            stream = kept.checkpoint / shape.layers
            found[EMBEDDING] = {"gradients": static.gradients, "temporary": stream + (embedding if earlier else 0)}
    if parts.head and shape.tied:
        # The head's gradient waits for the embedding's, and their sum is a third.
        found[EMBEDDING] = {
            "logits": outputs,
            "gradients": static.gradients,
            "temporary": (3.0 if earlier else 2.0) * head,
        }
    return found


def loading_bytes(shape: ModelShape, setting: Setting, static: Held) -> float:
    """Pages of host memory while weights are read into it: those of the file, unless the weights stay there, what is
    made of them, and 16-bit copies of all that is quantised, with the holes that these leave.

    A 4-bit SmolLM2-135M took 558 to 708 MiB beyond libraries in seven starts, where this gives 750; whole, in fp32, 660
    of 770.
    """
    wide = setting.method in ("full", "freeze")
    if setting.method == "qlora":
        copies = HOLES * setting.compute_bytes * (shape.linear_parameters - shape.expert_parameters)
        return FILE_BYTES * shape.parameters + copies + static.weights + static.constants
    size = 4 if wide else setting.compute_bytes
    return float(shape.parameters * (size if size == FILE_BYTES else size + FILE_BYTES))


def _answering(shape: ModelShape, setting: Setting) -> float:
    """Keys, values and logits while the prompts of evaluations are answered."""
    cache = 2 * shape.layers * shape.key_value * setting.length * setting.compute_bytes
    return float(setting.samples * (cache + 6 * shape.vocab))
