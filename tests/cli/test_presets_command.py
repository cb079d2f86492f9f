"""`tuiwiz presets`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tuiwiz.cli.main import main
from tuiwiz.presets.find import forget, gallery_folder


@pytest.fixture(autouse=True)
def fresh() -> None:
    forget()


def printed(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(["presets", *argv]) == code
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    out = printed(capsys, *argv, "--json", code=code)
    assert out.count("\n") == 1
    return json.loads(out)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "list")
    keys = [(one["name"], one["task"], one["band"], one["method"]) for one in found]
    assert len(keys) == len(set(keys)) == 264
    assert all(one["grade"] in "ABC" and Path(one["path"]).is_file() for one in found)
    assert "instruct-small" in printed(capsys, "list")
    assert {one["task"] for one in document(capsys, "list", "--task", "chat")} == {"chat"}


def test_why_prints_the_whole_chain(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "why", "optimizer.learning_rate", "--preset", "chat", "--band", "70B")
    for part in ("1e-4", "formula", "QLoRA", "A: tuned", "5e-5 to 2e-4", "divergence", "decided by"):
        assert part in out
    found = document(capsys, "why", "adapter.dropout", "--preset", "chat", "--band", "XL", "--method", "lora")
    assert found["value"] == 0.0 and [step["value"] for step in found["chain"]] == [0.05, 0.0]


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("why", "learning_rate", "--preset", "chat"), "optimizer.learning_rate"),
        (("why", "optimizer.learning_rate", "--preset", "chatt"), "chat"),
        (("show", "chat", "--band", "huge"), "such as 8B"),
        (("show", "chat", "--task", "dpo"), "it covers"),
        (("copy", "chat", "../evil"), "small letters"),
    ],
)
def test_wrong_usage_says_what_would_be_right(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], hint: str
) -> None:
    assert main(["presets", *argv]) == 2
    assert hint in capsys.readouterr().err


def test_show_has_a_reason_for_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "show", "instruct-small", "--band", "8B", "--method", "full")
    assert found["values"]["optimizer.learning_rate"] == 1e-5
    assert set(found["why"]) == set(found["values"])
    assert "no reason" not in printed(capsys, "show", "chat")


def test_copy_validate_and_list_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(document(capsys, "copy", "chat", "ours")["path"])
    assert document(capsys, "validate", str(path))["ok"] is True
    assert "ours" in {one["name"] for one in document(capsys, "list")}
    path.write_text(path.read_text().replace("epochs = 2.0", "epoch = 2.0"))
    refused = document(capsys, "validate", str(path), code=3)
    assert refused["ok"] is False
    problem = next(one for one in refused["problems"] if one["key"] == "schedule.epoch")
    assert problem["line"] and "schedule.epochs" in problem["hint"]
    assert document(capsys, "validate", str(gallery_folder() / "chat.toml"))["problems"] == []


def test_listing_loads_neither_torch_nor_textual_nor_numpy() -> None:
    code = "import sys; from tuiwiz.cli.main import main; main(['presets', 'list']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert not {"torch", "textual", "numpy", "transformers"} & set(out.split())
