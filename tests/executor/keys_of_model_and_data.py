"""What the keys of model, data and adapter change in a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.desk import FRACTION, ONE, Desk, Seen, shows
from tests.support.tiny import make_model
from tests.support.training import write_rows
from tuiwiz.events import types
from tuiwiz.executor import source


@shows("name")
def _name(desk: Desk) -> None:
    folder = desk.prepare()
    folder.bundle.write_text(folder.bundle.read_text().replace('name = "tiny"', 'name = "other"'))
    assert desk.run(folder=folder).of(types.RunStarted)[0].name == "other"


@shows("format")
def _format(desk: Desk) -> None:
    folder = desk.prepare()
    folder.bundle.write_text(folder.bundle.read_text().replace("format = 1", "format = 2"))
    assert desk.refused(folder) == 3


@shows("seed")
def _seed(desk: Desk) -> None:
    one, same, other = (desk.run(seed=seed, **FRACTION) for seed in (1, 1, 2))
    assert one.ids == same.ids != other.ids
    assert all(torch.equal(one.first[name], same.first[name]) for name in one.first)
    assert not torch.equal(*(next(v for k, v in run.first.items() if "lora_A" in k) for run in (one, other)))


@shows("task.kind")
def _task_kind(desk: Desk) -> None:
    pairs = [{"prompt": f"add {i}", "chosen": f"It is {i}", "rejected": "No " * (1 + i % 3)} for i in range(16)]
    run = desk.run(task__kind="orpo", data__train=desk.file("pairs.jsonl", *pairs), **ONE)
    assert run.metric("loss")[0] > 1 > math.log(2), "words are learnt beside the preference; dpo begins at log 2"
    desk.file("text.jsonl", *({"text": f"Tom has {count} apples and pears."} for count in range(8)))
    run = desk.run(task__kind="pretrain", data__train="text.jsonl", data__train_on="all")
    assert run.supervised == sum(batch.tokens - batch.rows for batch in run.batches), "all that can be predicted"
    assert "assistant" not in run.text and "Tom has" in run.text
    turns = [{"role": ("user", "assistant")[i % 2], "content": f"turn {i}"} for i in range(4)]
    rows = [{"messages": [*turns, {"role": "user", "content": str(i)}, turns[1]]} for i in range(8)]
    assert "turn 3" in desk.run(task__kind="chat", data__train=desk.file("chat.jsonl", *rows)).text


@shows("model.source")
def _model_source(desk: Desk) -> None:
    other = make_model(desk.base / "other", seed=7)
    assert desk.run().metric("loss")[0] != desk.run(model__source=str(other)).metric("loss")[0]


@shows("model.revision")
def _model_revision(desk: Desk) -> None:
    asked: list[Any] = []

    def fetched(name: str, revision: str | None, *rest: Any) -> Path:
        asked.append(revision)
        return desk.model

    desk.patch.setattr(source, "fetch", fetched)
    desk.run(model__source="org/model", model__revision="abc123")
    assert asked == ["abc123"]
    assert desk.refused(desk.prepare(model__revision="abc123")) == 3, "a folder has no revisions"


@shows("model.dtype")
def _model_dtype(desk: Desk) -> None:
    for wanted, found in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        run = desk.run(model__dtype=wanted)
        assert {p.dtype for p in run.trainer.model.parameters() if not p.requires_grad} == {found}
        assert {value.dtype for value in run.trainer.weights.values()} == {torch.float32}


@shows("model.attention")
def _model_attention(desk: Desk) -> None:
    asked: list[str] = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def counted(*arguments: Any, **named: Any) -> torch.Tensor:
        asked.append("sdpa")
        return plain(*arguments, **named)

    desk.patch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    desk.run(model__attention="eager")
    assert not asked
    desk.run(model__attention="sdpa")
    assert asked


@shows("data.train")
def _data_train(desk: Desk) -> None:
    desk.file("colours.jsonl", *({"prompt": f"colour {i}", "completion": "ultramarine"} for i in range(8)))
    assert "ultramarine" in desk.run(data__train="colours.jsonl").text
    folder = desk.prepare(data__train="rows.jsonl", validation__fraction=0.0, schedule__steps=None, schedule__epochs=1)
    mixed = 'train = [{path = "rows.jsonl", weight = 6}, {path = "colours.jsonl", weight = 1}]'
    folder.bundle.write_text(folder.bundle.read_text().replace('train = "rows.jsonl"', mixed))
    run = desk.run(folder=folder)
    assert run.of(types.RunStarted)[0].rows == 24 + 4 and run.text.count("ultramarine") == 4
    assert "colours.jsonl" in folder.resolved.read_text()


@shows("data.format")
def _data_format(desk: Desk) -> None:
    rows = [{"instruction": f"add {i}", "output": "by alpaca", "prompt": f"p {i}", "completion": "c"} for i in range(8)]
    desk.file("both.jsonl", *rows)
    assert "by alpaca" in desk.run(data__train="both.jsonl", data__format="alpaca").text
    assert "by alpaca" not in desk.run(data__train="both.jsonl", data__format="prompt-completion").text


@shows("data.mapping")
def _data_mapping(desk: Desk) -> None:
    rows = [{"prompt": f"p {i}", "completion": "usual", "better": "mapped"} for i in range(8)]
    folder = desk.prepare(data__train=desk.file("three.jsonl", *rows))
    text = folder.bundle.read_text()
    folder.bundle.write_text(f'{text}\n[data.mapping]\ncompletion = "better"\nprompt = "prompt"\n')
    found = desk.run(folder=folder).text
    assert "mapped" in found and "usual" not in found


@shows("data.template")
def _data_template(desk: Desk) -> None:
    own = "{% for m in messages %}[{{ m['role'] }}]\n{{ m['content'] }}<|im_end|>{% endfor %}"
    (desk.base / "own.jinja").write_text(own + "{% if add_generation_prompt %}[assistant]\n{% endif %}")
    found = desk.run(data__template="own.jinja").text
    assert "[user]\n" in found and "[user]" not in desk.run().text


@shows("data.system")
def _data_system(desk: Desk) -> None:
    assert desk.run(data__system="You count apples.").text.count("You count apples.") == 16


@shows("data.max_length")
def _data_max_length(desk: Desk) -> None:
    longest = max(map(len, desk.run().ids))
    assert max(map(len, desk.run(data__max_length=longest - 6).ids)) <= longest - 6


@shows("data.overlong")
def _data_overlong(desk: Desk) -> None:
    dropped, cut = (desk.run(data__max_length=30, data__overlong=way) for way in ("drop", "truncate"))
    assert dropped.of(types.RunStarted)[0].rows < cut.of(types.RunStarted)[0].rows
    assert max(map(len, cut.ids)) == 30
    split = desk.run(data__max_length=30, data__overlong="split", schedule__steps=None, schedule__epochs=1)
    whole = desk.run(schedule__steps=None, schedule__epochs=1)
    assert max(map(len, split.ids)) == 30 and split.supervised == whole.supervised > cut.supervised


@shows("data.packing")
def _data_packing(desk: Desk) -> None:
    one, other = (desk.run(data__packing=packing, batch__effective=12, batch__micro=12) for packing in (False, True))
    assert all(batch.position_ids is None for batch in one.batches)
    assert any(batch.position_ids is not None for batch in other.batches)
    assert len(other.ids) < len(one.ids) and other.metric("tokens") == one.metric("tokens")


@shows("data.train_on")
def _data_train_on(desk: Desk) -> None:
    turns = [{"role": ("user", "assistant")[i % 2], "content": f"turn number {i}"} for i in range(4)]
    desk.file("turns.jsonl", *({"messages": [{"role": "system", "content": str(i)}, *turns]} for i in range(16)))
    found = {
        way: desk.run(task__kind="chat", data__train="turns.jsonl", data__train_on=way).supervised
        for way in ("completion", "assistant", "all")
    }
    assert 0 < found["completion"] < found["assistant"] < found["all"]


@shows("validation.path")
def _validation_path(desk: Desk) -> None:
    write_rows(desk.base / "held.jsonl", 5, start=100)
    run = desk.run(validation__path="held.jsonl")
    assert {event.rows for event in run.of(types.Eval)} == {5} and run.of(types.RunStarted)[0].rows == 24


@shows("validation.fraction")
def _validation_fraction(desk: Desk) -> None:
    run = desk.run(**FRACTION)
    assert {event.rows for event in run.of(types.Eval)} == {6} and run.of(types.RunStarted)[0].rows == 18


@shows("validation.max_rows")
def _validation_max_rows(desk: Desk) -> None:
    assert {event.rows for event in desk.run(validation__max_rows=2, **FRACTION).of(types.Eval)} == {2}


@shows("adapter.method")
def _adapter_method(desk: Desk) -> None:
    qlora, lora, full = (
        desk.run(adapter__method="qlora"),
        desk.run(),
        desk.run(adapter__method="full", adapter__rank=None),
    )
    assert all("lora_" in name for run in (qlora, lora) for name in run.trainer.weights)
    kinds = [{type(p).__name__ for p in run.trainer.model.parameters()} for run in (qlora, lora, full)]
    assert "Params4bit" in kinds[0] and "Params4bit" not in kinds[1] | kinds[2]
    assert any("embed_tokens" in name for name in full.trainer.weights) and full.moved("embed_tokens") > 0
    assert full.folder.model.is_dir() and lora.folder.adapter.is_dir() and not lora.folder.model.exists()


@shows("adapter.rank")
def _adapter_rank(desk: Desk) -> None:
    run = desk.run(adapter__rank=7)
    assert all(min(value.shape) == 7 for value in run.trainer.weights.values())


@shows("adapter.alpha")
def _adapter_alpha(desk: Desk) -> None:
    # B starts at zero: the loss is the same, the gradient of B is in proportion to alpha.
    one, other = (desk.run(adapter__alpha=alpha, **ONE) for alpha in (8.0, 24.0))
    assert one.metric("loss") == other.metric("loss")
    assert other.metric("grad_norm")[0] == pytest.approx(3 * one.metric("grad_norm")[0], rel=1e-4)


@shows("adapter.dropout")
def _adapter_dropout(desk: Desk) -> None:
    one, other = (desk.run(adapter__dropout=dropout, **ONE) for dropout in (0.0, 0.5))
    assert one.metric("loss") == other.metric("loss") and one.metric("grad_norm") != other.metric("grad_norm")


@shows("adapter.targets")
def _adapter_targets(desk: Desk) -> None:
    run = desk.run(adapter__targets=["q_proj", "down_proj"])
    assert {name.split(".")[-4] for name in run.trainer.weights} == {"q_proj", "down_proj"}


@shows("adapter.from")
def _adapter_from(desk: Desk) -> None:
    earlier = desk.run()
    later = desk.run(adapter__from="run1/adapter")
    assert all(torch.equal(earlier.trainer.weights[name], value) for name, value in later.first.items())
    saved = desk.run(adapter__from=f"run1/checkpoints/step-{earlier.trainer.progress.step}")
    assert all(torch.equal(earlier.trainer.weights[name], value) for name, value in saved.first.items())


def _quant_states(run: Seen) -> list[Any]:
    found = [p.quant_state for p in run.trainer.model.parameters() if getattr(p, "quant_state", None) is not None]
    assert len(found) == 14
    return found


@shows("quantization.type")
def _quantization_type(desk: Desk) -> None:
    for kind in ("nf4", "fp4"):
        run = desk.run(adapter__method="qlora", quantization__type=kind)
        assert {state.quant_type for state in _quant_states(run)} == {kind}


@shows("quantization.double")
def _quantization_double(desk: Desk) -> None:
    constants = []
    for double in (True, False):
        run = desk.run(adapter__method="qlora", quantization__double=double)
        constants.append([state.absmax.clone() for state in _quant_states(run)])
    for twice, once in zip(*constants, strict=True):
        # On a processor both are unpacked: those that were quantised themselves lie near the exact ones.
        assert twice.dtype == torch.uint8 or (not torch.equal(twice, once) and torch.allclose(twice, once, rtol=0.1))


@shows("quantization.compute_dtype")
def _quantization_compute_dtype(desk: Desk) -> None:
    for wanted, found in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        run = desk.run(adapter__method="qlora", model__dtype="auto", quantization__compute_dtype=wanted)
        assert {state.dtype for state in _quant_states(run)} == {found}
