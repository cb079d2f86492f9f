"""`tuiwiz plan` and `tuiwiz models list` as people and scripts call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.wizard import bare_model, sums
from tuiwiz.cli.main import main

KEYS = {
    "verdict",
    "fits",
    "device_bytes",
    "usable_bytes",
    "total_bytes",
    "low_bytes",
    "high_bytes",
    "items",
    "limiting",
    "seconds_per_step",
    "disk_bytes",
    "choices",
}
BUNDLE = """\
format = 1
[task]
kind = "instruct"
[model]
source = "qwen3-8b"
[data]
train = "train.jsonl"
[schedule]
epochs = 1
[lock.rows]
"train.jsonl" = 1425
"""


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_size_and_a_task_are_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--model", "8B", "--task", "chat", "--gpu", "RTX 4090", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= KEYS
    assert sum(found["items"].values()) == found["total_bytes"]
    choice = found["choices"][0]
    assert {"method", "rank", "max_length", "micro_batch", "accumulation", "gradient_checkpointing"} <= set(choice)
    assert {"total_bytes", "tokens_per_second", "fits"} <= set(choice)
    assert found["seconds_per_step"] is None and found["why"]


def test_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.toml"
    path.write_text(BUNDLE, encoding="utf-8")
    assert main(["plan", str(path), "--gpu", "80", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 90 and found["device_bytes"] == 80 << 30
    assert main(["plan", str(path), "--gpu", "8", "--set", "adapter.method=full"]) == 0
    text = capsys.readouterr().out
    assert "does not fit" in text and "Next:" in text


def test_people_read_items_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--model", "qwen3-8b", "--task", "instruct", "--gpu", "24"]) == 0
    text = capsys.readouterr().out
    assert "weights" in text and "micro x accum" in text and "GiB usable" in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan"], 2),
        (["plan", "--model", "qwen3-8c", "--task", "chat"], 2),
        (["plan", "--model", "8B", "--task", "chat", "--gpu", "banana"], 2),
        (["plan", "--model", "someone/unknown", "--task", "chat"], 8),
        (["plan", "nowhere.toml"], 3),
        (["plan", "--model", "0B", "--task", "chat"], 2),
        (["plan", "--model", "8B", "--task", "nonsense"], 2),
        (["plan", "--model", "8B", "--by", "25:00"], 3),
        (["plan", "--model", "8B", "--set", "batch.micro=0"], 3),
        (["plan", "--model", "8B", "--set", "data.max_length=999999999"], 3),
    ],
)
def test_bad_wishes_get_a_sentence_and_their_code(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert "tuiwiz: " in capsys.readouterr().err


def test_models_by_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--size", "1B", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found and all(0.7e9 < row["parameters"] < 1.4e9 for row in found)
    assert {"name", "hub", "licence", "gated", "here", "band", "source", "stated", "stated_source"} <= set(found[0])
    assert main(["models", "list"]) == 0
    assert "qwen3-8b" in capsys.readouterr().out
    assert main(["models", "list", "--size", "big"]) == 2


def test_lengths_are_read_from_the_rows_where_they_are(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_model(tmp_path / "tiny", tiny_tokenizer)
    sums(tmp_path / "train.jsonl", rows=40)
    path = tmp_path / "b.toml"
    path.write_text(BUNDLE.replace("qwen3-8b", "tiny").partition("[lock")[0], encoding="utf-8")
    assert main(["plan", str(path), "--gpu", "T4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds_per_step"] > 0 and found["steps"] == 3
    short = found["items"]["activations"]
    (tmp_path / "train.jsonl").unlink()
    assert main(["plan", str(path), "--gpu", "T4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds_per_step"] is None and found["items"]["activations"] > short


def test_a_plan_is_checked_by_simulation(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_model(tmp_path / "tiny", tiny_tokenizer)
    path = tmp_path / "b.toml"
    path.write_text(BUNDLE.replace("qwen3-8b", "tiny"), encoding="utf-8")
    assert main(["plan", str(path), "--gpu", "24", "--simulate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    simulated = found["simulated"]
    assert simulated["problem"] == "" and simulated["verdict"] == "fits"
    allocated = found["total_bytes"] - found["items"]["context"] - found["items"]["reserve"]
    assert simulated["allocated_bytes"] == pytest.approx(allocated, rel=0.15)
