"""Rows of published measurements as the planner takes them: a shape, a setting, a stack, a card; or why not.

Columns: `../shared/evidence/memory-measured.csv`. A row that differs from what is known here in a way that moves memory
(another model's classes, a fused kernel, a quantisation, sharding) is refused in words and not guessed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tests.bench.cards import context_of, device_of
from tests.bench.strangers import (
    ATTENTION,
    OPTIMIZERS,
    OTHER_PROGRAMS,
    SHARDING,
    STRANGE,
    STRANGE_MODELS,
    TARGETS,
    VARIABLE,
)
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.models import all_models
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import TRL, Stack

Row = dict[str, str]
CUBLAS_BYTES = 24 << 20
"""cuBLAS takes its workspace from torch's allocator: 8 MiB and more for every handle."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `measured_gib` is None where the run ran out of memory. `context_gib`: what the driver holds besides."""

    id: str
    target: str
    measured_gib: float | None
    shape: ModelShape
    setting: Setting
    stack: Stack
    device: Device | None
    context_gib: float | None


class NotModelled(Exception):
    """Why a row is not modelled, in words."""


def target_of(row: Row) -> str:
    kind = row.get("measure_kind", "").strip().lower()
    return next((target for target in ("allocated", "reserved") if target in kind), "nvidia-smi")


def measured_of(row: Row) -> float | None:
    """GiB; None for a run that ran out of memory, or where the row does not say."""
    try:
        size = float(row.get("measured_gib", ""))
    except ValueError:
        return None
    return size if 0 < size < float("inf") and not ran_out(row) else None


def ran_out(row: Row) -> bool:
    words = " ".join(row.get(name, "") for name in ("measured_gib", "measure_kind", "outcome", "status", "result"))
    notes = row.get("notes", "").lower()
    if re.search(r"\boom\b|out of memory|outofmemory", words.lower()):
        return True
    return not row.get("measured_gib", "").strip() and bool(re.search(r"\boom\b|out of memory", notes))


def published(row: Row) -> Published:
    """The row as the planner takes it.

    Raises:
        NotModelled: with the reason.
    """
    try:
        return _published(row)
    except (ValueError, ZeroDivisionError) as error:
        raise NotModelled(f"a figure that is no whole number: {error}") from error


def _published(row: Row) -> Published:
    text = " ".join(row.get(name, "") for name in ("notes", "stack", "source", "id")).lower()
    # What is said not to be there is not there.
    text = re.sub(r"\b(?:no|without|not) (?!autocast|offload)[\w-]+", "", text)
    _refuse_strangers(row, text)
    method, quant = row["method"].strip().lower(), row.get("quant", "").strip().lower()
    if method not in ("qlora", "lora", "full"):
        raise NotModelled(f"method {method}")
    if quant not in ("", "none", "nf4", "nf4-dq") or (quant.startswith("nf4") and method == "full"):
        raise NotModelled(f"quantisation {quant}")
    if quant.startswith("nf4"):
        method = "qlora"
    shape, setting = shape_of(row), _setting(row, method, quant, text)
    if shape.experts and (method != "lora" or set(shape.targeted(setting.targets)) - set(shape.projections[:4])):
        raise NotModelled("experts that are quantised or trained: libraries keep them in ways that differ by version")
    return Published(
        id=row["id"],
        target=target_of(row),
        measured_gib=measured_of(row),
        shape=shape,
        setting=setting,
        stack=_stack(row, method, text),
        device=device_of(row),
        context_gib=context_of(row),
    )


