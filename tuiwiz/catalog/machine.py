"""What this machine has: cards through NVML, else processor and memory. Never loads torch."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tuiwiz.base.text import clean_line
from tuiwiz.base.units import gib
from tuiwiz.catalog.gpus import Device, known_card


class Machine(msgspec.Struct, frozen=True):
    """Cards (maybe none) and the processor as a device; `why` says why there is no card."""

    gpus: tuple[Device, ...]
    cpu: Device
    cpus: int
    why: str = ""


def machine() -> Machine:
    """Look at this machine, now: memory that others hold is not usable."""
    gpus, why = _cards()
    return Machine(gpus=gpus, cpu=_processor(), cpus=_cpus(), why=why)


def this_device() -> Device:
    """The device that a run started now would use: the card with most free memory, else the processor."""
    found = machine()
    return max(found.gpus, key=lambda gpu: gpu.usable_bytes, default=found.cpu)


def hardware() -> dict[str, str]:
    """What a lock says of this machine: device, processor and, with a card, the driver's version."""
    found = {"device": this_device().name, "processor": _processor_name()}
    driver = _driver()
    return {**found, "driver": driver} if driver else found


def _driver() -> str:
    try:
        import pynvml
    except ImportError:
        return ""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ""
    try:
        version = pynvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError:
        return ""
    finally:
        pynvml.nvmlShutdown()
    return clean_line(version.decode() if isinstance(version, bytes) else str(version))


class CardUse(msgspec.Struct, frozen=True):
    """Who is on a card now: processes that compute there, and bytes that are free."""

    processes: int
    free_bytes: int


def card_use() -> dict[str, CardUse]:
    """Use of every card by its UUID as the driver tells it; empty without a driver. Makes no context on any card."""
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    found: dict[str, CardUse] = {}
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = pynvml.nvmlDeviceGetUUID(handle)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            try:
                processes = len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
            except pynvml.NVMLError:
                processes = 0
            found[uuid.decode() if isinstance(uuid, bytes) else str(uuid)] = CardUse(processes, int(memory.free))
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlShutdown()
    return found


def _processor_name() -> str:
    """The processor as the kernel calls it, else the architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    line = next((line for line in text.splitlines() if line.startswith("model name")), "")
    return clean_line(line.partition(":")[2].strip()) or platform.machine()


def _cards() -> tuple[tuple[Device, ...], str]:
    """NVIDIA cards as the driver tells; an empty tuple and the reason where there are none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return (), "CUDA_VISIBLE_DEVICES hides every card"
    try:
        import pynvml
    except ImportError:
        return (), "the NVML library is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), clean_line(f"no NVIDIA driver answers: {error}")
    try:
        return tuple(_card(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())), ""
    except pynvml.NVMLError as error:
        return (), clean_line(f"the NVIDIA driver failed: {error}")
    finally:
        pynvml.nvmlShutdown()


def _card(nvml: object, index: int) -> Device:
    driver: Any = nvml
    handle = driver.nvmlDeviceGetHandleByIndex(index)
    name = driver.nvmlDeviceGetName(handle)
    name = clean_line(name.decode() if isinstance(name, bytes) else str(name))
    memory = driver.nvmlDeviceGetMemoryInfo(handle)
    try:
        major = driver.nvmlDeviceGetCudaComputeCapability(handle)[0]
    except driver.NVMLError:
        major = 0
    try:
        processes = driver.nvmlDeviceGetComputeRunningProcesses(handle)
    except driver.NVMLError:
        processes = []
    like = known_card(name)
    return Device(
        name=name,
        kind="cuda",
        total_bytes=int(memory.total),
        usable_bytes=int(memory.free),
        flops=like.flops if like is not None else 5e13,
        bandwidth=like.bandwidth if like is not None else 4e11,
        bf16=major >= 8,
        here=True,
        watts=_power_limit(driver, handle) or (like.watts if like is not None else 0.0),
        others=tuple(_process_words(process) for process in processes),
    )


def _power_limit(driver: Any, handle: Any) -> float:
    """Watts that the card may draw; 0 where it does not tell."""
    try:
        return float(driver.nvmlDeviceGetPowerManagementLimit(handle)) / 1000
    except driver.NVMLError:
        return 0.0


def _process_words(process: object) -> str:
    pid, used = getattr(process, "pid", 0), getattr(process, "usedGpuMemory", None)
    try:
        name = psutil.Process(pid).name()
    except psutil.Error:
        name = "a process"
    return clean_line(f"{name} ({pid})" + (f" holds {gib(used)}" if used else ""))


# Products a second that one core reaches in training: bf16 with AMX, bf16 with AVX-512, fp32 with AVX-512, fp32.
_CORE_FLOPS = (("amx_bf16", 4.0e11), ("avx512_bf16", 2.4e11), ("avx512f", 7.0e10), ("", 3.5e10))
_CPU_BANDWIDTH = 2.0e10
_CORE_WATTS, _BOARD_WATTS = 10.0, 25.0
"""Of a busy core, and of what stands around it: rough, as few machines tell."""


def _processor() -> Device:
    flags = _cpu_flags()
    speed = next(flops for flag, flops in _CORE_FLOPS if not flag or flag in flags)
    total, free = _memory()
    return Device(
        name="CPU",
        kind="cpu",
        total_bytes=total,
        usable_bytes=free,
        flops=speed * _cpus(),
        bandwidth=_CPU_BANDWIDTH,
        bf16=bool(flags & {"amx_bf16", "avx512_bf16"}),
        here=True,
        watts=_BOARD_WATTS + _CORE_WATTS * _cpus(),
    )


def _cpus() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def _cpu_flags() -> frozenset[str]:
    if sys.platform != "linux":
        return frozenset()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _memory(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Bytes of memory in all and free now, both as the control group allows where it allows less."""
    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    for limit_file, usage_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, usage = _number(root / limit_file), _number(root / usage_file)
        if limit is not None and limit < total:
            cached = _reclaimable(root / limit_file)
            total = limit
            free = min(free, max(0, limit - max(0, (usage or 0) - cached)))
    return total, free


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        # `max` stands where there is no limit.
        return None


def _reclaimable(limit_file: Path) -> int:
    """Bytes of file cache in the group, which the kernel gives back before anything is refused."""
    try:
        lines = (limit_file.parent / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = dict(line.split()[:2] for line in lines if len(line.split()) == 2)
    return int(found.get("inactive_file") or found.get("total_inactive_file") or 0)
