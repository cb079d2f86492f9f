"""Job `score`: a base model and, reloaded from disk, its adapter, judged on the same held-out rows.

Loss and exact match of the base with the bare prompt, exact match of the base with solved examples in the prompt, and
loss and exact match with the adapter. Exact match is by real greedy generation. The base is quantised as it was for
training: an adapter trained on 4-bit weights and judged on others loses.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.prepare import prepare
from tuiwiz.data.types import Encoded
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job

AT_ONCE = 64
"""Prompts in one generation batch."""


def run(folder: Path) -> dict[str, Any]:
    """Arguments: `run` (a finished run's folder), `rows` (JSON lines of messages), `examples` (JSON lines of messages
    for the prompt with examples). Result: before, before_with_examples, after, rows, samples, peak_bytes."""
    from tuiwiz.executor.quiet import prepare_environment

    job = read_job(folder)
    source = RunFolder(Path(job["run"]))
    prepare_environment(offline=True)
    return _score(folder, source, Path(job["rows"]), Path(job["examples"]))


def _score(folder: Path, source: RunFolder, rows: Path, examples: Path) -> dict[str, Any]:
    from peft import PeftModel

    from tuiwiz.data.render import Renderer
    from tuiwiz.data.tokens import Tokens
    from tuiwiz.data.vocabulary import with_new_tokens
    from tuiwiz.executor.device import choose_device, set_threads
    from tuiwiz.executor.evaluate import evaluate
    from tuiwiz.executor.generate import generate, stop_ids, until_stop
    from tuiwiz.executor.model import load_base
    from tuiwiz.executor.objectives.causal import CausalObjective

    bundle = read_bundle(source.resolved)
    model_folder = Path(bundle.model.source)
    words = with_new_tokens(model_folder, bundle.adapter.new_tokens)
    set_threads()
    device = choose_device(bundle)
    judged = msgspec.structs.replace(bundle, data=msgspec.structs.replace(bundle.data, train=str(rows)))
    held_out = prepare(judged, rows.parent, model_folder, hold_out=False).train
    tokens, renderer = Tokens(words), Renderer(words)
    stop = stop_ids(words, tokens)
    expected = [tokens.decode(until_stop(row.answer_ids, stop)) for row in held_out]
    budget = max(len(row.answer_ids) for row in held_out) + 1
    total = 0

    def tell(what: str, done: int) -> None:
        write_atomic(folder / "progress.json", msgspec.json.encode({"what": what, "done": done, "total": total}))

    def answers(model: Any, prompts: list[list[int]], what: str) -> list[str]:
        nonlocal total
        total = len(prompts)
        found: list[str] = []
        for start in range(0, len(prompts), AT_ONCE):
            tell(what, start)
            part = prompts[start : start + AT_ONCE]
            found += tokens.decode_batch(generate(model, part, max_new_tokens=budget, stop_ids=stop))
        return found

    def loss(model: Any, what: str) -> float:
        nonlocal total
        total = len(held_out)
        objective = CausalObjective(model, fused=True)
        return evaluate(model, objective, held_out, device, nullcontext, lambda done, _: tell(what, done))["loss"]

    tell("loading the base model", 0)
    base = load_base(model_folder, bundle, device)
    bare = [row.prompt_ids for row in held_out]
    loss_before = loss(base, "loss of the base model")
    before = answers(base, bare, "answers of the base model")
    shown = answers(base, _with_examples(held_out, rows, examples, renderer), "answers of the base model with examples")
    tell("loading the adapter", 0)
    model = PeftModel.from_pretrained(base, str(source.adapter))
    loss_after = loss(model, "loss of the trained model")
    after = answers(model, bare, "answers of the trained model")
    requests = [_messages(line)[-2]["content"] for line in rows.read_text(encoding="utf-8").splitlines()]
    samples = [
        {"request": requests[row.row - 1], "expected": expected[index], "before": before[index], "after": after[index]}
        for index, row in enumerate(held_out)
    ]
    return {
        "before": {"loss": loss_before, "exact_match": _share(before, expected)},
        "before_with_examples": {"exact_match": _share(shown, expected)},
        "after": {"loss": loss_after, "exact_match": _share(after, expected)},
        "rows": len(held_out),
        "samples": samples,
        "peak_bytes": device.memory()[1],
    }


def _with_examples(held_out: Any, rows: Path, examples: Path, renderer: Any) -> list[list[int]]:
    """Each row's prompt with solved examples as earlier turns."""
    lines = rows.read_text(encoding="utf-8").splitlines()
    solved = [turn for line in examples.read_text(encoding="utf-8").splitlines() for turn in _messages(line)[1:]]
    prompts = []
    row: Encoded
    for row in held_out:
        system, *turns = _messages(lines[row.row - 1])
        prompts.append(renderer.ids([system, *solved, *turns[:-1]], prompt=True))
    return prompts


def _messages(line: str) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = msgspec.json.decode(line)["messages"]
    return messages


def _share(found: list[str], expected: list[str]) -> float:
    """Exact match: the share of answers that are the expected text, letter for letter."""
    return sum(one.strip() == other.strip() for one, other in zip(found, expected, strict=True)) / max(1, len(expected))
