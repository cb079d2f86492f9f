"""Secrets of the environment and of the user's configuration stay where they are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.processes import tuiwiz, write_bundle

SECRETS = {
    "HF_TOKEN": "hf_PLANTED4hf4token",
    "WANDB_API_KEY": "PLANTED4wandb4key",
    "HUGGING_FACE_HUB_TOKEN": "PLANTED4old4token",
    "MLFLOW_TRACKING_PASSWORD": "PLANTED4mlflow",
    "AWS_SECRET_ACCESS_KEY": "PLANTED4aws",
}
MARK = b"PLANTED4"


@pytest.mark.parametrize("ending", ["finished", "failed"])
def test_they_reach_no_file_and_no_output(tmp_path: Path, own_home: Path, tiny_model: Path, ending: str) -> None:
    (tmp_path / "config.toml").write_text('[notify]\nurl = "http://127.0.0.1:9/PLANTED4url"\n')
    dtype = '"fp32"' if ending == "finished" else '"fp16"'
    bundle = write_bundle(tmp_path / "work", tiny_model, model__dtype=dtype)
    told = []
    for words in (
        ("bundle", "lock", bundle),
        ("check", bundle),
        ("run", bundle, "--out", tmp_path / "run", "--plain"),
        ("runs", "show", tmp_path / "run"),
        ("verify", tmp_path / "run", "--steps", "2"),
        ("bundle", "pack", tmp_path / "run", "-o", tmp_path / "x.zip"),
        ("where",),
    ):
        done = tuiwiz(*words, env=SECRETS)
        told.append(done.stdout + done.stderr)
    assert ending in told[2]
    assert all(MARK.decode() not in text for text in told)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "config.toml"]
    assert any(path.name == "events.jsonl" for path in files) and any(path.name == "run.log" for path in files)
    assert not [path for path in files if MARK in path.read_bytes()]
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert not [name for name in archive.namelist() if MARK in archive.read(name)]
