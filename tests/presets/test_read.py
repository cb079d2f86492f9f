"""Reading preset files: all problems at once with their lines, and hostile files refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.problems import Problem
from tuiwiz.presets.check import check_file
from tuiwiz.presets.copy import copy_preset
from tuiwiz.presets.find import all_presets, find, forget, gallery_folder
from tuiwiz.presets.preset import LARGEST_FILE
from tuiwiz.presets.read import parse_preset, read_preset
from tuiwiz.presets.resolve import resolve
from tuiwiz.presets.when import Context, Interval, When, holds, overlay, words

GOOD = """
name = "mine"
extends = "chat"

[when]
task = "chat"
rows = ["<1000", "5000..9000"]
memory = ">=24GiB"

[schedule]
epochs = 4.0

[why."schedule.epochs"]
reason = "few rows"
source = "my own runs"
range = [1, 6]
grade = "B"

[[case]]
when = { band = ["S", "M"] }

[case.optimizer]
learning_rate = 1e-4

[case.why."optimizer.learning_rate"]
reason = "measured"
source = "my own sweep"
grade = "A"

[[results]]
model = "qwen3-8b"
rows = 800
value = 0.41
"""


def problems_of(text: str) -> list[Problem]:
    return list(parse_preset(text, Path("p.toml"))[1])


def test_a_good_file() -> None:
    preset, problems = parse_preset(GOOD, Path("mine.toml"))
    assert preset is not None and not list(problems)
    assert preset.extends == "chat"
    assert preset.base.when.rows == (Interval(0, 1000), Interval(5000, 9000))
    assert preset.cases[0].values == {"optimizer.learning_rate": 1e-4}
    assert preset.results[0].value == 0.41
    context = Context(task="chat", band="M", method="qlora", rows=500, memory_bytes=24 << 30)
    resolved = resolve(preset, context, {**all_presets().presets, "mine": preset})
    assert resolved.values["schedule.epochs"] == 4.0
    assert resolved.values["optimizer.learning_rate"] == 1e-4
    assert resolved.values["batch.effective"] == 32
    assert [step.preset for step in resolved.trail["optimizer.learning_rate"]] == ["chat", "mine"]


def test_a_value_that_is_replaced_without_a_reason_loses_the_old_reason() -> None:
    preset, _ = parse_preset('name = "mine"\nextends = "chat"\n[schedule]\nepochs = 4.0\n', Path("mine.toml"))
    assert preset is not None
    resolved = resolve(preset, Context(task="chat", band="M", method="lora"), {**all_presets().presets, "mine": preset})
    assert resolved.why["schedule.epochs"].reason == ""


def test_all_problems_at_once_each_with_its_line_and_hint() -> None:
    text = """name = "Bad Name"
