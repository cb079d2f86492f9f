"""From answers to a bundle: who decides what, and what never changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wizard.known import CPU, GPU, SHAPES, data, device, facts, planner
from tuiwiz.base.errors import UsageError
from tuiwiz.bundle.change import parse_value
from tuiwiz.bundle.read import parse_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.keys import flatten
from tuiwiz.wizard.compose import Answers, Composed, Picked, compose
from tuiwiz.wizard.facts import Facts
from tuiwiz.wizard.work import shown


@pytest.fixture(autouse=True, scope="module")
def round_numbers() -> Iterator[None]:
    """These tests are about who decides; what the planner says is tested where it lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuiwiz.wizard.compose.plan_of", planner)
        yield


BASE = Answers(task="instruct", model="qwen3-8b", data="train.jsonl")


def made(sets: dict[str, Any] | None = None, known: Facts | None = None, **answers: Any) -> Composed:
    return compose(msgspec.structs.replace(BASE, sets=sets or {}, **answers), known or facts())


def value(composed: Composed, key: str) -> Any:
    return flatten(composed.bundle)[key]


def test_a_complete_bundle_with_the_origin_of_every_key() -> None:
    composed = made()
    assert composed.ready and not [p for p in composed.problems if p.severity == "error"]
    assert composed.preset == "instruct-small"
    assert set(composed.origin) == set(flatten(composed.bundle))
    words = {"default", "user", "planner", "data", "preset instruct-small"}
    assert set(composed.origin.values()) <= words
    assert composed.origin["optimizer.learning_rate"] == "preset instruct-small"
    assert composed.origin["task.kind"] == "user"
    assert composed.grades["optimizer.learning_rate"] == "A"
    text = write_bundle(composed.bundle, why=composed.why)
    again, problems = parse_bundle(text)
    assert again == composed.bundle and problems.ok


def test_same_input_same_bundle() -> None:
    assert made().bundle == made().bundle


def test_what_the_user_sets_never_changes() -> None:
    sets = {"optimizer.learning_rate": 1e-5, "adapter.rank": 4, "data.max_length": 1024, "batch.effective": 8}
    composed = made(sets)
    for key, wanted in sets.items():
        assert value(composed, key) == wanted
        assert composed.origin[key] == "user"
    assert "without it 16" in composed.why["batch.effective"]


def test_alpha_and_batch_rescale_the_rate_with_the_arithmetic() -> None:
    long = facts(data=data(rows=4500))
    assert value(made(known=long), "optimizer.learning_rate") == 1.5e-4
    halved = made({"adapter.alpha": 16}, long)
    assert value(halved, "optimizer.learning_rate") == pytest.approx(3e-4)
    assert "alpha 32 / 16" in halved.why["optimizer.learning_rate"]
    larger = made({"batch.effective": 32}, long)
    assert value(larger, "optimizer.learning_rate") == pytest.approx(1.5e-4 * math.sqrt(2), rel=1e-3)
    assert larger.ranges["optimizer.learning_rate"] == pytest.approx((7e-5 * 2**0.5, 3e-4 * 2**0.5), rel=1e-3)
    assert value(made({"adapter.rank": 256}, long), "optimizer.learning_rate") == 1.5e-4
    assert value(made({"adapter.rank": 256}, long), "adapter.alpha") == 32
    own = made({"adapter.alpha": 16, "optimizer.learning_rate": 1e-4}, long)
    assert value(own, "optimizer.learning_rate") == 1e-4
    assert "3e-4" in own.why["optimizer.learning_rate"]


def test_a_short_run_goes_faster_until_it_is_long_again() -> None:
    short = facts(data=data(rows=200))
    composed = made({"batch.effective": 16}, short)
    assert composed.steps is not None and composed.steps < 100
    assert value(composed, "optimizer.learning_rate") == pytest.approx(2.25e-4)
    assert f"only {composed.steps} steps" in composed.why["optimizer.learning_rate"]
    assert value(made({"schedule.steps": 100}, short), "optimizer.learning_rate") == 1.5e-4


