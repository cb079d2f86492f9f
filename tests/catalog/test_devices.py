"""Cards by name and size, and this machine."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tuiwiz.base.errors import UsageError
from tuiwiz.base.units import GIB
from tuiwiz.catalog import machine
from tuiwiz.catalog.gpus import CARDS, find_device


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("RTX 4090", "RTX 4090"),
        ("4090", "RTX 4090"),
        ("rtx4090", "RTX 4090"),
        ("a100-80g", "A100 80GB"),
        ("A100", "A100 40GB"),
        ("4060 ti", "RTX 4060 Ti 16GB"),
        ("t4", "T4"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 PCIe"),
        ("Tesla V100-SXM2-16GB", "V100 16GB"),
    ],
)
def test_a_card_is_found_by_any_writing_of_its_name(text: str, name: str) -> None:
    assert find_device(text).name == name


@pytest.mark.parametrize(("text", "size"), [("24", 24), ("24GiB", 24), ("80 GiB", 80), ("5.5", 5.5)])
def test_a_size_is_a_card_of_that_memory(text: str, size: float) -> None:
    device = find_device(text)
    assert device.total_bytes == size * GIB and device.usable_bytes < device.total_bytes


@pytest.mark.parametrize("text", ["RTX 4099", "banana", "0.1", "9999999", "", "-4"])
def test_what_is_no_card_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_device(text)
    assert caught.value.hint


def test_the_nearest_card_is_hinted_at() -> None:
    with pytest.raises(UsageError) as caught:
        find_device("RTX 4099")
    assert "RTX 4090" in caught.value.hint


def test_cards_are_plausible() -> None:
    assert len(CARDS) >= 40 and len({card.name for card in CARDS}) == len(CARDS)
    for card in CARDS:
        assert 10 <= card.flops / card.bandwidth <= 500, card.name


def test_every_card_names_where_its_figures_were_read() -> None:
    for card in CARDS:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@([0-9a-f]{40}|\d{4}\.\d+):\S+", card.source), card.name
        assert 50 <= card.watts <= 1200, card.name


class NVMLError(Exception):
    pass


def fake_nvml(**changes: object) -> SimpleNamespace:
    functions: dict[str, object] = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: b"NVIDIA GeForce RTX 4090",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=24 * GIB, free=(20 + handle) * GIB),
        "nvmlDeviceGetCudaComputeCapability": lambda handle: (8, 9),
        "nvmlDeviceGetPowerManagementLimit": lambda handle: 350_000,
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [SimpleNamespace(pid=2**22 + 7, usedGpuMemory=3 * GIB)],
    }
    return SimpleNamespace(**{**functions, **changes})


def test_the_card_with_most_free_memory_is_taken_and_other_processes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    device = machine.this_device()
    assert (device.kind, device.usable_bytes, device.here, device.bf16) == ("cuda", 21 * GIB, True, True)
    assert device.flops == find_device("4090").flops
    assert "3.0 GiB" in device.others[0]


def _fail() -> None:
    raise NVMLError("Driver Not Loaded\x1b[31m")


def test_without_a_driver_it_is_the_processor_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=_fail))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = machine.machine()
    assert found.gpus == () and "Driver Not Loaded" in found.why and "\x1b" not in found.why
    assert machine.this_device().kind == "cpu"
    assert 0 < found.cpu.usable_bytes <= found.cpu.total_bytes


def test_hidden_cards_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.this_device().kind == "cpu"


def test_the_lock_s_hardware_and_who_is_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {
        "nvmlSystemGetDriverVersion": lambda: b"570.86",
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
    }
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(**asked))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = machine.hardware()
    assert (found["device"], found["driver"]) == ("NVIDIA GeForce RTX 4090", "570.86") and found["processor"]
    use = machine.card_use()
    assert use == {"GPU-0": machine.CardUse(1, 20 * GIB), "GPU-1": machine.CardUse(1, 21 * GIB)}
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=_fail))
    assert machine.card_use() == {} and "driver" not in machine.hardware()


def test_a_control_groups_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    (tmp_path / "memory.current").write_text(f"{GIB // 2}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 4}\n")
    total, free = machine._memory(tmp_path)
    assert total == GIB and free <= GIB * 3 // 4
    (tmp_path / "memory.max").write_text("max\n")
    assert machine._memory(tmp_path)[0] > GIB
