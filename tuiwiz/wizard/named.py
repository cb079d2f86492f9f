"""What a bundle names inside a model, and whether it is there, as far as the files tell without loading the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from tuiwiz.base.problems import Problem, nearest
from tuiwiz.catalog.weights import parameter_shapes
from tuiwiz.spec.adapter import unknown_modules
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.parts import as_words, is_embedding, is_head, select
from tuiwiz.spec.task import HEAD_TASKS
from tuiwiz.wizard.continued import continued

_WORD_HEADS = ("lm_head", "embed_out")
_HEADS = ("score", "classifier", "pre_classifier", "classification_head")
"""Modules that a model may have without a weight of their own in its files: shared with the embedding, or new."""


def named_parts(bundle: Bundle, base: Path, model: Path) -> Iterator[Problem]:
    """Problems of the modules, layers and adapters that `bundle`, whose paths start at `base`, names."""
    shapes = parameter_shapes(model)
    names = tuple(shapes)
    if bundle.adapter.from_ is not None:
        yield from continued(bundle, base, shapes)
    elif names and bundle.adapter.method in ("lora", "qlora"):
        yield from _modules(bundle, shapes)
    if names:
        yield from _trained(bundle, names)
        yield from _rates(bundle, names)
    yield from _tokens(bundle, model / "tokenizer.json")


def _tokens(bundle: Bundle, file: Path) -> Iterator[Problem]:
    if not bundle.adapter.train_tokens or not file.is_file():
        return
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(file))
    for token in bundle.adapter.train_tokens:
        if vocabulary.token_to_id(token) is None:
            yield Problem(
                message=f"adapter.train_tokens: the tokenizer has no token {token!r}",
                key="adapter.train_tokens",
                hint="adapter.new_tokens adds it to the vocabulary",
            )


def _modules(bundle: Bundle, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Problem]:
    modules = [name.rpartition(".")[0] for name in shapes]
    parts = {part for name in modules for part in name.split(".") if not part.isdigit()}
    heads = _HEADS if bundle.task.kind in HEAD_TASKS else _WORD_HEADS
    for key, word in unknown_modules(bundle.adapter, [*modules, *parts, *heads]):
        close = nearest(word.rpartition(".")[2], sorted(parts))
        hint = f"did you mean {close}?" if close else f"its modules: {', '.join(sorted(parts))[:200]}"
        yield Problem(message=f'{key}: this model has no module "{word}"', key=key, hint=hint)
    yield from _targets(bundle, shapes, parts)
    yield from _parted(bundle, shapes)


def _targets(bundle: Bundle, shapes: Mapping[str, tuple[int, ...]], parts: Collection[str]) -> Iterator[Problem]:
    """Targets that no adapter fits on, and modules that leave none to adapters."""
    matrices = {name.rpartition(".")[0] for name, shape in shapes.items() if len(shape) == 2 and not is_embedding(name)}
    adapter = bundle.adapter
    for word in adapter.targets if not isinstance(adapter.targets, str) else ():
        fits = word in _WORD_HEADS or any(name == word or name.endswith(f".{word}") for name in matrices)
        if not fits and word.rpartition(".")[2] in parts:
            embedding = is_embedding(f"{word}.weight")
            yield Problem(
                message=f'adapter.targets: "{word}" is no matrix that adapters fit on',
                key="adapter.targets",
                hint="adapter.train_tokens or adapter.modules_to_save trains embeddings"
                if embedding
                else "name linear layers such as q_proj, or use adapter.modules_to_save",
            )
    inner = [name for name in matrices if not is_head(f"{name}.weight")]
    for word in adapter.modules_to_save:
        if inner and isinstance(adapter.targets, str) and all(f".{word}." in f".{name}." for name in inner):
            yield Problem(
                message=f'adapter.modules_to_save: "{word}" holds every layer that adapters would be put on',
                key="adapter.modules_to_save",
                hint='name single modules, or set adapter.method = "full"',
            )


def _parted(bundle: Bundle, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Problem]:
    """A head and an embedding that share one matrix, of which a copy of one is to be trained."""
    saved = bundle.adapter.modules_to_save
    own_head = any(is_head(name) for name in shapes)
    embedding = [word for word in saved if is_embedding(f"{word}.weight")]
    head = [word for word in saved if word in _WORD_HEADS]
    if own_head or bundle.task.kind in HEAD_TASKS or bool(embedding) == bool(head):
        return
    yield Problem(
        severity="warning",
        message=f"embedding and head of this model are one matrix; training {(embedding or head)[0]} parts them",
        key="adapter.modules_to_save",
        hint="adapter.train_tokens trains rows of both; without that, the other keeps what it has",
    )


def _rates(bundle: Bundle, names: tuple[str, ...]) -> Iterator[Problem]:
    """Rates of parts that are not trained; with adapters the bundle alone tells."""
    method = bundle.adapter.method
    if method not in ("full", "freeze"):
        return
    head = ("score.weight",) if bundle.task.kind in HEAD_TASKS else ()
    trained = [*(names if method == "full" else select(bundle.adapter.trainable, names)), *head]
    for key, ratio, there in (
        ("optimizer.head_ratio", bundle.optimizer.head_ratio, any(map(is_head, trained))),
        ("optimizer.embedding_ratio", bundle.optimizer.embedding_ratio, any(map(is_embedding, trained))),
    ):
        if ratio != 1.0 and not there:
            part = key.removeprefix("optimizer.").removesuffix("_ratio")
            shared = part == "head" and not any(map(is_head, names))
            why = "it is the embedding in this model" if shared else "adapter.trainable leaves it as it is"
            hint = "use optimizer.embedding_ratio, or leave it out" if shared else "leave it out, or train that part"
            yield Problem(message=f"{key} has no meaning: no {part} is trained, {why}", key=key, hint=hint)


def _trained(bundle: Bundle, names: tuple[str, ...]) -> Iterator[Problem]:
    """Trainable sets that name nothing of this model."""
    trained = list(_trainable_names(bundle, names))
    adapter = bundle.adapter
    if (
        adapter.method == "freeze"
        and adapter.new_tokens
        and not any(map(is_embedding, select(adapter.trainable, names)))
    ):
        yield Problem(
            message="adapter.new_tokens get embeddings that adapter.trainable leaves untrained",
            key="adapter.new_tokens",
            hint='add "embeddings" to adapter.trainable',
        )
    if adapter.method == "freeze" and bundle.task.kind not in HEAD_TASKS and not select(adapter.trainable, trained):
        words = ", ".join(as_words(adapter.trainable))
        yield Problem(
            message=f"adapter.trainable = {words} names nothing of this model",
            key="adapter.trainable",
            hint='use "layers[-25%:]", "embeddings", "norms" or a pattern such as "*.q_proj.*"',
        )
        return
    if adapter.method == "freeze":
        chosen = set(select(adapter.trainable, trained)) | {name for name in trained if is_head(name)}
        trained = [name for name in trained if name in chosen]
    for phase in bundle.phases:
        if phase.trainable is not None and as_words(phase.trainable) and not select(phase.trainable, trained):
            words = ", ".join(as_words(phase.trainable))
            yield Problem(
                message=f'phase "{phase.name}" would train nothing: {words} names no trained part of this model',
                key="phases",
                hint="a model whose head is its embedding has no head of its own, and adapters lie where "
                "adapter.targets says",
            )


def _trainable_names(bundle: Bundle, names: tuple[str, ...]) -> Iterator[str]:
    """Names as the run's trained parameters would have them: those of the model, or of adapters on it."""
    adapter = bundle.adapter
    head = ("score.weight",) if bundle.task.kind in HEAD_TASKS else ()
    yield from head
    if adapter.method in ("full", "freeze"):
        yield from names
        return
    for name in names:
        module, _, kind = name.rpartition(".")
        last = module.rpartition(".")[2]
        if last in adapter.modules_to_save:
            yield name
        wanted = not is_embedding(name) and not is_head(name) and "norm" not in last.lower()
        if kind == "weight" and (wanted if isinstance(adapter.targets, str) else last in adapter.targets):
            yield f"{module}.lora_A.weight"
    yield from (f"{name}.weight" for name in adapter.modules_to_save if name in (*_HEADS, *_WORD_HEADS))
    if adapter.train_tokens or adapter.new_tokens:
        yield "embed_tokens.token_adapter.trainable_tokens_delta"
