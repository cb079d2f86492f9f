"""The shape of a decoder-only language model: what decides its memory and its speed. No weights are needed."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import msgspec

from tuiwiz.catalog.families import FAMILIES, UNKNOWN, Family


class Projection(msgspec.Struct, frozen=True):
    """A weight matrix [outputs, inputs] of every layer; `copies` of it in a layer (one an expert)."""

    name: str
    inputs: int
    outputs: int
    copies: int = 1

    @property
    def parameters(self) -> int:
        return self.inputs * self.outputs * self.copies


class ModelShape(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A model as published: widths in elements, `layers` all alike.

    `architecture` is the config's `model_type`. `experts` is 0 for a dense model; each token uses `active_experts` of
    width `expert_intermediate`, and a shared one of `shared_intermediate`. `exact` is False where the architecture is
    not one whose tensors are known here, so that counts are a guess.
    """

    name: str
    architecture: str = "llama"
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool = False
    qkv_bias: bool | None = None
    """None: as the architecture has it."""
    experts: int = 0
    active_experts: int = 0
    expert_intermediate: int = 0
    shared_intermediate: int = 0
    context: int = 0
    """The longest input in tokens; 0 where the config does not say."""
    guessed: bool = False
    """Only the number of parameters is known: the widths are those of a usual model of that size."""

    @property
    def family(self) -> Family:
        return FAMILIES.get(self.architecture, UNKNOWN)

    @property
    def exact(self) -> bool:
        return self.architecture in FAMILIES and not self.guessed

    @property
    def grouped(self) -> bool:
        """Whether several query heads share a key and value head."""
        return self.kv_heads < self.heads

    @property
    def query(self) -> int:
        """Width of the queries of all heads."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Width of the keys (and of the values) of all key-value heads."""
        return self.kv_heads * self.head_dim

    @cached_property
    def projections(self) -> tuple[Projection, ...]:
        """The linear layers of one decoder layer, by the names that `adapter.targets` uses."""
        return (*self._attention(), *self._mlp())

    def _attention(self) -> tuple[Projection, ...]:
        out = Projection("o_proj", self.query, self.hidden)
        if self.family.fused_qkv:
            return (Projection("qkv_proj", self.hidden, self.query + 2 * self.key_value), out)
        return (
            Projection("q_proj", self.hidden, self.query),
            Projection("k_proj", self.hidden, self.key_value),
            Projection("v_proj", self.hidden, self.key_value),
            out,
        )

    def _mlp(self) -> tuple[Projection, ...]:
        if not self.experts:
            return self._gated(self.intermediate, 1)
        shared = self._gated(self.shared_intermediate, 1) if self.shared_intermediate else ()
        return (*self._gated(self.expert_intermediate, self.experts), *shared)

    def _gated(self, width: int, copies: int) -> tuple[Projection, ...]:
        down = Projection("down_proj", width, self.hidden, copies)
        if self.family.fused_gate_up:
            return (Projection("gate_up_proj", self.hidden, 2 * width, copies), down)
        up = Projection("up_proj", self.hidden, width, copies)
        return (Projection("gate_proj", self.hidden, width, copies), up, down) if self.family.gated else (up, down)

    @cached_property
    def linear_parameters(self) -> int:
        """Elements of all linear layers of all decoder layers: what 4-bit quantisation makes smaller."""
        return self.layers * sum(one.parameters for one in self.projections)

    @cached_property
    def expert_parameters(self) -> int:
        """Elements of all experts, which libraries keep as one tensor a layer and not as linear layers."""
        return self.layers * sum(one.parameters for one in self.projections if one.copies > 1)

    @cached_property
    def active_parameters(self) -> int:
        """Elements of the linear layers that one token passes through."""
        used = sum(
            one.parameters // one.copies * (self.active_experts if one.copies > 1 else 1) for one in self.projections
        )
        return self.layers * used

    @property
    def embedding_parameters(self) -> int:
        """The embedding and, unless it is the same tensor, the head."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def head_parameters(self) -> int:
        """Elements of the head alone: none where it is the embedding."""
        return 0 if self.tied else self.vocab * self.hidden

    @cached_property
    def small_parameters(self) -> int:
        """Norms, biases and routers."""
        family = self.family
        bias = family.qkv_bias if self.qkv_bias is None else self.qkv_bias
        layer = family.norms * self.hidden * family.norm_tensors
        layer += (self.query + 2 * self.key_value) if bias else 0
        layer += {"none": 0, "head": 2 * self.head_dim, "full": self.query + self.key_value}[family.qk_norm]
        layer += self.hidden * self.experts
        layer += self.hidden if self.shared_intermediate and family.shared_gate else 0
        return self.layers * layer + self.hidden * family.norm_tensors

    @cached_property
    def parameters(self) -> int:
        """All of them, experts included; a tied head counts once."""
        return self.linear_parameters + self.embedding_parameters + self.small_parameters

    def targeted(self, targets: str | Collection[str]) -> tuple[Projection, ...]:
        """The projections that `adapter.targets` names; `all-linear` is all of them."""
        if isinstance(targets, str):
            if targets == "all-linear":
                return self.projections
            targets = (targets,)
        return tuple(one for one in self.projections if any(one.name.endswith(name) for name in targets))

    def parameters_per_rank(self, targets: str | Collection[str] = "all-linear", *, experts: bool = True) -> int:
        """LoRA parameters of one unit of rank: inputs + outputs of every targeted matrix, with or without experts."""
        matrices = [one for one in self.targeted(targets) if experts or one.copies == 1]
        return self.layers * sum((one.inputs + one.outputs) * one.copies for one in matrices)
