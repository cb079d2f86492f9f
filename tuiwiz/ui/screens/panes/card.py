"""The finish card: how the run ended, what it brought, where it is, and what to type next."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from textual.content import Content

from tuiwiz.base.units import human_bytes, human_count
from tuiwiz.doctor.words import change_words
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_exit
from tuiwiz.spec.task import HEAD_TASKS
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, paragraph, row, text_of
from tuiwiz.ui.screens.panes.samples import sample_lines
from tuiwiz.ui.words import clock, number

SHARES = frozenset({"exact_match", "accuracy", "macro_f1", "rouge1", "rouge2", "rougeL", "chrf", "generated_exact"})
"""Measures between 0 and 1 that people read in percent."""


def card(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """The card of a run that has ended, by the way it ended."""
    if snapshot.facts.state == "finished":
        return _finished(snapshot, width, glyphs)
    return _broken(snapshot, width, glyphs)


def try_snippet(folder: RunFolder, task: str = "") -> str:
    """Python that loads the result with nothing of ours: what to paste."""
    path = folder.model if folder.model.is_dir() else folder.adapter
    outputs = _outputs(path) if task in HEAD_TASKS else 0
    ending = "SequenceClassification" if outputs else "CausalLM"
    if folder.model.is_dir():
        kind, module, more = f"AutoModelFor{ending}", "transformers", ""
    else:
        kind, module = f"AutoPeftModelFor{ending}", "peft"
        # An adapter's own files do not say how many outputs its head has.
        more = f", num_labels={outputs}" if outputs else ""
    return f"from {module} import {kind}\nmodel = {kind}.from_pretrained(\n    {str(path)!r}{more}\n)"


def _outputs(folder: Path) -> int:
    """How many numbers the head of a saved model gives."""
    try:
        return len(json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1


def resume_command(folder: RunFolder) -> str:
    """The command that goes on from the last checkpoint."""
    return f"tuiwiz resume {shlex.quote(str(folder.path))}"


def _finished(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    facts, folder = snapshot.facts, snapshot.folder
    head: list[tuple[str, str] | str] = [(f" {glyphs.good} Done", "$good bold"), f" in {clock(facts.elapsed_s)}."]
    if facts.first_loss is not None and facts.best_loss is not None:
        arrow = (f" {glyphs.arrow} ", "$dim")
        head += [" Held-out loss ", number(facts.first_loss), arrow, (number(facts.best_loss), "bold")]
        if facts.first_loss > 0:
            change = 100 * (facts.best_loss - facts.first_loss) / facts.first_loss
            head.append((f"  ({change:+.0f} %)", "$good" if change < 0 else "$warn"))
    out = [Content.assemble(*head)]
    out += _judged(snapshot, glyphs)
    out += _costs(snapshot)
    if snapshot.faults:
        fault = snapshot.faults[0]
        todo = f"next time {change_words(fault)} (F writes the bundle)" if fault.change else fault.advice
        out.append(paragraph("doctor", line_of(f"{fault.title}: {todo}", glyphs), width, "$warn"))
    where = folder.model if folder.model.is_dir() else folder.adapter
    out.append(paragraph("result", line_of(str(where), glyphs), width))
    out.append(
        paragraph(
            "try it",
            text_of(
                try_snippet(folder, snapshot.view.started.task if snapshot.view.started is not None else ""), glyphs
            ),
            width,
            "$accent",
        )
    )
    samples = snapshot.view.samples
    step = samples[-1].step if samples else 0
    for sample in [item for item in samples if item.step == step][:3]:
        out += [Content(""), *sample_lines(sample, width, glyphs, most=5)]
    return lines(*out)


def _judged(snapshot: Snapshot, glyphs: Glyphs) -> list[Content]:
    """What was kept, and every other measure at step 0 against there."""
    best, evals = snapshot.view.best_eval, snapshot.view.evals
    if best is None:
        return []
    out = [row("kept", f"step {best.step}", (f", the best of {len(evals)} evaluations", "$dim"))]
    before = evals[0].metrics if evals[0].step == 0 else {}
    for name, value in best.metrics.items():
        if name in before and name != "loss":
            share = name in SHARES
            old, new = (f"{100 * one:.1f} %" if share else number(one) for one in (before[name], value))
            out.append(row(name.replace("_", " "), old, (f" {glyphs.arrow} ", "$dim"), (new, "bold")))
    return out


def _costs(snapshot: Snapshot) -> list[Content]:
    facts, summary = snapshot.facts, snapshot.view.summary or {}
    out: list[Content] = []
    if facts.peak_bytes:
        parts: list[tuple[str, str] | str] = [human_bytes(facts.peak_bytes), (" at most", "$dim")]
        if facts.predicted_bytes:
            off = 100 * (facts.peak_bytes - facts.predicted_bytes) / facts.predicted_bytes
            parts += [(", predicted ", "$dim"), human_bytes(facts.predicted_bytes), (f"  ({off:+.0f} %)", "$dim")]
        out.append(row("memory", *parts))
    speed = summary.get("tokens_per_second") or facts.tokens_per_second
    if speed:
        tokens = summary.get("tokens")
        seen = (f"   {human_count(float(tokens))} tokens in {facts.step} steps", "$dim") if tokens else ""
        out.append(row("speed", f"{float(speed):,.0f}", (" tokens/s", "$dim"), seen))
    return out


def _broken(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    facts, view, folder = snapshot.facts, snapshot.view, snapshot.folder
    summary = view.summary or {}
    stopped = facts.state == "stopped"
    tone = "$warn bold" if stopped else "$bad bold"
    mark = glyphs.off if stopped else glyphs.bad
    said = str(summary.get("message") or summary.get("reason") or "")
    ended = read_exit(folder.exit) if facts.state == "crashed" else None
    if ended is not None:
        said = ended.message
    if not said:
        said = "as asked" if stopped else "the process is gone without a word"
    at = f" at step {facts.step} of {facts.steps}" if facts.steps else ""
    sentence = line_of(said, glyphs).rstrip(".")
    out = [
        Content.styled(f" {mark} {facts.state.capitalize()}{at}", tone),
        paragraph("why", f"{sentence}.", width),
    ]
    if summary.get("hint"):
        out.append(paragraph("do", line_of(str(summary["hint"]), glyphs), width))
    if ended is not None and ended.evidence:
        out.append(paragraph("evidence", line_of(ended.evidence, glyphs), width))
    alert = next((alert for alert in reversed(list(view.alerts)) if alert.severity == "error"), None)
    if alert is not None:
        shown = ", ".join(f"{name} {value}" for name, value in alert.evidence.items())
        out.append(paragraph("evidence", line_of(f"{alert.message}{': ' if shown else ''}{shown}", glyphs), width))
    if not stopped:
        for entry in [entry for entry in view.log if entry.level == "error" and entry.message != said][-2:]:
            out.append(paragraph("log", line_of(entry.message, glyphs), width, "$dim"))
    if ended is not None:
        tail = [line_of(line, glyphs) for line in ended.log_tail[-3:] if line.strip()]
        out += [paragraph("log" if not at else "", line, width, "$dim") for at, line in enumerate(tail)]
    if view.checkpoints:
        last = view.checkpoints[-1]
        out.append(row("safe", f"step {last.step}", (f", {human_bytes(last.bytes)} in {last.path}", "$dim")))
        out.append(paragraph("go on", line_of(resume_command(folder), glyphs), width, "$accent"))
    else:
        out.append(row("safe", ("no checkpoint was written before it ended", "$dim")))
    out += _costs(snapshot)
    out.append(paragraph("log file", line_of(str(folder.log), glyphs), width, "$dim"))
    return lines(*out)
