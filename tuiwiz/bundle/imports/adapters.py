"""Method, adapters and preference losses, whose names differ from tool to tool but not in what they mean."""

from __future__ import annotations

from tuiwiz.base.errors import InvalidError
from tuiwiz.bundle.imports.draft import Draft


def method(draft: Draft, word: str, bits: int | None, source: str) -> bool:
    """`adapter.method` from a tool's word and the bits of its base; True where adapters are trained.

    Raises:
        InvalidError: a way of training that tuiwiz does not have.
    """
    known = {"lora": "lora", "qlora": "qlora", "full": "full", "freeze": "freeze", "longlora": "lora"}
    if word not in known:
        hint = "lora, qlora, full and freeze can be imported"
        raise InvalidError(f"{draft.tool}: training by {word!r} has no counterpart here", hint=hint)
    found = known[word]
    if bits is not None and found in ("lora", "qlora"):
        found = "qlora"
    how = "" if found == word else f"{word} on a base of {bits} bits" if bits is not None else f"{word} is {found} here"
    draft.set("adapter.method", found, source, how)
    if word == "longlora":
        draft.drop(
            source, word, "attention is not shifted here, and embeddings and norms stay: see adapter.modules_to_save"
        )
    if found == "qlora" and bits == 8:
        draft.set("quantization.bits", 8, source)
    return found in ("lora", "qlora")


def adapters(
    draft: Draft, rank_name: str, alpha_name: str, dropout_name: str, rank: int, alpha: float, dropout: float
) -> None:
    """Rank, alpha and dropout, with the tool's defaults."""
    silent = f"left out: the default of {draft.tool}"
    if not draft.carry(rank_name, "adapter.rank", int):
        draft.set("adapter.rank", rank, silent)
    if not draft.carry(alpha_name, "adapter.alpha"):
        value = alpha if alpha > 0 else 2.0 * float(draft.values["adapter.rank"])
        draft.set("adapter.alpha", value, silent)
    if not draft.carry(dropout_name, "adapter.dropout"):
        draft.set("adapter.dropout", dropout, silent)


def variant(draft: Draft, flags: dict[str, str]) -> None:
    """`adapter.variant` from flags such as `use_rslora`: the first that is set."""
    for name, found in flags.items():
        if draft.has(name) and draft.flag(name):
            draft.set("adapter.variant", found, name)
            break


OWN_LOSSES = ("sigmoid", "nll", "chunked_nll", "cross_entropy", "kto", "orpo", "simpo")
"""Words for a loss that say no more than the task does."""


def preference(draft: Draft, task: str, beta: str, loss: str) -> None:
    """Knobs of the preference losses; `beta` and `loss` are the tool's names for them."""
    word = str(draft.take(loss, "sigmoid")).lower()
    if task == "dpo":
        if word in ("sigmoid", "ipo", "robust"):
            draft.set("objective.loss", word, loss)
        else:
            draft.drop(loss, word, "no such loss: sigmoid stands")
        draft.carry("label_smoothing", "objective.label_smoothing")
    elif word not in OWN_LOSSES:
        draft.drop(loss, word, f"no such loss: that of {task} stands")
    if draft.has(beta):
        draft.carry(beta, "objective.lambda" if task == "orpo" else "objective.beta")


SEES = ("image_", "video_", "audio_", "freeze_vision", "freeze_multi_modal", "max_pixels", "processor_type")


def only_text(draft: Draft) -> None:
    """Refuse what is made for models that see or hear.

    Raises:
        InvalidError: one of its keys is for pictures, films or sounds.
    """
    found = next((name for name in draft.left if name.lower().startswith(SEES) and draft.has(name)), "")
    if found:
        raise InvalidError(f"{draft.tool}: {found} is for a model that sees or hears", hint="tuiwiz trains on text")


def refuse(draft: Draft, what: str, known: str) -> InvalidError:
    """The error for a task that cannot be imported."""
    return InvalidError(f"{draft.tool}: {what} has no counterpart here", hint=f"tasks that can be imported: {known}")
