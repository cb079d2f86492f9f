"""Presets that travel: what is exported comes back the same, and nothing hostile is ever stored."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.base.errors import InvalidError, TuiwizError, UsageError
from tuiwiz.presets import fetch as fetching
from tuiwiz.presets.fetch import Fetched, fetch
from tuiwiz.presets.find import all_presets, forget
from tuiwiz.presets.preset import LARGEST_FILE, Preset, Result
from tuiwiz.presets.read import parse_preset
from tuiwiz.presets.resolve import resolve
from tuiwiz.presets.share import CHANGED, NEW, SAME, export_text, joined, look_at, remove, sources, store
from tuiwiz.presets.when import Context, Interval, When, read_when
from tuiwiz.presets.write import digest_of, preset_text, when_table

MINE = """name = "mine"
extends = "chat"
[when]
task = "chat"
memory = ">=24GiB"
[schedule]
epochs = 4.0
[why."schedule.epochs"]
reason = "few rows"
source = "my own runs"
range = [1, 6]
grade = "B"
[[case]]
when = { band = ["S", "M"], rows = "100..4000" }
[case.optimizer]
learning_rate = 1e-4
"""


def came(text: str, place: str = "mine.toml", source: str = "/elsewhere") -> Fetched:
    return Fetched(text=text, source=source, place=place)


def parsed(text: str) -> Preset:
    preset, problems = parse_preset(text, Path("x.toml"))
    assert preset is not None, list(problems)
    return preset


def stored(text: str, **more: str) -> Path:
    return store(look_at([came(text, **more)])[0])


@pytest.fixture(autouse=True)
def fresh(own_home: Path) -> None:
    forget()


@pytest.mark.parametrize("name", sorted(all_presets().presets))
def test_every_shipped_preset_comes_back_from_its_text_with_the_same_digest(name: str) -> None:
    preset = all_presets().presets[name]
    again = parsed(preset_text(preset))
    assert (again.base.values, again.base.why, again.base.when) == (
        preset.base.values,
        preset.base.why,
        preset.base.when,
    )
    assert [(c.when, c.values, c.why) for c in again.cases] == [(c.when, c.values, c.why) for c in preset.cases]
    assert again.digest == digest_of(again) == digest_of(preset)


interval = st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)).filter(lambda p: p[0] < p[1])


@given(rows=st.lists(interval, max_size=3), memory=st.lists(interval, max_size=2), open_end=st.booleans())
def test_conditions_come_back_from_their_table(
    rows: list[tuple[int, int]], memory: list[tuple[int, int]], open_end: bool
) -> None:
    end = (Interval(5.0, float("inf")),) if open_end else ()
    when = When(
        task=("chat",), rows=tuple(Interval(*map(float, one)) for one in rows) + end,
        memory=tuple(Interval(float(a), float(b)) for a, b in memory),
    )  # fmt: skip
    again, problems = read_when(when_table(when))
    assert not problems and again == when


def test_add_keeps_provenance_and_export_then_add_elsewhere_is_the_same_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(MINE)
    assert path.name == "mine.toml" and sources()["mine"].source == "/elsewhere"
    digest = digest_of(all_presets().presets["mine"])
    text = export_text("mine")
    monkeypatch.setenv("TUIWIZ_HOME", str(tmp_path / "other"))
    forget()
    assert "mine" not in all_presets().presets
    stored(text)
    assert digest_of(all_presets().presets["mine"]) == digest


def test_an_exported_child_needs_no_own_parent_and_resolves_to_the_same_values() -> None:
    stored(MINE)
    child = 'name = "child"\nextends = "mine"\n[schedule]\nepochs = 5.0\n[optimizer]\nlearning_rate = 3e-4\n'
    stored(child, place="child.toml")
    known = all_presets().presets
    alone = parsed(export_text("child"))
    assert alone.extends == "chat"
    for method in ("lora", "full"):
        context = Context(task="chat", band="M", method=method, rows=500, memory_bytes=48 << 30)
        flat = resolve(alone, context, {**known, "child": alone})
        assert flat.values == resolve(known["child"], context, known).values
        assert flat.values["optimizer.learning_rate"] == 3e-4


def test_collisions_updates_and_removal() -> None:
    shipped = look_at([came(MINE.replace('"mine"', '"orpo"', 1))])[0]
    assert not shipped.ok and any("comes with tuiwiz" in problem.message for problem in shipped.problems)
    stored(MINE)
    assert look_at([came(MINE)])[0].state == SAME
    other = MINE.replace("4.0", "5.0")
    changed = look_at([came(other)])[0]
    assert changed.ok and changed.state == CHANGED
    stranger = look_at([came(other, source="/somebody/else")])[0]
    assert not stranger.ok and any("--as" in problem.hint for problem in stranger.problems)
    renamed = look_at([came(other, source="/somebody/else")], "theirs")[0]
    assert renamed.ok and renamed.state == NEW
    store(renamed)
    stored('name = "child"\nextends = "mine"\n')
    with pytest.raises(UsageError, match="child extends mine"):
        remove("mine")
    remove("child")
    remove("mine")
    assert set(sources()) == {"theirs"} and "mine" not in all_presets().presets
    with pytest.raises(UsageError, match="comes with tuiwiz"):
        remove("chat")


def test_results_of_several_people_come_together_once_each() -> None:
    def result(run: str, hardware: str, value: float) -> Result:
        return Result(model="m", run=run * 64, hardware=hardware, value=value)

    mine, theirs = result("a", "L4", 0.5), result("b", "H100", 0.4)
    assert joined([mine], [mine, theirs]) == (mine, theirs)
    stored(preset_text(msgspec.structs.replace(parsed(MINE), results=(mine,))))
    stored(preset_text(msgspec.structs.replace(parsed(MINE), results=(theirs, mine))), place="again.toml")
    assert all_presets().presets["mine"].results == (mine, theirs)


def test_a_preset_that_was_changed_after_its_export_is_refused() -> None:
    stored(MINE)
    text = export_text("mine").replace("4.0", "5.0").replace('"mine"', '"other"', 1)
    offer = look_at([came(text)])[0]
    assert not offer.ok and any("digest" in problem.message for problem in offer.problems)


HOSTILE = {
    "path in the name": ('name = "../../etc/cron"', "no name"),
    "absolute name": ('name = "/etc/passwd"', "no name"),
    "code": ('name = "x"\n[run]\ncommand = "rm -rf /"', "unknown key"),
    "a file": ('name = "x"\n[data]\ntrain = "/etc/shadow"', "cannot be part"),
    "a model": ('name = "x"\n[model]\nsource = "evil/model"', "cannot be part"),
    "out of bounds": ('name = "x"\n[optimizer]\nlearning_rate = 1e9', "at most"),
    "not a number": ('name = "x"\n[optimizer]\nlearning_rate = nan', "finite"),
    "deep": ("a = " + "[" * 4000 + "]" * 4000, "not valid TOML"),
    "deep tables": ("a" + ".a" * 3000 + " = 1", "nested too deeply"),
    "a table too deep": ("a" + ".a" * 12 + " = 1", "unknown key"),
    "own parent": ('name = "x"\nextends = "x"', "circle"),
    "no parent": ('name = "x"\nextends = "nobody"', "does not exist"),
    "terminal code in a value": ('name = "x"\n[evaluation]\nmetric = "\\u001b[2Jloss"', "control characters"),
    "endless text in a value": (f'name = "x"\n[evaluation]\nmetric = "{"l" * 5000}"', "too long"),
    "terminal code in a result": ('name = "x"\n[[results]]\nmodel = "\\u001b]0;x\\u0007"', "results"),
    "results that are no numbers": ('name = "x"\n[[results]]\nmodel = "m"\nvalue = inf', "results"),
    "a digest that is none": ('name = "x"\ndigest = "yes"', "digest must be"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_presets_are_refused_with_a_reason_and_nothing_is_stored(kind: str, own_home: Path) -> None:
    text, reason = HOSTILE[kind]
    offer = look_at([came(text)])[0]
    found = " ".join(problem.message for problem in offer.problems if problem.severity == "error")
    assert not offer.ok and reason in found
    assert "\x1b" not in found
    with pytest.raises(InvalidError):
        store(offer)
    assert not list((own_home / "presets").glob("*.toml"))


def test_markup_stays_letters_and_cycles_over_two_files_and_double_names_are_refused(own_home: Path) -> None:
    two = look_at([came('name = "a"\nextends = "b"', "a.toml"), came('name = "b"\nextends = "a"', "b.toml")])
    assert not any(offer.ok for offer in two) and "circle" in two[0].problems[-1].message
    twice = look_at([came('name = "a"\nextends = "chat"', "1.toml"), came('name = "a"\nextends = "chat"', "2.toml")])
    assert twice[0].ok and "comes twice" in twice[1].problems[-1].message
    marked = 'name = "m"\n[schedule]\nepochs = 1.0\n[why."schedule.epochs"]\nreason = "[red]x[/red]"'
    stored(marked)
    assert all_presets().presets["m"].base.why["schedule.epochs"].reason == "[red]x[/red]"


def test_folders_do_not_lead_outside_and_sizes_are_limited(tmp_path: Path) -> None:
    folder, secret = tmp_path / "team", tmp_path / "secret.toml"
    (folder / "presets").mkdir(parents=True)
    (folder / "presets" / "mine.toml").write_text(MINE)
    secret.write_text('name = "secret"')
    (folder / "link.toml").symlink_to(secret)
    assert [one.place for one in fetch(str(folder))] == ["presets/mine.toml"]
    (folder / "huge.toml").write_text("#" * (LARGEST_FILE + 1))
    with pytest.raises(InvalidError, match="too large"):
        fetch(str(folder))
    with pytest.raises(UsageError):
        fetch(str(tmp_path / "nothing.toml"))


def git(folder: Path, *words: str) -> None:
    who = {"GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "e", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "e"}
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, env={**os.environ, **who})


def test_a_git_repository_is_read_at_its_commit_and_its_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "mine.toml").write_text(MINE)
    (folder / "link.toml").symlink_to("/etc/hostname")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "presets")
    found = fetch(str(folder))
    assert [(one.place, len(one.version)) for one in found] == [("mine.toml", 40)]
    assert found[0].text == MINE


@pytest.mark.parametrize("source", ["http://x.org/p.toml", "ftp://x.org/p.toml", "ext::sh -c x", "file:///etc/passwd"])
def test_other_protocols_are_refused(source: str) -> None:
    with pytest.raises(TuiwizError):
        fetch(source)


def test_a_redirect_to_another_protocol_and_endless_answers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = fetching._HttpsOnly()
    with pytest.raises(OSError, match="redirects"):
        handler.redirect_request(None, None, 302, "", {}, "file:///etc/passwd")

    class Endless:
        def __enter__(self) -> Endless:
            return self

        def __exit__(self, *error: object) -> None:
            return None

        def read(self, size: int) -> bytes:
            return b"#" * size

    class Opener:
        def open(self, address: str, timeout: float) -> Endless:
            return Endless()

    monkeypatch.setattr("urllib.request.build_opener", lambda *handlers: Opener())
    with pytest.raises(InvalidError, match="too large"):
        fetch("https://example.org/p.toml")
