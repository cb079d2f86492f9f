"""Adapters on a frozen base: LoRA and its variants, what else is trained beside them, and how they are saved.

LoRA, https://arxiv.org/abs/2106.09685; rsLoRA, https://arxiv.org/abs/2312.03732; QLoRA, https://arxiv.org/abs/2305.14314;
DoRA, https://arxiv.org/abs/2402.09353; PiSSA, https://arxiv.org/abs/2404.02948. LoRA+ differs in its rates alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tuiwiz.base.errors import InvalidError
from tuiwiz.data.vocabulary import with_new_tokens
from tuiwiz.executor.checkpoint import MANIFEST, load_weights, shapes_of
from tuiwiz.executor.heads import feed_in_fp32, head_modules
from tuiwiz.executor.lora import speed_up
from tuiwiz.executor.vocabulary import untied_head
from tuiwiz.spec.adapter import unknown_modules
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.task import HEAD_TASKS

SVD_ITERATIONS = 16
"""Of PiSSA's randomised singular value decomposition: its error is then far below that of the training."""


def add_adapters(model: Any, bundle: Bundle, folder: Path, tokens: dict[str, int] | None = None) -> Any:
    """Wrap the model with adapters in fp32; only they, and what the bundle names beside them, are trained.

    Args:
        folder: where a relative `adapter.from` starts.
        tokens: the tokenizer's vocabulary, for `adapter.train_tokens`.

    Raises:
        InvalidError: the adapter to continue from, a target, a module or a token is not there.
    """
    from peft import PeftModel, get_peft_model

    adapter = bundle.adapter
    with_head = bundle.task.kind in HEAD_TASKS
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    source = folder / adapter.from_ if adapter.from_ is not None else None
    from_checkpoint = source is not None and (source / MANIFEST).is_file()
    if source is not None and not from_checkpoint:
        if not (source / "adapter_config.json").is_file():
            raise InvalidError(f"there is no adapter in {source}", hint="adapter.from names a folder with one")
        if not (source / "adapter_model.safetensors").is_file():
            # peft would unpickle an adapter_model.bin, which can run anything.
            hint = "only safetensors are loaded: save it again with a newer peft"
            raise InvalidError(f"the adapter in {source} has no adapter_model.safetensors", hint=hint)
        _same_task(source, with_head)
        try:
            wrapped = PeftModel.from_pretrained(model, str(source), is_trainable=True, autocast_adapter_dtype=True)
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = "continue it on the model that it was trained on, with the same adapter.new_tokens"
            raise InvalidError(f"the adapter in {source} does not fit this model: {first}", hint=hint) from error
        _same_tokens(wrapped, bundle, tokens or {})
    else:
        config = _config(model, bundle, tokens or {})
        try:
            wrapped = get_peft_model(model, config, autocast_adapter_dtype=True)
        except ValueError as error:
            raise InvalidError(
                f"adapter.targets does not fit this model: {error}", hint='use "all-linear" or names of its layers'
            ) from error
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if with_head:
        feed_in_fp32(wrapped)
    if source is not None and from_checkpoint:
        _take(source, wrapped)
    speed_up(wrapped)
    return wrapped


def _same_task(source: Path, with_head: bool) -> None:
    """Refuse to continue an adapter with a head as one without, or the other way round."""
    try:
        kind = json.loads((source / "adapter_config.json").read_text(encoding="utf-8")).get("task_type")
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidError(f"{source / 'adapter_config.json'} cannot be read", hint="save it anew") from error
    if (kind == "SEQ_CLS") != with_head:
        raise InvalidError(
            f"the adapter in {source} {'has no' if with_head else 'brings a'} head of scores",
            hint="continue it with the task that it was trained for, or leave out adapter.from",
        )


