"""`tuiwiz demo`: the whole job on a small real model, measured before and after on requests that training never saw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuiwiz.runs.folder import Ready

RECIPE = """\
# tuiwiz demo: requests in English to exact JSON, QLoRA on SmolLM2-135M-Instruct.
# Settings measured for this data on a CPU: 624 rows of about 42 tokens, one epoch in 38 steps.
name = "demo"
seed = 42

[task]
kind = "instruct"

[model]
source = "{model}"
# On a processor the fused attention's backward pass is slow on rows this short: a step takes about a sixth less.
attention = "eager"

[data]
train = {train}
format = "openai"
max_length = 128

[validation]
fraction = 0.04

[adapter]
method = "qlora"
rank = 16
alpha = 32
dropout = 0.0

[optimizer]
name = "adamw"
learning_rate = 3e-3
betas = [0.9, 0.99]

[schedule]
kind = "linear"
warmup = 0.06
epochs = 1

[batch]
effective = 16
micro = 16

[evaluation]
every = 0.5
samples = 1

[checkpoint]
every = 0.5
"""


def register(app: typer.Typer) -> None:
    @app.command("demo")
    def demo(
        plain: bool = typer.Option(False, "--plain", help="Lines in place of the live screen."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document; progress goes to stderr."),
        sets: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a value of the demo's bundle."),
    ) -> None:
        """Train a small real model on this machine, without GPU, hub or account, and show what it learnt."""
        from tuiwiz.cli.bring import Ticker, bring_embedded
        from tuiwiz.cli.output import emit_json, on_screen

        started = time.monotonic()
        with Ticker() as ticker:
            bring_embedded(ticker.tell)
        setup_seconds = time.monotonic() - started
        started = time.monotonic()
        ready = _prepare(sets)
        code = _train(ready, live=not plain and not as_json and on_screen(), to_stderr=as_json)
        if code != 0:
            _tell_the_end(ready, code, as_json=as_json)
            raise typer.Exit(code)
        result = _score(ready)
        document = {
            "ok": True,
            "model": "smollm2-135m-instruct",
            "method": "qlora",
            "before": result["before"],
            "before_with_examples": result["before_with_examples"],
            "after": result["after"],
            "rows": result["rows"],
            "seconds": round(time.monotonic() - started, 1),
            "setup_seconds": round(setup_seconds, 1),
            "peak_bytes": max(result["peak_bytes"], _training_peak(ready)),
            "run": str(ready.path),
        }
        if as_json:
            emit_json(document)
        else:
            _print(document, result["samples"])


def _prepare(sets: list[str]) -> Ready:
    """An ordinary run folder with the demo's bundle."""
    import json
    import tempfile

    from tuiwiz.catalog import embedded
    from tuiwiz.data.demo import TRAIN
    from tuiwiz.runs.folder import prepare

    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "demo.toml"
        bundle.write_text(RECIPE.format(model=embedded.NAME, train=json.dumps(str(TRAIN))), encoding="utf-8")
        return prepare(bundle, sets=sets)


def _train(ready: Ready, *, live: bool, to_stderr: bool) -> int:
    from tuiwiz.cli.output import note
    from tuiwiz.cli.run import run_as_child, start_detached

    if not live:
        return run_as_child(ready, as_json=False, out=note if to_stderr else None)
    from tuiwiz.events.fold import view_of
    from tuiwiz.ui.app import run_app

    start_detached(ready)
    run_app(screen="run", run=ready.path, started_here=True)
    closing = view_of(ready.folder).closing
    name = type(closing).__name__
    if name == "Finished":
        return 0
    if closing is None:
        note(f"tuiwiz: the training goes on; `tuiwiz watch {ready.path.name}` shows it")
        raise typer.Exit(0)
    return 7 if name == "Stopped" else int(closing.summary.get("exit_code", 6))


def _tell_the_end(ready: Ready, code: int, *, as_json: bool) -> None:
    """Why there is nothing to measure: the lines of the run have told its end, a JSON document has not."""
    from tuiwiz.base.problems import Problem
    from tuiwiz.cli.output import emit_json, note

    if code == 7:
        message = "stopped before the end of the training"
        hint = f"`tuiwiz resume {ready.path.name}` goes on with it; `tuiwiz demo` starts again"
        note(f"tuiwiz: {message}")
        note(f"  hint: {hint}")
    else:
        message, hint = f"the training ended with exit code {code}", f"`tuiwiz watch {ready.path.name}` shows how"
    if as_json:
        problem = Problem(message=message, hint=hint)
        emit_json({"ok": False, "message": message, "problems": [problem], "run": str(ready.path)})


def _score(ready: Ready) -> dict[str, Any]:
    import msgspec

    from tuiwiz.cli.bring import Ticker
    from tuiwiz.data.demo import EXAMPLES, HELD_OUT
    from tuiwiz.runs.launch import run_job

    folder = ready.path / "score"
    with Ticker() as ticker:
        ticker.tell("measuring on held-out requests", 0, 0)

        def tick() -> None:
            try:
                told = msgspec.json.decode((folder / "progress.json").read_bytes())
            except (OSError, msgspec.DecodeError):
                return
            of = f" {told['done']}/{told['total']}" if told["total"] else ""
            ticker.tell(f"{told['what']}{of}", 0, 0)

        arguments = {"run": str(ready.path), "rows": str(HELD_OUT), "examples": str(EXAMPLES)}
        return run_job("score", folder, arguments, tick=tick)


def _training_peak(ready: Ready) -> int:
    from tuiwiz.events.fold import view_of

    summary = view_of(ready.folder).summary or {}
    return int(summary.get("peak_bytes", 0))


def _print(document: dict[str, Any], samples: list[dict[str, str]]) -> None:
    from tuiwiz.base.text import clean_line
    from tuiwiz.base.units import human_bytes, human_duration
    from tuiwiz.cli.output import say

    before, shown, after = document["before"], document["before_with_examples"], document["after"]
    say()
    say(f"{document['rows']} held-out requests; each has a phrasing and a value that training never showed")
    say()
    say("                          loss    exact match")
    say(f"before                  {before['loss']:6.3f}        {100 * before['exact_match']:5.1f} %")
    say(f"before, with examples        -        {100 * shown['exact_match']:5.1f} %")
    say(f"after                   {after['loss']:6.3f}        {100 * after['exact_match']:5.1f} %   (adapter reloaded)")
    for sample in samples[:3]:
        say()
        say(f"  request   {sample['request']}")
        say(f"  before    {clean_line(sample['before'], 100)}")
        say(f"  after     {clean_line(sample['after'], 100)}")
        say(f"  expected  {sample['expected']}")
    say()
    say(f"{human_duration(document['seconds'])}, peak memory {human_bytes(document['peak_bytes'])}")
    say(f"the run lies in {document['run']}")
    say("to use what it learnt:")
    say("  from peft import AutoPeftModelForCausalLM")
    say(f'  model = AutoPeftModelForCausalLM.from_pretrained("{document["run"]}/adapter")')
