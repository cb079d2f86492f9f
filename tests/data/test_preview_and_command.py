"""The preview, and `tuiwiz data` as a person or a script meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import PAIRS, lines
from tuiwiz.cli.main import main
from tuiwiz.data.preview import preview


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    """Exit code and the JSON document of `tuiwiz data ... --json`."""
    code = main(["data", *args, "--json"])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return code, json.loads(out)


def test_segments_joined_are_the_exact_text(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [*PAIRS[:2], {"prompt": "a"}])
    rows = preview(path, tiny_tokenizer)
    first = rows[0]
    text = "".join(segment.text for segment in first.segments)
    assert text == "<|im_start|>user\nWhat is 1 plus 1?<|im_end|>\n<|im_start|>assistant\nIt is 2.<|im_end|>\n"
    assert [segment.text for segment in first.segments if segment.mark == "trained"] == ["It is 2.<|im_end|>\n"]
    assert first.supervised_tokens is not None and first.tokens is not None
    assert 0 < first.supervised_tokens < first.tokens
    assert rows[2].problem is not None and "has no `completion`" in rows[2].problem.message


def test_what_is_cut_off_is_marked(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"prompt": "count", "completion": "one two three four five six"}])
    whole = preview(path, tiny_tokenizer)[0]
    assert whole.tokens is not None
    row = preview(path, tiny_tokenizer, max_length=whole.tokens - 4, overlong="truncate")[0]
    assert [segment.mark for segment in row.segments] == ["context", "trained", "truncated"]
    assert row.problem is not None and "the rest is cut off" in row.problem.message
    assert "".join(segment.text for segment in row.segments).endswith("six<|im_end|>\n")


def test_without_a_tokenizer_text_is_shown_and_counts_are_unknown(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", PAIRS)
    row = preview(path, None, skip=1, limit=1)[0]
    assert (row.row, row.tokens) == (2, None)
    assert row.segments[-1].text == "It is 4."


def test_a_preview_of_a_big_file_appears_within_a_second(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = tmp_path / "big.jsonl"
    row = json.dumps({"prompt": "q " * 200, "completion": "a " * 200}) + "\n"
    with path.open("w") as file:
        for _ in range(60):
            file.write(row * 1000)
    started = time.perf_counter()
    assert len(preview(path, tiny_tokenizer)) == 5
    assert time.perf_counter() - started < 1


def test_of_endless_rows_and_lines_the_beginning_is_shown(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"prompt": "q", "completion": "word " * 500_000}, PAIRS[0]])
    started = time.perf_counter()
    long, short = preview(path, tiny_tokenizer)
    assert time.perf_counter() - started < 3
    assert long.problem is not None and "the row has 2,500,001 characters" in long.problem.message
    assert short.problem is None
    (tmp_path / "a.txt").write_text("word " * 500_000)
    row = preview(tmp_path / "a.txt", tiny_tokenizer, limit=1)[0]
    assert 0 < len("".join(segment.text for segment in row.segments)) <= 200_100


def test_check_gives_the_keys_of_the_contract(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path / "a.jsonl", [*PAIRS, {"prompt": "a"}])
    code, found = run(capsys, "check", str(path), "--model", str(tiny_tokenizer))
    assert code == 0
    wanted = {"ok", "format", "mapping", "rows", "usable_rows", "tokens", "supervised_tokens", "lengths", "problems"}
    assert wanted <= set(found)
    assert (found["ok"], found["format"], found["rows"], found["usable_rows"]) == (True, "prompt-completion", 31, 30)
    assert found["mapping"] == {"prompt": "prompt", "completion": "completion"}
    assert set(found["lengths"]) == {"p50", "p95", "max"}
    bad = [problem for problem in found["problems"] if problem["row"] == 31]
    assert [(problem["severity"], problem["line"]) for problem in bad] == [("warning", 31)]
    assert {"severity", "row", "line", "column", "message", "hint"} <= set(bad[0])


@pytest.mark.parametrize(
    ("name", "content", "rows", "usable", "words"),
    [
        ("a.jsonl", "", 0, 0, "no rows"),
        ("a.csv", "text,label\n", 0, 0, "no rows"),
        ("a.csv", "text,label\na,x\nb,x\n", 2, 2, "at least two classes"),
        ("a.csv", "text 1,no\ntext 2,yes\n", 1, 0, "header line is missing"),
        ("a.jsonl", "instruction: hi\noutput: ho\n", 0, 0, "line 1 is not JSON"),
        ("a.jsonl", '"one"\n"two"\n', 2, 0, "rows are not objects"),
        ("a.json", '[{"text": "a"},]', 0, 0, "comma before the closing bracket"),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "hi"}]}\n' * 2, 2, 0, "no assistant turn"),
        (
            "a.jsonl",
            '{"prompt":"a","completion":"b"}\n{"text":"c"}\n{"instruction":"d","output":"e"}\n',
            3,
            1,
            "only 1 of 3",
        ),
    ],
)
def test_refused_files(
    tmp_path: Path,
    tiny_tokenizer: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    rows: int,
    usable: int,
    words: str,
) -> None:
    (tmp_path / name).write_text(content)
    code, found = run(capsys, "check", str(tmp_path / name), "--model", str(tiny_tokenizer))
    assert (code, found["ok"], found["rows"], found["usable_rows"]) == (3, False, rows, usable)
    assert found["problems"][0]["severity"] == "error"
    assert words in found["problems"][0]["message"]


def test_mapping_and_length_can_be_set(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path / "a.jsonl", [{"q": "one", "a": "two"}] * 3)
    assert run(capsys, "check", str(path))[0] == 3
    mapping = 'data.mapping={prompt="q", completion="a"}'
    code, found = run(capsys, "check", str(path), "--set", mapping, "--model", str(tiny_tokenizer))
    assert (code, found["usable_rows"]) == (0, 3)
    code, found = run(
        capsys, "check", str(path), "--set", mapping, "--set", "data.max_length=8", "--model", str(tiny_tokenizer)
    )
    assert code == 3
    assert "every row is longer than 8 tokens" in found["problems"][0]["message"]
    assert main(["data", "check", str(path), "--set", "data.max_lenght=3"]) == 2
    assert main(["data", "check", str(path), "--task", "instrct"]) == 2
    assert main(["data", "check", str(path), "--model", "no-such-model"]) == 2


def test_without_a_tokenizer_counts_are_called_estimates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    code, found = run(capsys, "check", str(lines(tmp_path / "a.jsonl", PAIRS)))
    assert code == 0
    assert found["estimated"] is True
    assert found["tokens"] > 0
    assert any("estimates" in problem["message"] for problem in found["problems"])


def test_show_prints_the_exact_text_with_marks_and_nothing_that_moves_the_cursor(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"prompt": "\x1b[31mred\x1b[0m [bold]x[/bold]", "completion": "[red]y[/]\x1b]0;title\x07"}
    path = lines(tmp_path / "a.jsonl", [PAIRS[0], row])
    assert main(["data", "show", str(path), "--model", str(tiny_tokenizer)]) == 0
    out = capsys.readouterr().out
    assert "<|im_start|>assistant\n⟦It is 2.<|im_end|>\n⟧" in out
    assert "red [bold]x[/bold]" in out
    assert "⟦[red]y[/]<|im_end|>\n⟧" in out
    assert "\x1b" not in out


def test_formats_are_listed_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, "formats")
    assert code == 0
    assert {"openai", "sharegpt", "alpaca", "prompt-completion", "text"} <= {format["name"] for format in found}
    assert main(["data", "formats"]) == 0
    assert "Where is my card?" in capsys.readouterr().out


def test_text_formats_never_load_numpy_or_torch(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", PAIRS)
    code = (
        "import sys; from pathlib import Path\n"
        "from tuiwiz.data.preview import preview; from tuiwiz.data.check import check\n"
        "from tuiwiz.data.load import Settings; from tuiwiz.data.render import Renderer\n"
        f"folder, path = Path({str(tiny_tokenizer)!r}), Path({str(path)!r})\n"
        "assert preview(path, folder) and check(path, Settings(), Renderer(folder)).ok\n"
        "print([m for m in ('numpy', 'torch', 'transformers', 'pyarrow', 'datasets') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_file_names_that_are_no_utf8_and_texts_to_classify(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    path.write_text("text,label\nwhere is it,lost\nthank you,thanks\n")
    code, found = run(capsys, "check", str(path), "--model", str(tiny_tokenizer))
    assert (code, found["format"], found["classes"], found["supervised_tokens"]) == (0, "classification", 2, 0)
    shown = preview(path, tiny_tokenizer, limit=1)[0]
    assert [(segment.text, segment.mark) for segment in shown.segments] == [("where is it", "context")]