def test_a_run_short_of_steps_takes_smaller_batches_and_says_so() -> None:
    short = facts(data=data(rows=200))
    composed = made(known=short)
    assert value(composed, "batch.effective") == 4 and composed.origin["batch.effective"] == "data"
    assert composed.steps is not None and composed.steps >= 100
    assert "16 rows, as preset instruct-small has it, would make" in composed.why["batch.effective"]
    # More steps of the same rows are no longer run: the rate keeps its factor for short ones.
    assert value(composed, "optimizer.learning_rate") == pytest.approx(1.5e-4 * 0.5 * 1.5, rel=1e-3)
    assert "steps of 16 rows" in composed.why["optimizer.learning_rate"]
    enough = made(known=facts(data=data(rows=1000)))
    assert value(enough, "batch.effective") == 16 and enough.origin["batch.effective"].startswith("preset")
    tiny = made(known=facts(data=data(rows=20)))
    assert value(tiny, "batch.effective") == 4
    for fixed in ({"batch.effective": 16}, {"schedule.steps": 10}):
        assert value(made(fixed, short), "batch.effective") == 16
    assert value(made(known=short, method="full"), "batch.effective") == 32


def test_full_weights_keep_the_published_rate() -> None:
    composed = made(method="full", known=facts(data=data(rows=200)))
    assert value(composed, "optimizer.learning_rate") == 1e-5
    assert value(composed, "batch.effective") == 32
    assert value(composed, "adapter.rank") == 16, "full weights leave adapter keys at their defaults"
    assert not [p for p in composed.problems if p.severity == "error"]


def test_one_of_two_alternatives() -> None:
    steps = made({"schedule.steps": 50})
    assert (value(steps, "schedule.epochs"), value(steps, "schedule.steps"), steps.steps) == (None, 50, 50)
    path = made({"validation.path": "v.jsonl"}, validation="other.jsonl")
    assert (value(path, "validation.path"), value(path, "validation.fraction")) == ("v.jsonl", None)
    share = made({"validation.fraction": 0.2}, validation="other.jsonl")
    assert (value(share, "validation.path"), value(share, "validation.fraction")) == (None, 0.2)


def test_steps_and_warm_up_follow_the_rows() -> None:
    composed = made(validation="v.jsonl", known=facts(data=data(rows=1600)))
    assert (composed.steps, composed.warmup) == (300, 30)
    assert "300 steps" in composed.why["schedule.epochs"]
    assert "30 of 300 steps" in composed.why["schedule.warmup"]
    doubled = made({"schedule.epochs": 6}, validation="v.jsonl", known=facts(data=data(rows=1600)))
    assert (doubled.steps, doubled.warmup) == (600, 60)


def test_a_run_of_a_few_steps_is_warned_about() -> None:
    tiny = made(known=facts(data=data(rows=40)))
    assert tiny.steps is not None and tiny.steps < 30
    assert any(p.key == "batch.effective" and p.severity == "warning" for p in tiny.problems)
    assert not any(p.key == "batch.effective" for p in made().problems)


def test_length_follows_the_data_and_is_not_longer_than_needed() -> None:
    assert value(made(known=facts(data=data(longest=611))), "data.max_length") == 640
    assert made(known=facts(data=data(longest=611))).origin["data.max_length"] == "data"
    some = made(known=facts(data=data(p95=1000, longest=9000)))
    assert value(some, "data.max_length") == 2048
    assert "9,000" in some.why["data.max_length"]
    assert value(made(known=facts(data=data(p95=3000, longest=9000))), "data.max_length") == 3008
    sampled = made(known=facts(data=data(longest=611, exact=False)))
    assert value(sampled, "data.max_length") == 768


def test_rank_follows_the_data_and_moves_nothing_else() -> None:
    small, large = facts(SHAPES["S"], data=data()), facts(SHAPES["S"], data=data(supervised=40_000_000))
    assert value(made(known=small), "adapter.rank") == 16
    assert "at least 1" in made(known=small).why["adapter.rank"]
    raised = made(known=large)
    assert value(raised, "adapter.rank") == 64
    assert raised.origin["adapter.rank"] == "data"
    for key in ("adapter.alpha", "optimizer.learning_rate"):
        assert value(raised, key) == value(made(known=small), key)
    kept = made({"adapter.rank": 4}, large)
    assert value(kept, "adapter.rank") == 4
    assert any(p.key == "adapter.rank" and p.severity == "warning" for p in kept.problems)


def test_paged_optimizers_only_on_cuda() -> None:
    assert value(made(known=facts(device=GPU)), "optimizer.name") == "paged_adamw_8bit"
    on_cpu = made(known=facts(SHAPES["XS"], device=CPU))
    assert value(on_cpu, "optimizer.name") == "adamw"
    assert "CUDA" in on_cpu.why["optimizer.name"]


def test_each_method_resolves_its_own_preset() -> None:
    qlora, lora, full = (made(method=method) for method in ("qlora", "lora", "full"))
    assert value(qlora, "optimizer.clip_norm") == 0.3
    assert value(lora, "optimizer.clip_norm") == 1.0
    assert value(full, "schedule.epochs") == 5
    assert made({"adapter.method": "full"}).bundle == full.bundle


