"""The self-test of packing: it holds for a model that isolates documents, and stops one that does not."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.desk import Desk
from tests.executor.test_batching import rows_of
from tuiwiz.base.errors import InvalidError
from tuiwiz.events import types
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.packing import prove_packing


@pytest.fixture
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


def prove(model: Any) -> tuple[float, float]:
    objective = CausalObjective(model, fused=True)
    rows = rows_of([9, 24, 12, 17, 22, 5, 30])
    return prove_packing(rows, model, objective, torch.device("cpu"), torch.float32, nullcontext)


def test_packed_and_unpacked_losses_are_equal_and_nothing_is_changed(model: Any) -> None:
    model.train()
    state = torch.get_rng_state()
    packed, apart = prove(model)
    assert packed == pytest.approx(apart, rel=1e-5) and packed > 0
    assert model.training and torch.equal(torch.get_rng_state(), state)


def test_a_model_whose_packed_rows_see_each_other_is_stopped(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = model.get_decoder()
    inner = decoder.forward

    def blind(*args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)  # a model that does not heed position ids

    monkeypatch.setattr(decoder, "forward", blind)
    with pytest.raises(InvalidError, match="packed rows see each other"):
        prove(model)


def test_a_packed_run_says_that_it_was_proven(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Desk(tmp_path, tiny_model, monkeypatch).run(data__packing=True)
    assert any("packed rows do not see each other" in event.message for event in run.of(types.Log))