def _refuse_strangers(row: Row, text: str) -> None:
    for name in OTHER_PROGRAMS:
        if name in text:
            raise NotModelled(f"{name}: not the classes of transformers and PEFT alone")
    for pattern, why in STRANGE:
        if re.search(pattern, text):
            raise NotModelled(why)
    if (found := re.search(r"(?<![\w-])trl[ =]*(\d+)\.(\d+)", text)) and int(found[1]) >= 1 and int(found[2]) < 16:
        raise NotModelled(f"TRL {found[1]}.{found[2]}: how it computes its loss is not described here")
    found = re.search(r"framework_config=([\w-]+)", text)
    if found and found[1] not in ("none", "accelerated-peft-bnb"):
        raise NotModelled(f"the plugin {found[1]}")
    sharding = row.get("sharding", "").strip().lower()
    cards = _whole(row.get("gpus") or "1")
    if SHARDING.get(sharding) is None or cards > 1:
        raise NotModelled(f"{sharding or 'several cards'} over {cards} cards")
    if row.get("fused_ce", "0").strip() not in ("", "0"):
        raise NotModelled("a fused cross-entropy whose kernel is not named")
    if "offload" in text and "no offload" not in text:
        raise NotModelled("offloading")
    if "expandable" in text and target_of(row) != "allocated":
        raise NotModelled("expandable segments in a program whose order of sizes is not known")
    if any(word in text for word in VARIABLE):
        raise NotModelled("rows of different lengths: the peak depends on their order")
    for column in ("seq_len", "micro_batch"):
        if not row.get(column, "").strip().isdigit() or int(row[column]) < 1:
            raise NotModelled(f"{column} is not given")


