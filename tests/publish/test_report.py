"""The report of a run: complete, harmless, and true to its events."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support import streams
from tuiwiz.cli.main import main
from tuiwiz.events import types as ev
from tuiwiz.events.fold import view_of
from tuiwiz.events.series import Series
from tuiwiz.publish.facts import gather, thinned
from tuiwiz.publish.page import page
from tuiwiz.publish.svg import ticks
from tuiwiz.publish.text import card, markdown


class Seen(HTMLParser):
    """Tags, texts and whatever could reach a network."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "circle", "polyline", "line"):
            self.open.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href", "action", "xlink:href")]
        self.outside += [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag
        else:
            assert tag in ("circle", "polyline", "line")

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Seen:
    seen = Seen()
    seen.feed(html)
    assert seen.open == []
    return seen


def test_a_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    run = streams.finished_run(tmp_path / "run")
    html = page(gather(run, view_of(run)))
    seen = read(html)
    assert seen.outside == [] and "http" not in re.sub(r"http-equiv", "", html).replace("https://", "http://").replace(
        "http://www.w3.org", ""
    )
    assert seen.tags.count("svg") == 5
    for word in ("gsm8k-qwen3-8b", "0.4618", "marbles", "activations", "Nothing wrong", "learning rate"):
        assert word in seen.text


def test_what_comes_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m|`*"
    recorder = streams.Recorder()
    recorder.add(ev.RunStarted, attempt=1, from_step=0, steps=3, name=evil, model=evil, device=evil)
    for step in (1, 2, 3):
        recorder.add(ev.Metric, step=step, metrics={"loss": 1.0 / step, evil: 1.0})
    recorder.add(ev.Sample, step=3, prompt=evil, base=evil, now=evil, expected=evil)
    recorder.add(ev.Failed, summary={"message": evil, "exit_code": 6})
    run = streams.write(tmp_path / "run", recorder)
    facts = gather(run, view_of(run))
    seen = read(page(facts))
    assert seen.tags.count("script") == 2 and "img" not in seen.tags and seen.outside == []
    assert "\x1b" not in page(facts) and "\x1b" not in markdown(facts)
    for line in markdown(facts).splitlines():
        assert "<script" not in line.replace("\\<", "") or line.startswith("    ")


def test_points_of_a_long_curve_are_few_and_keep_its_extremes() -> None:
    series = streams_series(5000)
    points = thinned(series)
    assert len(points) <= 500
    assert min(y for _, y in points) == -7.0 and max(y for _, y in points) == 9.0


def streams_series(count: int) -> Series:
    series = Series()
    for step in range(count):
        series.append(step, {100: -7.0, 4000: 9.0}.get(step, float("nan") if step == 50 else 1.0))
    return series


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.13, 1.72, 5) == pytest.approx([0.5, 1.0, 1.5])


def test_the_command_writes_page_text_and_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = streams.finished_run(tmp_path / "run")
    for form, name in (("html", "report.html"), ("markdown", "report.md"), ("card", "adapter/README.md")):
        assert main(["report", str(run.path), "--format", form, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["report"] == str(run.path / name)
        assert (run.path / name).stat().st_size > 500


def test_a_run_without_a_result_has_no_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = streams.failed_run(tmp_path / "run")
    assert main(["report", str(run.path), "--format", "card"]) == 2
    assert "has no result yet" in capsys.readouterr().err
    text = markdown(gather(run, view_of(run)))
    assert "D1" in text and "not a finite number" in text


def test_a_card_has_the_head_that_a_hub_reads(tmp_path: Path) -> None:
    run = streams.finished_run(tmp_path / "run")
    text = card(gather(run, view_of(run)), run)
    head = text.split("---")[1]
    assert 'base_model: "qwen/qwen3-8b"' in head and "library_name: peft" in head
    assert "AutoPeftModelForCausalLM" in text
    facts = gather(run, view_of(run))
    owner = [("data.train", "/home/somebody/secret/rows.jsonl", "you")]
    text = card(dataclasses.replace(facts, settings=owner), run)
    assert "rows.jsonl" in text and "somebody" not in text


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
def test_a_browser_reads_out_values_under_the_arrow_keys(tmp_path: Path) -> None:
    run = streams.finished_run(tmp_path / "run")
    html = page(gather(run, view_of(run)))
    press = "document.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));"
    path = tmp_path / "page.html"
    path.write_text(html.replace("</body>", f"<script>{press}</script></body>"), encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *flags, path.as_uri()], capture_output=True, text=True, timeout=60, check=False
    )
    told = re.search(r"<output>(.*?)</output>", done.stdout)
    assert told is not None and told[1].startswith("step 264: train 0.")
