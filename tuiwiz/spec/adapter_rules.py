"""Rules about what is trained on top of what: methods, adapters, quantisation; `rules` gathers them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from tuiwiz.base.problems import Problem
from tuiwiz.spec.adapter import Adapter
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import default_of, flatten
from tuiwiz.spec.parts import as_words, problem_of

PARTS = "one of all, adapters, head, embeddings, norms, layers[-25%:], or a pattern such as *.q_proj.*"
LARGEST_RANK = 4096


def _adapter(bundle: Bundle) -> Iterator[Problem]:
    adapter = bundle.adapter
    if adapter.method in ("full", "freeze"):
        flat = flatten(bundle)
        unused = ("rank", "alpha", "dropout", "targets", "variant", "from")
        for key in (f"adapter.{name}" for name in unused):
            if flat[key] != default_of(key):
                yield Problem(
                    message=f"{key} has no meaning when the model's own weights are trained",
                    key=key,
                    hint='leave it out, or set adapter.method = "lora"',
                )
    if isinstance(adapter.targets, str) and adapter.targets != "all-linear":
        yield Problem(
            message=f'adapter.targets = "{adapter.targets}" is no known set',
            key="adapter.targets",
            hint='use "all-linear" or a list such as ["q_proj", "v_proj"]',
        )
    if isinstance(adapter.targets, tuple) and not adapter.targets:
        yield Problem(message="adapter.targets is empty: nothing would be trained", key="adapter.targets")
    if adapter.alpha / adapter.rank > 16 and adapter.method in ("lora", "qlora") and adapter.variant == "plain":
        yield Problem(
            severity="warning",
            message=f"alpha / rank = {adapter.alpha / adapter.rank:g}: a very strong adapter scale",
            key="adapter.alpha",
            hint="alpha is part of the learning rate; presets use alpha 32",
        )
    if adapter.method != "qlora":
        flat = flatten(bundle)
        for name in ("bits", "type", "double", "compute_dtype"):
            key = f"quantization.{name}"
            if flat[key] != default_of(key):
                yield Problem(
                    message=f'{key} has no meaning for adapter.method = "{adapter.method}"',
                    key=key,
                    hint='leave it out, or set adapter.method = "qlora"',
                )


def _variants(bundle: Bundle) -> Iterator[Problem]:
    adapter = bundle.adapter
    if adapter.variant == "pissa" and adapter.method == "qlora":
        yield Problem(
            message="PiSSA starts from a decomposition of the weights, which 4- and 8-bit ones do not allow",
            key="adapter.variant",
            hint='set adapter.method = "lora", or adapter.variant = "plain"',
        )
    if adapter.variant == "dora" and adapter.method == "qlora" and bundle.quantization.bits == 8:
        yield Problem(
            message="DoRA reads the base weights, which 8-bit ones do not give back",
            key="adapter.variant",
            hint='set quantization.bits = 4, or adapter.variant = "plain"',
        )
    if adapter.variant == "pissa" and adapter.from_ is not None:
        yield Problem(
            message="PiSSA starts anew from the base weights; adapter.from continues an adapter",
            key="adapter.variant",
            hint='set adapter.variant = "plain", or leave out adapter.from',
        )
    if adapter.method == "freeze":
        for word in as_words(adapter.trainable):
            if problem := problem_of(word):
                yield Problem(message=f"adapter.trainable: {problem}", key="adapter.trainable", hint=PARTS)
        if not as_words(adapter.trainable):
            yield Problem(message="adapter.trainable is empty: nothing would be trained", key="adapter.trainable")
    if isinstance(adapter.targets, tuple) and (both := sorted({*adapter.targets} & {*adapter.modules_to_save})):
        yield Problem(
            message=f"{both[0]} is in adapter.targets and in adapter.modules_to_save, which trains it whole",
            key="adapter.modules_to_save",
            hint="keep it in one of the two",
        )
    yield from _rank_pattern(adapter.rank_pattern)
    yield from _tokens(adapter)
    if adapter.method == "qlora" and bundle.quantization.bits == 8:
        for key in ("quantization.type", "quantization.double"):
            if flatten(bundle)[key] != default_of(key):
                yield Problem(
                    message=f"{key} has no meaning with 8 bits",
                    key=key,
                    hint="leave it out, or set quantization.bits = 4",
                )


def _rank_pattern(ranks: Mapping[str, int]) -> Iterator[Problem]:
    for pattern, rank in ranks.items():
        if not 1 <= rank <= LARGEST_RANK:
            message = f"a rank of {rank} for {pattern!r} is outside 1..{LARGEST_RANK}"
            yield Problem(message=message, key="adapter.rank_pattern", hint="e.g. {q_proj = 8}")
        try:
            re.compile(pattern)
        except re.error as error:
            message = f"{pattern!r} is no pattern of layer names: {error}"
            yield Problem(message=message, key="adapter.rank_pattern", hint="the end of a name, such as q_proj")
        if not pattern:
            yield Problem(message="a rank for no layer", key="adapter.rank_pattern", hint="e.g. {q_proj = 8}")


def _tokens(adapter: Adapter) -> Iterator[Problem]:
    """Tokens that would be trained twice or can be no tokens."""
    if both := sorted(set(adapter.train_tokens) & set(adapter.new_tokens)):
        yield Problem(
            message=f"{both[0]!r} is in adapter.train_tokens and in adapter.new_tokens",
            key="adapter.new_tokens",
            hint="new tokens are trained as they are: leave it out of adapter.train_tokens",
        )
    for key, tokens in (("adapter.train_tokens", adapter.train_tokens), ("adapter.new_tokens", adapter.new_tokens)):
        if len(set(tokens)) < len(tokens):
            yield Problem(message=f"{key} names a token twice", key=key, hint="name each once")
        if any(not token.strip() for token in tokens):
            yield Problem(message=f"{key} names an empty token", key=key, hint='e.g. ["<tool>", "</tool>"]')
    if adapter.train_tokens or adapter.new_tokens:
        clash = [name for name in adapter.modules_to_save if "emb" in name or name in ("wte", "lm_head")]
        if clash:
            yield Problem(
                message=f"{clash[0]} is trained whole by adapter.modules_to_save, its tokens a second time",
                key="adapter.modules_to_save",
                hint="keep one of the two: tokens alone cost far less",
            )


RULES: tuple[Callable[[Bundle], Iterator[Problem]], ...] = (_adapter, _variants)