def shape_of(row: Row) -> ModelShape:
    """The shape that the row gives, with the architecture's own tensors; else that of a known model of its name."""
    known = _known(row["model"])
    needed = ("hidden", "layers", "heads", "kv_heads", "intermediate", "vocab")
    if any(not row.get(name, "").strip() for name in needed):
        if known is None:
            raise NotModelled(f"nothing is known of {row['model']}")
        return known
    architecture = known.architecture if known is not None else _architecture(row["model"])
    if architecture is None or (known is None and "moe" in row["model"].lower()):
        raise NotModelled(f"the architecture of {row['model']} is not known")
    if known is not None and known.experts:
        return known
    hidden, heads = _whole(row["hidden"]), _whole(row["heads"])
    if min(hidden, heads, *(_whole(row[name]) for name in needed)) < 1:
        raise NotModelled("a width of nothing")
    return ModelShape(
        name=row["model"],
        architecture=architecture,
        hidden=hidden,
        layers=_whole(row["layers"]),
        heads=heads,
        kv_heads=_whole(row["kv_heads"]),
        head_dim=_whole(row.get("head_dim") or str(known.head_dim if known else hidden // heads)),
        intermediate=_whole(row["intermediate"]),
        vocab=_whole(row["vocab"]),
        tied=row.get("tied_embeddings", "").strip() in ("1", "true", "True"),
        qkv_bias=known.qkv_bias if known is not None else None,
    )


def _known(name: str) -> ModelShape | None:
    """A model of the table with that name, its instruct sibling included: both have the same shape."""
    wanted = _plain(name)
    found = {_plain(known.name): known.shape for known in all_models()}
    return found.get(wanted) or next((found[one] for one in sorted(found) if _family(one) == _family(wanted)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.lower().rpartition("/")[2])


def _family(name: str) -> str:
    return re.sub(r"(instruct|chat|it|base|hf|v\d+(\.\d+)*)$", "", re.sub(r"v\d+(\.\d+)*$", "", name))


def _architecture(name: str) -> str | None:
    """The `model_type` of a family by its name, for the families whose tensors are Llama's or close."""
    if STRANGE_MODELS.search(name.lower()):
        return None
    rules = (
        (r"qwen-?3", "qwen3"),
        (r"qwen-?(1\.5|2)", "qwen2"),
        (r"gemma-?2", "gemma2"),
        (r"gemma-?3", "gemma3_text"),
        (r"gemma", "gemma"),
        (r"mixtral", None),
        (r"mistral", "mistral"),
        (r"phi-?3|phi-?4", "phi3"),
        (r"llama|vicuna|yi-|smollm2?\b|smollm2|codellama|deepseek-(llm|coder)", "llama"),
        (r"olmo-?2", "olmo2"),
        (r"granite-3|powerlm", "granite"),
    )
    return next((family for pattern, family in rules if re.search(pattern, name.lower())), None)


def _whole(text: str) -> int:
    """`4` and `4.0`.

    Raises:
        ValueError: anything else.
    """
    number = float(text)
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _setting(row: Row, method: Any, quant: str, text: str) -> Setting:
    optimizer = OPTIMIZERS.get(row.get("optimizer", "").strip().lower())
    if optimizer is None:
        raise NotModelled(f"optimizer {row.get('optimizer')}")
    compute = {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "fp32": "fp32", "float32": "fp32"}
    kind = compute.get(row.get("compute_dtype", "").strip().lower())
    if kind is None:
        raise NotModelled(f"compute type {row.get('compute_dtype')}")
    if row.get("grad_ckpt", "").strip().lower() not in ("0", "1", "true", "false"):
        raise NotModelled("whether activations are checkpointed is not given")
    rank = _whole(row.get("lora_rank") or "16")
    if method != "full" and rank < 1:
        raise NotModelled(f"adapters of rank {rank}")
    dropout = re.search(r"dropout[ =:]*(0?\.\d+)", text)
    return Setting(
        method=method,
        length=_whole(row["seq_len"]),
        micro=_whole(row["micro_batch"]),
        rank=rank,
        targets=_targets(row, method),
        dropout=float(dropout[1]) if dropout else 0.0,
        double_quantised=quant == "nf4-dq",
        compute=kind,  # type: ignore[arg-type]
        checkpointing=row["grad_ckpt"].strip().lower() in ("1", "true"),
        optimizer=optimizer,
        attention=_attention(row, text),
    )


def _targets(row: Row, method: str) -> str | tuple[str, ...]:
    named = row.get("lora_targets", "").strip().lower()
    if method == "full":
        return "all-linear"
    if named in ("all", "all-linear", "all_linear", "linear"):
        return "all-linear"
    parts = re.findall(r"[a-z_]+", named)
    if not parts:
        raise NotModelled("the adapted layers are not given")
    found = tuple(TARGETS.get(part, part) for part in parts)
    strange = [part for part in found if part not in TARGETS.values() and not part.endswith("_proj")]
    if strange:
        raise NotModelled(f"adapters on {strange[0]}")
    return found


def _attention(row: Row, text: str) -> Any:
    named = row.get("attn", "").strip().lower()
    if named == "sdpa" and "windows" in text:
        # Windows builds have no flash attention: torch builds the scores.
        return "math"
    for words, kind in ATTENTION:
        if any(word in named for word in words):
            return kind
    raise NotModelled(f"attention {named}")


def _stack(row: Row, method: str, text: str) -> Stack:
    """The loop, the loss and the types behind a row, from its versions and notes."""
    if (found := re.search(r"(?<![\w-])trl[ =]*(\d+)\.", text)) and int(found[1]) >= 1:
        return TRL
    loop = "raw loop" in text
    masters = row.get("master_dtype", "").strip().lower()
    narrow = "bf16" in masters or "bfloat16" in masters or "fp16" in masters
    mixed = not loop and "autocast off" not in text and "no autocast" not in text and "pure b" not in text
    version = re.search(r"transformers (\d+)\.(\d+)", text)
    shifted = version is not None and (int(version[1]), int(version[2])) < (4, 51)
    torch = re.search(r"torch (\d+)\.(\d+)", text)
    fused = "fused" in row["optimizer"] or (not loop and torch is not None and (int(torch[1]), int(torch[2])) >= (2, 8))
    return Stack(
        name="a plain loop" if loop else "a trainer",
        loss="shifted" if shifted else "padded",
        adapter_bytes=2 if narrow and method != "full" else 4,
        masters_bytes=2 if narrow else 4,
        wide_norms="prepare_model_for_kbit" in text and method == "qlora",
        keeps_logits=loop,
        wide_logits=mixed,
        mixed=mixed,
        foreach=not fused and row["optimizer"].startswith("adamw_torch"),
    )
