"""A phase's own data: read as the run's is, without what is held out."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.support.training import make_run, write_rows
from tuiwiz.base.errors import InvalidError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.phase_rows import phase_rows
from tuiwiz.data.prepare import prepare
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.optimizer import Phase


def with_data(base: Path, model: Path, *data: str | None) -> Bundle:
    bundle = read_bundle(make_run(base, model, validation__fraction=0.25).bundle)
    phases = tuple(Phase(name=f"p{n}", share=1 / len(data), data=one) for n, one in enumerate(data))
    return msgspec.structs.replace(bundle, phases=phases)


def test_held_out_rows_are_left_out_of_it(tmp_path: Path, tiny_tokenizer: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    bundle = with_data(tmp_path, tiny_tokenizer, None, "rows.jsonl")
    held_out = prepare(bundle, tmp_path, tiny_tokenizer).validation
    (none, own), notes = phase_rows(bundle, tmp_path, tiny_tokenizer, held_out)
    assert none is None and own is not None and len(own) == 24 - len(held_out) == 18
    assert not {row.input_ids.tobytes() for row in own} & {row.input_ids.tobytes() for row in held_out}
    assert "6 rows of it are held out" in notes[0].message and notes[0].key == "phases"


def test_nothing_but_held_out_rows_is_refused(tmp_path: Path, tiny_tokenizer: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    bundle = with_data(tmp_path, tiny_tokenizer, "few.jsonl")
    held_out = prepare(bundle, tmp_path, tiny_tokenizer).validation
    lines = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join(lines[row.row - 1] for row in held_out))
    with pytest.raises(InvalidError, match="held out for evaluations"):
        phase_rows(bundle, tmp_path, tiny_tokenizer, held_out)


def test_columns_of_its_own_are_recognised(tmp_path: Path, tiny_tokenizer: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
    (tmp_path / "turns.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    bundle = with_data(tmp_path, tiny_tokenizer, "turns.jsonl")
    data = msgspec.structs.replace(bundle.data, format="prompt-completion")
    bundle = msgspec.structs.replace(bundle, data=data)
    held_out = prepare(bundle, tmp_path, tiny_tokenizer).validation
    (own,), _ = phase_rows(bundle, tmp_path, tiny_tokenizer, held_out)
    assert own is not None and len(own) == 1
