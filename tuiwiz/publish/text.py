"""The report as Markdown, and the model card that lies beside an adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tuiwiz.base.text import clean
from tuiwiz.base.units import human_bytes
from tuiwiz.doctor.words import change_words, evidence_words
from tuiwiz.events.folder import RunFolder
from tuiwiz.publish.facts import Facts


def markdown(facts: Facts) -> str:
    """Everything but the curves, as plain Markdown."""
    out = [f"# {_inline(facts.name)}", "", *_table(("", ""), facts.summary), "", "## Held out", ""]
    evals = [
        (str(one.step), f"{one.metrics['loss']:.4f}", f"{one.rows:,}")
        for one in facts.view.evals
        if "loss" in one.metrics
    ]
    out += _table(("step", "loss", "rows"), evals) if evals else ["Nothing was held out."]
    out += ["", "## Doctor", ""]
    for one in facts.findings:
        change = f" Try `{change_words(one)}`, and only this." if one.change else ""
        advice = f" {one.advice}." if one.advice else ""
        out.append(f"- **{_inline(one.title)}** ({one.id}): {_inline(evidence_words(one))}.{change}{_inline(advice)}")
    if not facts.findings:
        out.append(f"Nothing wrong by {facts.judged} rules.")
    if facts.samples:
        out += ["", "## Samples", ""]
        for sample in facts.samples:
            for label, text in (("prompt", sample.prompt), ("base model", sample.base), ("now", sample.now)):
                out += [f"{label}:", "", *(f"    {line}" for line in clean(text).split("\n")), ""]
    if facts.memory:
        rows = [(name, human_bytes(before), human_bytes(now)) for name, before, now in facts.memory]
        out += ["", "## Memory", "", *_table(("item", "predicted", "actual"), rows)]
    if facts.settings:
        out += ["", "## Bundle", "", *_table(("key", "value", "decided by"), facts.settings)]
    if facts.environment:
        out += ["", "## Environment", "", *_table(("", ""), facts.environment)]
    return "\n".join(out) + "\n"


def card(facts: Facts, folder: RunFolder) -> str:
    """A model card: the head that the hub reads, what it was trained on, how well it does, how it is loaded."""
    started = facts.view.started
    model = started.model if started is not None else ""
    full = folder.model.is_dir()
    head = ["---", f"base_model: {_yaml(model)}", f"library_name: {'transformers' if full else 'peft'}"]
    head += [
        "tags:",
        "- tuiwiz",
        f"- {'sft' if started is None or started.task != 'pretrain' else 'pretraining'}",
        "---",
        "",
    ]
    kind = "AutoModelForCausalLM" if full else "AutoPeftModelForCausalLM"
    out = [*head, f"# {_inline(facts.name)}", ""]
    out += [f"{_inline(model)}, fine-tuned{f' with {started.method} for {started.task}' if started else ''}.", ""]
    out += [*_table(("", ""), facts.summary), "", "## How to load it", "", "```python"]
    out += [
        f"from {'transformers' if full else 'peft'} import {kind}",
        "",
        f'model = {kind}.from_pretrained("PATH")',
        "```",
        "",
    ]
    out += ["## What it was trained on and how", ""]
    wanted = (
        "data.train",
        "data.train_on",
        "data.max_length",
        "adapter.rank",
        "adapter.alpha",
        "optimizer.learning_rate",
        "optimizer.name",
        "schedule.kind",
        "schedule.epochs",
        "schedule.steps",
        "batch.effective",
        "seed",
    )
    out += _table(("setting", "value"), [(key, _public(value)) for key, value, _ in facts.settings if key in wanted])
    if facts.findings:
        out += [
            "",
            "## Known faults of this run",
            "",
            *(f"- {_inline(one.title)}: {_inline(evidence_words(one))}" for one in facts.findings),
        ]
    return "\n".join(out) + "\n"


def _public(value: str) -> str:
    """A setting as others may see it: a card is handed on, and a path on this machine names its owner."""
    return Path(value).name if value.startswith(("/", "~")) else value


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    line = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*line, *(f"| {' | '.join(_inline(cell) for cell in row)} |" for row in rows)]


def _inline(text: str) -> str:
    """Text that no Markdown reader takes for markup or for the border of a cell."""
    escaped = "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in text)
    return escaped.replace("\n", " ")


def _yaml(text: str) -> str:
    return '"' + clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