def _take(checkpoint: Path, model: Any) -> None:
    """Put the trained weights of a run's checkpoint into new adapters of the same form."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    shapes = {name: tuple(value.shape) for name, value in trained.items()}
    if shapes_of(checkpoint) != shapes:
        hint = "keep rank, targets and variant as they were, or begin anew without adapter.from"
        raise InvalidError(f"the checkpoint in {checkpoint} is of adapters of another form", hint=hint)
    load_weights(checkpoint, trained)


def _config(model: Any, bundle: Bundle, vocabulary: dict[str, int]) -> Any:
    from peft import LoraConfig

    adapter = bundle.adapter
    heads = head_modules(model) if bundle.task.kind in HEAD_TASKS else []
    modules = [name for name, _ in model.named_modules() if name]
    for key, word in unknown_modules(adapter, modules):
        names = {name.rpartition(".")[2] for name in modules}
        raise InvalidError(f'{key}: this model has no module "{word}"', hint=f"its modules: {_listed(names)}")
    trained = (*adapter.train_tokens, *adapter.new_tokens)
    unknown = [token for token in trained if token not in vocabulary]
    if unknown:
        raise InvalidError(
            f"adapter.train_tokens: the tokenizer has no token {unknown[0]!r}",
            hint="name tokens as they stand in tokenizer.json",
        )
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets),
        rank_pattern=dict(adapter.rank_pattern),
        modules_to_save=[*adapter.modules_to_save, *heads] or None,
        trainable_token_indices=_trained_rows(model, [vocabulary[token] for token in trained]),
        use_rslora=adapter.variant == "rslora",
        use_dora=adapter.variant == "dora",
        init_lora_weights=f"pissa_niter_{SVD_ITERATIONS}" if adapter.variant == "pissa" else True,
        task_type="SEQ_CLS" if heads else "CAUSAL_LM",
        bias="none",
    )


def _same_tokens(model: Any, bundle: Bundle, vocabulary: dict[str, int]) -> None:
    """Refuse new tokens that the adapter which is continued does not train."""
    given = next(iter(model.peft_config.values())).trainable_token_indices or []
    known = {row for rows in given.values() for row in rows} if isinstance(given, dict) else set(given)
    for token in (*bundle.adapter.train_tokens, *bundle.adapter.new_tokens):
        if vocabulary.get(token) not in known:
            raise InvalidError(
                f"the adapter of adapter.from does not train the token {token!r}",
                hint="name the tokens that it was trained with, in the same order, or start a new adapter",
            )


def _trained_rows(model: Any, ids: list[int]) -> list[int] | dict[str, list[int]] | None:
    """As peft takes them. A head with weights of its own has a row for each token, too: what is not trained there is
    never said."""
    head = untied_head(model) if ids else None
    if head is None:
        return ids or None
    modules = (model.get_input_embeddings(), head)
    return {name: list(ids) for name, module in model.named_modules() if any(module is one for one in modules)}


def vocabulary(bundle: Bundle, weights: Path) -> dict[str, int]:
    """The tokenizer's tokens, where the bundle trains some of them."""
    adapter = bundle.adapter
    if not adapter.train_tokens and not adapter.new_tokens:
        return {}
    from tokenizers import Tokenizer

    file = with_new_tokens(weights, adapter.new_tokens) / "tokenizer.json"
    found: dict[str, int] = Tokenizer.from_file(str(file)).get_vocab(with_added_tokens=True)
    return found


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(name for name in names if name and not name.isdigit()))[:200]


class PissaStart:
    """The adapter that PiSSA began with and took out of the base weights.

    What training adds to the original model is the adapter now minus this one. As both are of rank r, their difference
    is an adapter of rank 2r on the untouched base: [B, -B0] [A; A0].
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._start = {name: value.detach().clone() for name, value in model.named_parameters() if ".lora_" in name}

    def save(self, model: Any, folder: Path) -> None:
        """Write the trained adapter as plain LoRA that fits the original base model."""
        import torch
        from safetensors.torch import load_file, save_file

        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
        found = load_file(folder / "adapter_model.safetensors")
        state: dict[str, Tensor] = {}
        for name, value in found.items():
            first = self._start.get(name.replace(".weight", ".default.weight"))
            if first is None:
                state[name] = value
            elif ".lora_A." in name:
                state[name] = torch.cat([value, first.to(value)], dim=0)
            else:
                state[name] = torch.cat([value, -first.to(value)], dim=1)
        save_file({name: value.contiguous() for name, value in state.items()}, folder / "adapter_model.safetensors")
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        # Twice the rank at the same scale alpha / r.
        config["r"], config["lora_alpha"] = 2 * config["r"], 2 * config["lora_alpha"]
        for pattern in ("rank_pattern", "alpha_pattern"):
            config[pattern] = {key: 2 * value for key, value in (config.get(pattern) or {}).items()}
        config["init_lora_weights"] = True
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