def test_wrong_values_are_reported_and_left_out() -> None:
    composed = made({"adapter.rank": -3, "schedule.kind": "cosin", "nonsense.key": 1, "schedule.epochs": 2})
    errors = {p.key: p.hint for p in composed.problems if p.severity == "error"}
    assert set(errors) == {"adapter.rank", "schedule.kind", "nonsense.key"}
    assert "cosine" in errors["schedule.kind"]
    assert value(composed, "adapter.rank") == 16 and value(composed, "schedule.epochs") == 2
    assert not composed.ready


def test_values_beyond_the_evidence_are_warned_about() -> None:
    composed = made({"optimizer.learning_rate": 1e-2})
    warning = next(p for p in composed.problems if p.key == "optimizer.learning_rate")
    assert warning.severity == "warning" and "divergence" in warning.hint
    assert any(p.key == "optimizer.learning_rate" for p in made({"optimizer.name": "sgd"}).problems)


def test_unanswered_questions_are_problems_never_exceptions() -> None:
    composed = compose(Answers(), Facts())
    keys = {p.key for p in composed.problems if p.severity == "error"}
    assert {"task.kind", "model.source", "data.train"} <= keys
    assert not composed.ready
    partly = compose(Answers(task="chat"), Facts(device=GPU))
    assert partly.ranked and partly.ranked[0].name == "chat"


def test_a_size_is_enough_to_plan_but_not_to_run() -> None:
    known = msgspec.structs.replace(facts(), model_chosen=False)
    composed = made(model="8B", known=known)
    assert composed.preset == "instruct-small"
    assert not composed.ready
    assert any("only a size" in p.message for p in composed.problems)


def test_named_presets() -> None:
    composed = made(preset="chat", known=facts(data=data(rows=1000)))
    assert composed.preset == "chat" and value(composed, "schedule.epochs") == 2
    assert any("made for chat" in p.message for p in composed.problems)
    with pytest.raises(UsageError, match="no preset"):
        made(preset="nothing-like-it")
    with pytest.raises(UsageError, match="no settings"):
        made(preset="sft")


def test_tasks_without_a_preset_get_plain_defaults_and_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuiwiz.wizard.compose.choose", lambda context: [])
    composed = made(task="pretrain", data="book.txt")
    assert composed.preset == ""
    assert value(composed, "data.train_on") == "all" and value(composed, "schedule.epochs") == 1
    assert any(p.key == "preset" for p in composed.problems)


def test_the_guides_values_are_offered_with_the_arithmetic() -> None:
    composed = made()
    warmup = composed.alternatives["schedule.warmup"]
    assert [one.value for one in warmup] == [1000, 2000]
    assert not warmup[0].usable and f"{composed.steps:,} steps" in warmup[0].comment
    long = made({"schedule.steps": 30_000})
    assert all(one.usable for one in long.alternatives["schedule.warmup"])
    assert {one.value for one in composed.alternatives["schedule.epochs"]} == {5, 10}
    assert {one.value for one in composed.alternatives["adapter.dropout"]} == {0.1, 0.3}
    many = made(known=facts(data=data(rows=20_000)))
    assert not many.alternatives["schedule.epochs"][-1].usable
    assert "adapter.dropout" not in made(method="full").alternatives


def test_a_picked_row_of_fit_is_taken() -> None:
    composed = made(picked=Picked(micro_batch=2, gradient_checkpointing=True))
    assert value(composed, "batch.micro") == 2
    assert value(composed, "memory.gradient_checkpointing") is True
    assert value(made({"batch.micro": 1}, picked=Picked(micro_batch=2)), "batch.micro") == 1


def test_the_planner_takes_the_fastest_that_fits_and_says_so() -> None:
    composed = made()
    assert (value(composed, "batch.micro"), value(composed, "batch.accumulation")) == (8, 2)
    assert value(composed, "memory.gradient_checkpointing") is False
    assert composed.origin["batch.micro"] == composed.origin["batch.accumulation"] == "planner"
    assert "GiB" in composed.why["batch.micro"] and composed.plan is not None
    small = made(known=facts(device=device(9)))
    assert value(small, "batch.micro") == 8 and value(small, "memory.gradient_checkpointing") is True
    assert value(made({"batch.micro": 3}), "batch.accumulation") is None, "16 rows are no whole number of threes"
    assert value(made({"memory.gradient_checkpointing": True}), "memory.gradient_checkpointing") is True


