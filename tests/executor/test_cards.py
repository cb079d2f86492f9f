"""`launch.devices = "auto"` takes a card that nobody uses, and no two runs of tuiwiz take the same one."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from tests.support.processes import environment
from tuiwiz.catalog.machine import CardUse
from tuiwiz.executor import device

CARDS = ("a", "b", "c")


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> dict[str, CardUse]:
    """Three cards; tests say who is on them."""
    use = {f"GPU-{name}": CardUse(0, 10) for name in CARDS}
    monkeypatch.setattr(device, "card_use", lambda: use)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(CARDS))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (5, 20))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=CARDS[index]))
    held: dict[str, int] = {}
    monkeypatch.setattr(device, "_HELD", held)
    return use


OTHERS: list[int] = []
"""Locks of runs in other processes."""


def another_process() -> None:
    """What was taken so far was taken by others."""
    OTHERS.extend(device._HELD.values())
    device._HELD.clear()


def let_go() -> None:
    another_process()
    while OTHERS:
        os.close(OTHERS.pop())


def test_a_card_nobody_uses_comes_before_one_with_more_free_memory(cards: dict[str, CardUse]) -> None:
    cards.update({"GPU-a": CardUse(1, 90), "GPU-b": CardUse(0, 20), "GPU-c": CardUse(0, 30)})
    assert device._unused_card() == 2
    let_go()
    cards.update({"GPU-b": CardUse(2, 20), "GPU-c": CardUse(1, 30)})
    assert device._unused_card() == 0, "all are used: the one with most free memory"
    let_go()


def test_runs_that_start_together_take_different_cards(cards: dict[str, CardUse]) -> None:
    taken = []
    for _ in CARDS:
        taken.append(device._unused_card())
        assert device._unused_card() == taken[-1], "the next run of the same process stays on its card"
        another_process()
    assert sorted(taken) == [0, 1, 2]
    assert device._unused_card() == taken[0], "with all taken it is the first again"
    let_go()
    assert device._unused_card() == taken[0]
    let_go()


HOLD = "import sys; from tuiwiz.executor import device; print(device._hold('GPU-a'), flush=True); sys.stdin.read()"


def test_a_card_is_free_again_when_its_run_ends_however_it_ends(cards: dict[str, CardUse]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline().strip() == "True"
    assert device._unused_card() == 1
    let_go()
    child.kill()
    child.wait(30)
    assert device._unused_card() == 0
    let_go()


def test_without_a_driver_s_word_free_memory_decides(
    cards: dict[str, CardUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    cards.clear()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: ((5, 9, 7)[index], 20))
    assert device._unused_card() == 1
    let_go()
