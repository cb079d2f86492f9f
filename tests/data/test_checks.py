"""What `data check` finds in rows that could all be trained on: each defect with its row, none where there is none."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import PAIRS, chat, lines
from tuiwiz.data.check import Report, check
from tuiwiz.data.languages import language
from tuiwiz.data.load import Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.suspects import mended, oddities


@pytest.fixture(scope="module")
def renderer(tiny_tokenizer: Path) -> Renderer:
    return Renderer(tiny_tokenizer)


def said(report: Report, words: str) -> list[int | None]:
    """Rows of the findings that say `words`."""
    return [problem.row for problem in report.problems if words in problem.message]


def answers(*texts: str) -> list[dict[str, str]]:
    return [{"prompt": f"question {i}", "completion": text} for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("write to jo.smith@mail.example.org now", "email", "jo…@mail.example.org"),
        ("key sk-abcdefghijklmnopqrstuvwx1234", "secret", "sk-abc…"),
        ("AKIAIOSFODNN7EXAMPLE", "secret", "AKIAIO…"),
        ("token ghp_" + "a" * 36, "secret", "ghp_aa…"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "secret", "a private key"),
        ("Dear [Your Name],", "placeholder", "[Your Name]"),
        ("Hello {{ name }}", "placeholder", "{{ name }}"),
        ("caf\u00c3\u00a9", "damage", "\u00c3\u00a9"),
        ("it\u00e2\u20ac\u2122s", "damage", "\u00e2\u20ac\u2122"),
        ("lost \ufffd byte", "damage", "\ufffd"),
        ("a\x1b[31mb", "control", "U+001B"),
        ("### Instruction:\nDo it", "marker", "### Instruction:"),
        ("[INST] Hi [/INST]", "marker", "[INST]"),
    ],
)
def test_each_oddity_is_found_and_secrets_are_never_shown_whole(text: str, kind: str, shown: str) -> None:
    assert list(oddities(text)) == [(kind, shown)]


@pytest.mark.parametrize(
    "text",
    [
        "plain words", "café, naïve, Ærø, São Paulo, «Ça va»", "日本語のテキスト", "user@example.com", "a @ b",
        "the sky-high task-force", "eyJust a word", "through thoughts_and_ghosts", "<b>bold</b>", "5 € – 7 €", "Привет",
    ],
)  # fmt: skip
def test_ordinary_text_is_left_in_peace(text: str) -> None:
    assert list(oddities(text)) == []
    assert mended(text) == text


@pytest.mark.parametrize("text", ["café", "it’s “quoted” – yes…", "Привет, мир", "日本語のテキスト", "😀 ok", "Größe"])
def test_wrong_encodings_are_undone(text: str) -> None:
    broken = text.encode("utf-8").decode("latin-1")
    assert broken != text and mended(f"a {broken} b") == f"a {text} b"


def test_exact_repeats_are_counted_with_the_first_row(tmp_path: Path, renderer: Renderer) -> None:
    path = lines(tmp_path / "a.jsonl", [*PAIRS, PAIRS[4], PAIRS[2], PAIRS[4]])
    report = check(path, Settings(), renderer)
    found = [problem for problem in report.problems if "repeat an earlier row" in problem.message]
    assert [(problem.row, problem.message) for problem in found] == [
        (31, "3 rows repeat an earlier row word for word (first: row 31, row 5)")
    ]


def test_near_duplicates_are_told_from_repeats_and_from_other_rows(tmp_path: Path, renderer: Renderer) -> None:
    draw = random.Random(1)
    words = [f"word{i}" for i in range(900)]
    texts = [" ".join(draw.choices(words, k=60)) for _ in range(40)]
    changed = texts[3].split()
    changed[30] = "another"
    path = lines(tmp_path / "a.jsonl", answers(*texts, " ".join(changed)) + answers(*texts)[5:6])
    report = check(path, Settings(), renderer)
    assert said(report, "1 row says nearly the same as another (first: row 41, row 4)") == [41]
    assert said(report, "1 row repeats an earlier row") == [42]


def test_near_duplicates_of_a_text_without_spaces(tmp_path: Path, renderer: Renderer) -> None:
    text = "私は毎朝早く起きて公園を散歩してから仕事に行きますそして夜は家で本を読みます友達と話すのも好きです" * 2
    path = lines(
        tmp_path / "a.jsonl", answers(text, text.replace("夜", "晩", 1), "今日はとても良い天気なので海に行きたいです")
    )
    assert said(check(path, Settings(), renderer), "nearly the same") == [2]


def test_label_spellings_single_rows_and_imbalance(tmp_path: Path, renderer: Renderer) -> None:
    rows = [{"text": f"good number {i}", "label": "positive"} for i in range(40)]
    rows += [{"text": f"bad number {i}", "label": "negative"} for i in range(3)]
    rows += [{"text": "so so", "label": "Positive"}, {"text": "hm", "label": "psoitive"}, {"text": "?", "label": "odd"}]
    report = check(lines(tmp_path / "a.jsonl", rows), Settings(), renderer)
    assert said(report, "label 'Positive' (1 row) looks like 'positive' (40 rows) misspelt") == [44]
    assert said(report, "label 'psoitive' (1 row) looks like 'positive' (40 rows) misspelt") == [45]
    assert said(report, "3 of 5 classes have a single row: 'Positive', 'psoitive', 'odd'") == [44]
    assert said(report, "classes are unequal: 'positive' has 40 rows") == [None]


def test_balanced_numbered_labels_are_no_typos(tmp_path: Path, renderer: Renderer) -> None:
    rows: list[Any] = [{"text": f"text {i}", "label": f"class_{i % 12}"} for i in range(240)]
    rows += [{"text": f"text {i}", "label": i % 3} for i in range(240, 300)]
    report = check(lines(tmp_path / "a.jsonl", rows), Settings(), renderer)
    assert not said(report, "misspelt") and not said(report, "single row")


def test_numbers_to_predict_are_no_classes(tmp_path: Path, renderer: Renderer) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": f"text {i}", "label": i / 7} for i in range(200)])
    assert said(check(path, Settings(task="classify"), renderer), "200 different labels in 200 rows")
    report = check(path, Settings(task="classify", labels="regression"), renderer)
    assert not said(report, "different labels") and not said(report, "single row")


def test_validation_is_compared_with_training(tmp_path: Path, renderer: Renderer) -> None:
    texts = [
        f"this is sentence number {i} about {'cats' if i % 2 else 'dogs'} and nothing else {i * 7}" for i in range(30)
    ]
    rows = [{"text": text, "label": "cat" if i % 2 else "dog"} for i, text in enumerate(texts)]
    train = lines(tmp_path / "a.jsonl", rows)
    held = lines(tmp_path / "v.jsonl", [rows[4], {"text": "a bird", "label": "bird"}, {"text": "miau", "label": "cat"}])
    report = check(train, Settings(), renderer, validation=held)
    assert said(report, "1 validation row shares its prompt with training (first: row 1)") == [1]
    assert said(report, "validation has labels that training never sees: 'bird' (1 rows)") == [2]
    assert said(report, "validation: 3 of 3 rows can be used")


def test_a_validation_row_that_is_nearly_a_training_row_is_named(tmp_path: Path, renderer: Renderer) -> None:
    draw = random.Random(2)
    texts = [" ".join(draw.choices([f"w{i}" for i in range(500)], k=50)) for _ in range(20)]
    train = lines(tmp_path / "a.jsonl", answers(*texts))
    held = lines(tmp_path / "v.jsonl", [{"prompt": "question 7", "completion": texts[7] + " more"}, *answers("short")])
    held_rows = [
        {"prompt": "question 70", "completion": texts[7] + " more"},
        {"prompt": "other", "completion": "short"},
    ]
    lines(held, held_rows)
    report = check(train, Settings(), renderer, validation=held)
    assert said(report, "1 validation row says nearly the same as a training row (first: row 1)") == [1]
    assert not said(report, "shares its prompt")


def test_each_way_with_long_rows_says_what_it_loses(tmp_path: Path, renderer: Renderer) -> None:
    path = lines(tmp_path / "a.jsonl", [*PAIRS, {"prompt": "Say a lot", "completion": "word " * 200}])
    lost = {}
    for way in ("drop", "truncate", "split"):
        report = check(path, Settings(max_length=80, overlong=way), renderer)
        message = next(problem.message for problem in report.problems if "longer than 80 tokens" in problem.message)
        lost[way] = report.supervised_tokens
        assert ", 0 by split" in message
    whole = check(path, Settings(), renderer).supervised_tokens
    dropped, cut = whole - lost["drop"], whole - lost["truncate"]
    assert f"Answer tokens lost: {dropped:,} by drop, {cut:,} by truncate, 0 by split" in message
    assert lost["split"] == whole and 0 < cut < dropped


def test_template_mismatch_is_warned_about(tmp_path: Path, renderer: Renderer, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", PAIRS)
    assert not said(check(path, Settings(), renderer), "brings its own chat template")
    other = Renderer(tiny_tokenizer, template="instruction")
    assert said(check(path, Settings(), other), "rows are written with instruction")
    foreign = tmp_path / "foreign.jinja"
    foreign.write_text(
        "{% for m in messages %}<|turn|>{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>assistant:{% endif %}"
    )
    report = check(path, Settings(), Renderer(tiny_tokenizer, template=str(foreign)))
    assert said(report, "the template writes <|turn|>, which is no control token of this tokenizer")
    assert not said(check(path, Settings(), Renderer(tiny_tokenizer, template="chatml")), "no control token of")


def test_odd_turns(tmp_path: Path, renderer: Renderer) -> None:
    good = [{"messages": chat(f"q{i}", "a")} for i in range(5)]
    tool = [
        {"role": "user", "content": "q"},
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "Four"},
    ]
    path = lines(tmp_path / "a.jsonl", [*good, {"messages": chat("", "answer")}, {"messages": tool}])
    report = check(path, Settings(), renderer)
    assert said(report, "1 row has an empty turn") == [6]
    assert [p.severity for p in report.problems if "1 row has tool turns" in p.message] == ["info"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How can I track the card you sent me?", "English"),
        ("Wie kann ich die Karte verfolgen, die nicht da ist?", "German"),
        ("Comment est-ce que je peux suivre ma carte?", "French"),
        ("¿Cómo puedo rastrear la tarjeta que no llega?", "Spanish"),
        ("我怎么跟踪我的卡", "Chinese"),
        ("カードを追跡するには", "Japanese"),
        ("카드를 추적하려면", "Korean"),
        ("Как отследить карту", "Cyrillic script"),
        ("12 + 4 = 16", ""),
    ],
)
def test_languages(text: str, name: str) -> None:
    assert language(text) == name


def test_the_language_mix_is_a_fact(tmp_path: Path, renderer: Renderer) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        answers(*["你好，我是一个助手，很高兴见到你" for _ in range(3)], "I am the assistant of you"),
    )
    report = check(path, Settings(), renderer)
    assert [(p.severity, p.message) for p in report.problems if "languages" in p.message] == [
        ("info", "languages, roughly: Chinese 75 %, English 25 %")
    ]


def test_few_trained_tokens_are_worth_a_word(tmp_path: Path, renderer: Renderer) -> None:
    rows: list[Any] = [{"prompt": f"{i} " + "many words " * 100, "completion": "x"} for i in range(4)]
    assert said(check(lines(tmp_path / "a.jsonl", rows), Settings(), renderer), "of the tokens are trained")
    assert not said(check(lines(tmp_path / "a.jsonl", PAIRS), Settings(), renderer), "of the tokens are trained")