[when]
bnad = "M"
task = "chatt"
[optimizer]
learning_rat = 1e-4
clip_norm = -1.0
[data]
train = "secret.jsonl"
[[case]]
when = { method = "lora", rows = "many" }
[case.schedule]
epochs = "three"
[case.why."schedule.kind"]
reason = "x"
"""
    found = {(problem.line, problem.message.split(":")[0]): problem.hint for problem in problems_of(text)}
    lines = {line for line, _ in found}
    assert {1, 3, 4, 6, 7, 9, 11, 13, 14} <= lines
    hints = " ".join(found.values())
    assert "did you mean band" in hints
    assert "did you mean chat" in hints
    assert "optimizer.learning_rate" in hints
    assert "belongs to one run" in hints


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('name = "../up"', "no name"),
        ('name = "-x"', "no name"),
        ("[schedule]\nepochs = 2.0", "name is missing"),
        ('name = "x"\nextends = ["a", "b"]', "one preset"),
        ('name = "x"\ncode = "import os"', "unknown key code"),
        ('name = "x"\n[optimizer]\nlearning_rate = 1e9', "at most"),
        ('name = "x"\n[optimizer]\nlearning_rate = nan', "finite"),
        ('name = "x"\n[adapter]\nrank = 100000000', "at most"),
        ('name = "x"\n[adapter]\nfrom = "/etc"', "cannot be part"),
        ('name = "x"\n[model]\nsource = "evil/model"', "cannot be part"),
        ('name = "x"\n[launch]\nnodes = 4', "cannot be part"),
        ('name = "x"\n[schedule]\nepochs = 2.0\n[why."schedule.epochs"]\nrange = [3, 5]', "outside its own range"),
        ('name = "x"\n[schedule]\nepochs = 2.0\n[why."schedule.epochs"]\ngrade = "Z"', "grade must be"),
        ('name = "x"\n[why."schedule.epochs"]\nreason = "x"', "not set beside it"),
        ('name = "x"\n[[case]]\n[case.schedule]\nepochs = 1.0', "needs a condition"),
        ('name = "x"\n[[results]]\nmodel = "m"\nrun = "rm"', "results"),
        ("name = ", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("a = " + "9" * 6000, "not valid TOML"),
        ('name = "x"\n' + '"a" . ' * 40_000 + "a = 1", "nested too deeply"),
        ('name = "x"\nb = {' + "a." * 40_000 + "a = 1}", "nested too deeply"),
        ('name = "x"\nwhen = 3', "must be a table"),
        ('name = "x"\ncase = 3', "list of tables"),
    ],
)
def test_hostile_or_wrong_files_are_refused_with_the_reason(text: str, reason: str) -> None:
    preset, problems = parse_preset(text, Path("x.toml"))
    assert preset is None
    assert any(reason in problem.message + problem.hint for problem in problems.errors), list(problems)


def test_terminal_codes_in_reasons_are_taken_out() -> None:
    text = 'name = "x"\n[schedule]\nepochs = 2.0\n[why."schedule.epochs"]\nreason = "a\\u001b[2Jb\\nc"\n'
    preset, _ = parse_preset(text, Path("x.toml"))
    assert preset is not None
    assert preset.base.why["schedule.epochs"].reason == "ab⏎c"


def test_huge_unreadable_and_binary_files(tmp_path: Path) -> None:
    huge, binary = tmp_path / "huge.toml", tmp_path / "binary.toml"
    huge.write_text('name = "huge"\n' + "#" * LARGEST_FILE)
    binary.write_bytes(b"\xff\xfe\x00")
    for path, reason in ((huge, "too large"), (binary, "not UTF-8"), (tmp_path / "gone.toml", "cannot be read")):
        preset, problems = read_preset(path)
        assert preset is None
        assert reason in problems.errors[0].message


def own(home: Path, name: str, text: str) -> Path:
    path = home / "presets" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    forget()
    return path


def test_circles_depth_and_missing_parents_are_refused_and_leave_the_rest_usable(own_home: Path) -> None:
    own(own_home, "a", 'name = "a"\nextends = "b"\n')
    own(own_home, "b", 'name = "b"\nextends = "a"\n')
    own(own_home, "self", 'name = "self"\nextends = "self"\n')
    own(own_home, "lost", 'name = "lost"\nextends = "chatt"\n')
    for depth in range(1, 7):
        parent = f"d{depth - 1}" if depth > 1 else "chat"
        own(own_home, f"d{depth}", f'name = "d{depth}"\nextends = "{parent}"\n')
    gallery = all_presets()
    text = " ".join(problem.message + problem.hint for problem in gallery.problems)
    assert "circle: a -> b -> a" in text
    assert "circle: self -> self" in text
    assert "did you mean chat?" in text
    # common, sft and chat are three of the five.
    assert {"chat", "d1", "d2"} <= set(gallery.presets)
    assert not {"a", "b", "self", "lost", "d3", "d4", "d5", "d6"} & set(gallery.presets)


def test_a_taken_name_is_refused_and_the_shipped_preset_stays(own_home: Path) -> None:
    path = own(own_home, "chat", 'name = "chat"\n[optimizer]\nlearning_rate = 9.0\n')
    gallery = all_presets()
    assert gallery.presets["chat"].shipped
    assert any("taken" in problem.message and problem.path == str(path) for problem in gallery.problems)
    assert any("taken" in problem.message for problem in check_file(path))


def test_unknown_names_get_the_nearest(own_home: Path) -> None:
    forget()
    with pytest.raises(UsageError, match="no preset") as error:
        find("chta")
    assert "chat" in error.value.hint


def test_resolving_a_lost_chain_is_refused() -> None:
    preset, _ = parse_preset('name = "x"\nextends = "nowhere"\n', Path("x.toml"))
    assert preset is not None
    with pytest.raises(InvalidError, match="does not exist"):
        resolve(preset, Context(task="chat", method="lora"), {"x": preset})


def test_the_checkout_comes_before_a_copy_in_the_package(tmp_path: Path) -> None:
    package = tmp_path / "tuiwiz"
    copied = package / "presets" / "gallery"
    copied.mkdir(parents=True)
    assert gallery_folder(package) == copied
    (tmp_path / "presets").mkdir()
    assert gallery_folder(package) == copied, "site-packages/presets of somebody else is no gallery"
    (tmp_path / "pyproject.toml").write_text("")
    assert gallery_folder(package) == tmp_path / "presets"


def test_copy_and_use(own_home: Path) -> None:
    forget()
    path = copy_preset("instruct-small", "mine")
    assert path.parent == own_home / "presets"
    assert not [problem for problem in check_file(path) if problem.severity == "error"]
    assert find("mine").base.values == find("instruct-small").base.values
    for taken in ("mine", "chat", "../x"):
        with pytest.raises(UsageError):
            copy_preset("chat", taken)


def test_conditions() -> None:
    when = When(task=("chat",), rows=(Interval(0, 1000),))
    assert holds(when, Context(task="chat", method="lora", rows=999)) is True
    assert holds(when, Context(task="chat", method="lora", rows=1000)) is False
    assert holds(when, Context(task="chat", method="lora")) is None
    assert holds(when, Context(task="instruct", method="lora")) is False
    assert words(when) == "chat; fewer than 1,000 rows"
    assert words(When()) == "always"
    assert overlay(when, When(task=("instruct",))) == When(task=("instruct",), rows=(Interval(0, 1000),))
