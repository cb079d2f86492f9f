"""Which tensors of the model itself are trained: all, none, or the parts that `adapter.trainable` names.

A backward pass reaches from the loss down to the lowest of them; the layers below keep nothing for it.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import msgspec

from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.spec.parts import select

ATTENTION = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj")
NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)


class Layer(msgspec.Struct, frozen=True):
    """`matrices` by name; `norms`: whether any is trained; `reached`: whether the backward pass comes here, and
    `attention` whether to its attention, too. `masters` and `master_norms`: the same of what any phase of the run
    trains, and what therefore is held in the masters' type.
    """

    matrices: frozenset[str] = frozenset()
    norms: bool = False
    reached: bool = True
    masters: frozenset[str] = frozenset()
    master_norms: bool = False
    attention: bool = True


class Trained(msgspec.Struct, frozen=True):
    """Tensors of the base model that are trained, new heads and adapters apart. Counts are elements.

    `kinds`: layers that are alike, and how many they are. `matrices` of decoder layers; `head`: of the output layer, be
    it tied to the embedding or not. `reached`: layers that the backward pass comes to; `touched`: those with a trained
    matrix. `adapters`: elements of the adapters that are trained.
    """

    kinds: tuple[tuple[Layer, int], ...]
    parameters: int
    matrices: int
    embedding: bool
    head: bool
    reached: int
    touched: int
    adapters: int = 0


def trained_of(shape: ModelShape, setting: Setting) -> Trained:
    """By the setting's method and phase; adapters train nothing of the model itself."""
    if setting.adapts:
        return _adapters(shape, setting.rank, setting.targets, setting.phase)
    if setting.method == "full" and not setting.phase:
        return _all(shape, setting.numbers)
    whole = ("all",) if setting.method == "full" else setting.trainable
    return _chosen(shape, whole, setting.phase, setting.numbers)


def masters_of(shape: ModelShape, setting: Setting) -> Trained:
    """What any phase of the run trains: that is held in the masters' type all along."""
    return trained_of(shape, msgspec.structs.replace(setting, phase=()) if setting.phase else setting)


@lru_cache(maxsize=256)
def _all(shape: ModelShape, numbers: bool) -> Trained:
    names = frozenset(one.name for one in shape.projections)
    every = Layer(names, norms=True, masters=names, master_norms=True)
    count = shape.parameters - (shape.head_parameters if numbers else 0)
    kinds = ((every, shape.layers),)
    return Trained(kinds, count, shape.linear_parameters, True, not numbers, shape.layers, shape.layers)


@lru_cache(maxsize=256)
def _adapters(shape: ModelShape, rank: int, targets: str | tuple[str, ...], phase: tuple[str, ...]) -> Trained:
    """Adapters need the backward pass down to the lowest of those that are trained.

    Words that name none of those that are known here, as tokens and modules beside them, are taken for all.
    """
    every = Trained(
        kinds=((Layer(), shape.layers),),
        parameters=0,
        matrices=0,
        embedding=False,
        head=False,
        reached=shape.layers,
        touched=0,
        adapters=rank * shape.parameters_per_rank(targets, experts=False),
    )
    if not phase:
        return every
    sizes = {
        f"base_model.model.{_name(layer, one.name)[: -len('.weight')]}.lora_{side}.default.weight": rank * width
        for layer in range(shape.layers)
        for one in shape.targeted(targets)
        if one.copies == 1
        for side, width in (("A", one.inputs), ("B", one.outputs))
    }
    chosen = select(phase, list(sizes))
    if not chosen:
        return every
    first = next(layer for layer in range(shape.layers) if any(f".layers.{layer}." in name for name in chosen))
    attends = any(f".layers.{first}.self_attn." in name for name in chosen)
    kinds = Counter(Layer(reached=n >= first, attention=n > first or attends) for n in range(shape.layers))
    return msgspec.structs.replace(
        every,
        kinds=tuple(kinds.items()),
        reached=shape.layers - first,
        adapters=sum(sizes[name] for name in chosen),
    )


@lru_cache(maxsize=64)
def _chosen(shape: ModelShape, words: tuple[str, ...], phase: tuple[str, ...], numbers: bool) -> Trained:
    sizes = _names(shape, numbers=numbers)
    held = select(words, list(sizes))
    masters = frozenset(held)
    # Words that name nothing here are another method's: what is compared with it trains all.
    chosen = frozenset(select(phase, held)) or masters if phase else masters
    numbered = range(shape.layers)
    wide = [frozenset(one.name for one in shape.projections if _name(n, one.name) in masters) for n in numbered]
    whole = [frozenset(one.name for one in shape.projections if _name(n, one.name) in chosen) for n in numbered]
    norms = [_norms_of(n) <= chosen for n in numbered]
    embedding = "model.embed_tokens.weight" in chosen
    some = [n for n in numbered if whole[n] or any(f"model.layers.{n}.{name}.weight" in chosen for name in NORMS)]
    first = 0 if embedding else some[0] if some else shape.layers
    kinds = Counter(Layer(whole[n], norms[n], n >= first, wide[n], _norms_of(n) <= masters) for n in numbered)
    return Trained(
        kinds=tuple(kinds.items()),
        parameters=sum(sizes[name] for name in chosen),
        matrices=sum(sizes[_name(n, name)] for n in numbered for name in whole[n]),
        embedding=embedding,
        head=not numbers and (embedding if shape.tied else "lm_head.weight" in chosen),
        reached=shape.layers - first,
        touched=sum(map(bool, whole)),
    )


def _name(layer: int, matrix: str) -> str:
    part = "self_attn" if matrix in ATTENTION else "mlp"
    return f"model.layers.{layer}.{part}.{matrix}.weight"


def _norms_of(layer: int) -> frozenset[str]:
    return frozenset(f"model.layers.{layer}.{name}.weight" for name in NORMS[:2])


def _names(shape: ModelShape, *, numbers: bool) -> dict[str, int]:
    """Parameters by the names that transformers gives them, and their elements; norms of heads and biases go with the
    first norm of their layer, as they are nothing beside it."""
    found = {"model.embed_tokens.weight": shape.vocab * shape.hidden}
    norm = shape.hidden * shape.family.norm_tensors
    small = (shape.small_parameters - norm) // shape.layers - (shape.family.norms - 1) * norm
    for layer in range(shape.layers):
        for one in shape.projections:
            name = _name(layer, one.name)
            found[name] = found.get(name, 0) + one.parameters
        for place, name in enumerate(NORMS[: shape.family.norms]):
            found[f"model.layers.{layer}.{name}.weight"] = norm if place else small
    found["model.norm.weight"] = norm
    if not shape.tied and not numbers:
        found["lm_head.weight"] = shape.vocab * shape.hidden
    return found
