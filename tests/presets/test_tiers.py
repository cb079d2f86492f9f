"""Every preset fits the card that is stated for it, by the planner, at its own length."""

from __future__ import annotations

import msgspec
import pytest

from tuiwiz.catalog.gpus import find_device
from tuiwiz.catalog.models import find
from tuiwiz.presets.choose import coverage
from tuiwiz.presets.find import all_presets
from tuiwiz.presets.resolve import resolve
from tuiwiz.presets.tiers import MODELS, tier, tier_words
from tuiwiz.presets.when import Context
from tuiwiz.wizard.compose import Answers, compose
from tuiwiz.wizard.facts import Facts
from tuiwiz.wizard.planning import plan_of

COVERED = coverage(all_presets().presets)


@pytest.mark.parametrize("name", sorted({one.name for one in COVERED}))
def test_a_preset_fits_its_stated_tier(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Composing would make the rows shorter until they fit: the preset's own length is what is judged.
    monkeypatch.setattr("tuiwiz.wizard.compose.plan_of", lambda *_: None)
    known = all_presets().presets
    for one in [one for one in COVERED if one.name == name and one.method != "freeze"]:
        gib, model = tier(one.task, one.method, one.band), find(MODELS[one.band])
        assert model is not None
        if gib is None:
            assert tier_words(one.task, one.method, one.band) == "more than one card"
            continue
        facts = Facts(shape=model.shape, device=find_device(str(gib)))
        answers = Answers(task=one.task, model=model.name, data="t.jsonl", method=one.method, preset=name)
        bundle = compose(answers, facts).bundle
        values = resolve(known[name], Context(task=one.task, band=one.band, method=one.method), known).values
        bundle = msgspec.structs.replace(
            bundle,
            data=msgspec.structs.replace(bundle.data, max_length=int(values["data.max_length"])),
            batch=msgspec.structs.replace(bundle.batch, micro=1, accumulation=None),
            memory=msgspec.structs.replace(bundle.memory, gradient_checkpointing=True),
        )
        plan = plan_of(bundle, facts, None)
        assert plan is not None and plan.verdict == "fits", (one, gib, plan and plan.verdict)


def test_freezing_is_held_to_the_tier_of_all_weights_and_words_name_the_model() -> None:
    assert tier("chat", "freeze", "M") == tier("chat", "full", "M")
    assert tier_words("chat", "qlora", "M") == "fits a card of 12 GiB (qwen3-8b, by the planner)"
