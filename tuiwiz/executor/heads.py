"""Models that end in a head of a few numbers: loaded with a new head, which is always trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuiwiz.spec.bundle import Bundle

HEADS = ("score", "classifier", "pre_classifier", "classification_head")
"""What transformers' models call the part behind the body."""


def load_with_head(folder: Path, bundle: Bundle, labels: Sequence[str], options: dict[str, Any]) -> Any:
    """The model in `folder` with one output a label, or one output at all where there are no names.

    Parts that the folder has no weights for are drawn from the random stream and noted as `new_parts`.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    kind = {"multi": "multi_label_classification", "regression": "regression"}.get(bundle.task.labels or "")
    single = bundle.task.kind == "classify" and kind is None
    names = list(labels) or ["score"]
    config = options.pop("config", None)
    if config is None:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: place for place, name in enumerate(names)}
    config.problem_type = "single_label_classification" if single else kind or "regression"
    if config.pad_token_id is None:
        # transformers finds the last token of a padded row by it.
        ends = config.eos_token_id
        config.pad_token_id = ends[0] if isinstance(ends, list) else ends
    model, found = AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, ignore_mismatched_sizes=True, output_loading_info=True, **options
    )
    missing = {name.rsplit(".", 1)[0] for name in found["missing_keys"]}
    model.new_parts = sorted(name for name in missing if name.partition(".")[0] not in HEADS)
    return model


def head_modules(model: Any) -> list[str]:
    """The modules that are trained beside the adapters: the head, and what else the folder had no weights for."""
    heads = [name for name, _ in model.named_children() if name in HEADS]
    return [*heads, *model.new_parts]


def feed_in_fp32(model: nn.Module) -> None:
    """Let trained heads, which are kept in fp32, take what a body in 16 bit hands them."""
    for name, module in model.named_modules():
        if "modules_to_save" in name and isinstance(module, nn.Linear):
            module.register_forward_pre_hook(_in_type_of_weight)


def _in_type_of_weight(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0].to(module.weight.dtype), *inputs[1:])