def test_every_method_is_listed_with_its_own_preset() -> None:
    composed = made()
    accumulated = {c.method: c.accumulation for c in composed.choices if c.micro_batch == 1}
    assert accumulated == {"qlora": 16, "lora": 16, "full": 32}
    fits = [choice.fits for choice in composed.choices]
    assert fits == sorted(fits, reverse=True), "what fits comes first"


def test_what_does_not_fit_gets_shorter_or_is_said_not_to_fit() -> None:
    tight = made(known=facts(device=device(5.1), data=data(longest=1500)))
    assert value(tight, "data.max_length") == 768
    assert any(p.key == "data.max_length" and "left out" in p.message for p in tight.problems)
    own = made({"data.max_length": 1500}, facts(device=device(5.1)))
    assert value(own, "data.max_length") == 1500
    assert any("does not fit" in p.message for p in own.problems)
    full = made(method="full")
    warning = next(p for p in full.problems if "does not fit" in p.message)
    assert "qlora" in warning.hint or "lora" in warning.hint


def test_names() -> None:
    assert made(data="../gsm8k/train.jsonl", model="../models/Qwen3-8B").bundle.name == "gsm8k-qwen3-8b"
    assert made(data="train.jsonl").bundle.name == "train-qwen3-8b"
    assert made(name="mine").bundle.name == "mine"


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(min_value=1, max_value=200_000),
    alpha=st.sampled_from([8, 16, 32, 64, 128]),
    batch=st.sampled_from([1, 2, 8, 16, 32, 64, 128, 512, 1024]),
    rank=st.sampled_from([1, 8, 64, 512]),
    method=st.sampled_from(["qlora", "lora", "full"]),
    band=st.sampled_from(sorted(SHAPES)),
    task=st.sampled_from(["chat", "instruct"]),
)
def test_any_answers_give_a_bundle_that_reads_back(
    rows: int, alpha: int, batch: int, rank: int, method: str, band: str, task: str
) -> None:
    sets: dict[str, Any] = {"batch.effective": batch}
    if method != "full":
        sets |= {"adapter.alpha": alpha, "adapter.rank": rank}
    composed = made(sets, facts(SHAPES[band], data=data(rows=rows)), task=task, method=method)
    assert not [p for p in composed.problems if p.severity == "error"]
    assert composed.bundle.optimizer.learning_rate > 0
    assert composed.warmup is not None and composed.steps is not None and composed.warmup <= composed.steps
    again, problems = parse_bundle(write_bundle(composed.bundle, why=composed.why))
    assert again == composed.bundle and problems.ok


def test_the_other_tasks_have_presets_of_their_own_and_a_text_to_classify_may_be_cut() -> None:
    for task, rate, rows in (("dpo", 8e-6, 64), ("kto", 5e-6, 32), ("classify", 1e-4, 32), ("reward", 1e-4, 64)):
        found = made(task=task, method="lora")
        assert found.preset == task and found.bundle.batch.effective == rows
        assert found.preset_values["optimizer.learning_rate"] == rate
    mine = made(task="dpo", method="lora", sets={"optimizer.learning_rate": 3e-5})
    assert mine.bundle.optimizer.learning_rate == 3e-5
    assert made(task="classify").bundle.data.overlong == "truncate"


def test_phases_are_a_setting_like_any_other() -> None:
    stages = [{"name": "probe", "share": 0.25, "trainable": "adapters"}, {"name": "tune", "share": 0.75}]
    composed = made({"phases": stages})
    assert [phase.name for phase in composed.bundle.phases] == ["probe", "tune"]
    assert composed.origin["phases"] == "user" and composed.ready
    again, problems = parse_bundle(write_bundle(composed.bundle, why=composed.why))
    assert again == composed.bundle and problems.ok
    # As shown it can be typed again.
    assert parse_value(shown(value(composed, "phases"))) == stages


def test_phases_in_steps_are_the_length_of_the_run() -> None:
    composed = made({"phases": [{"name": "a", "steps": 30}, {"name": "b", "steps": 12}]})
    assert composed.steps == 42 and composed.ready
    assert value(composed, "schedule.epochs") is None is value(composed, "schedule.steps")


def test_a_phase_that_cannot_be_is_told_by_the_wizard() -> None:
    for stages, words in (
        ([{"name": "a", "shares": 1.0}], "phases.shares"),
        ([{"name": "a", "share": 1.0, "schedule": "cosin"}], "schedule cannot be 'cosin'"),
        ([{"name": "a", "share": 0.5}], "add up to 0.5"),
        ("probe", "must be tables"),
    ):
        assert any(words in problem.message for problem in made({"phases": stages}).problems), words
