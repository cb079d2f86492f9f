"""`launch.devices = "auto"` takes a card that nobody uses, and no two runs of tuiwiz take the same one."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace

from tests.support.processes import environment
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.catalog.machine import CardUse
from tuiwiz.executor import device
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Data
from tuiwiz.spec.model import Model
from tuiwiz.spec.running import Batch, Launch
from tuiwiz.spec.task import Task

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


def taken_card() -> int:
    (card,) = device._unused_cards(1)
    return card


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
    assert taken_card() == 2
    let_go()
    cards.update({"GPU-b": CardUse(2, 20), "GPU-c": CardUse(1, 30)})
    assert taken_card() == 0, "all are used: the one with most free memory"
    let_go()


def test_runs_that_start_together_take_different_cards(cards: dict[str, CardUse]) -> None:
    taken = []
    for _ in CARDS:
        taken.append(taken_card())
        assert taken_card() == taken[-1], "the next run of the same process stays on its card"
        another_process()
    assert sorted(taken) == [0, 1, 2]
    assert taken_card() == taken[0], "with all taken it is the first again"
    let_go()
    assert taken_card() == taken[0]
    let_go()


HOLD = "import sys; from tuiwiz.executor import device; print(device._hold('GPU-a'), flush=True); sys.stdin.read()"


def test_a_card_is_free_again_when_its_run_ends_however_it_ends(cards: dict[str, CardUse]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline().strip() == "True"
    assert taken_card() == 1
    let_go()
    child.kill()
    child.wait(30)
    assert taken_card() == 0
    let_go()


def test_without_a_driver_s_word_free_memory_decides(
    cards: dict[str, CardUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    cards.clear()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: ((5, 9, 7)[index], 20))
    assert taken_card() == 1
    let_go()


def test_a_run_of_several_processes_takes_as_many_cards_and_leaves_the_used_ones_for_last(
    cards: dict[str, CardUse],
) -> None:
    cards.update({"GPU-a": CardUse(1, 90), "GPU-b": CardUse(0, 20), "GPU-c": CardUse(0, 30)})
    assert device._unused_cards(2) == [2, 1]
    assert sorted(device._unused_cards(2)) == [1, 2], "the next run of the same process stays on its cards"
    another_process()
    assert device._unused_cards(2)[0] == 0, "one is left, and one has to be shared"
    let_go()


def test_each_process_has_a_card_or_the_run_is_refused(
    cards: dict[str, CardUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    bundle = Bundle(task=Task(kind="instruct"), model=Model(source="m"), data=Data(train="rows.jsonl"))

    def wanting(processes: int, devices: str | tuple[int, ...] = "auto") -> Bundle:
        launch = Launch(strategy="ddp", devices=devices)
        return replace(bundle, launch=launch, batch=Batch(processes=processes))

    assert device.choose_cards(wanting(2, (2, 0))) == [2, 0]
    assert sorted(device.choose_cards(wanting(3))) == [0, 1, 2]
    let_go()
    with pytest.raises(MachineLacksError, match="4 processes need a card each: this machine has 3"):
        device.choose_cards(wanting(4))
    with pytest.raises(MachineLacksError, match="there is no card 5"):
        device.choose_cards(wanting(2, (0, 5)))
