"""What a run leaves behind is usable without tuiwiz, and is what was trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.executor.support import make_run
from tuiwiz.executor.closing import save_result
from tuiwiz.executor.loop import optimizer_step


def logits_of(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = model(input_ids=ids, use_cache=False).logits
    assert isinstance(found, torch.Tensor)
    return found


def test_the_adapter_loads_in_plain_peft(tmp_path: Path, tiny_model: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = make_run(tmp_path, tiny_model, optimizer__learning_rate="1e-2")
    ids = torch.tensor([list(run.train_rows[0].input_ids)])
    for step in range(3):
        optimizer_step(run, [4 * step + i for i in range(4)])
        run.progress.step += 1
    trained = logits_of(run.model, ids)
    where = save_result(run, tiny_model)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    plain = logits_of(base, ids)
    loaded = logits_of(PeftModel.from_pretrained(base, str(where)), ids)
    assert torch.allclose(loaded, trained, atol=1e-5)
    assert not torch.allclose(plain, trained, atol=1e-3)
    assert AutoTokenizer.from_pretrained(where).chat_template
    assert not (where / "README.md").exists()
    assert [path.name for path in where.parent.glob(".*.tmp")] == []


def test_a_wholly_trained_model_loads_in_plain_transformers(tmp_path: Path, tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    run = make_run(tmp_path, tiny_model, adapter__method='"full"', adapter__rank="16", adapter__alpha="32.0")
    ids = torch.tensor([list(run.train_rows[0].input_ids)])
    optimizer_step(run, [0, 1, 2, 3])
    trained = logits_of(run.model, ids)
    where = save_result(run, tiny_model)
    assert where.name == "model"
    loaded = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)
    assert torch.allclose(logits_of(loaded, ids), trained, atol=1e-5)


def test_a_result_is_there_whole_or_not_at_all(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model)
    first = save_result(run, tiny_model)
    before = {path.name: path.read_bytes() for path in first.iterdir()}

    def full(path: str, **options: object) -> None:
        Path(path).mkdir()
        (Path(path) / "adapter_config.json").write_text("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run.model, "save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        save_result(run, tiny_model)
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    assert [path.name for path in first.parent.glob(".*.tmp")] == []
