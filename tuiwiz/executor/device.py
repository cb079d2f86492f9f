"""What this machine computes with: the one place that knows CUDA from CPU."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from tuiwiz.base import places
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.catalog.machine import CardUse, card_use
from tuiwiz.spec.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Device:
    """`compute` is the type of matrix products, `masters` that of trained weights (always fp32)."""

    where: torch.device
    name: str
    compute: torch.dtype

    @property
    def is_cuda(self) -> bool:
        return self.where.type == "cuda"

    @property
    def compute_name(self) -> str:
        return {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[self.compute]

    def synchronize(self) -> None:
        """Wait for the device, so that a clock read next means something."""
        if self.is_cuda:
            torch.cuda.synchronize(self.where)

    def memory(self) -> tuple[int, int]:
        """Bytes allocated now and at the peak: the allocator's on CUDA, the process's resident set on CPU."""
        if self.is_cuda:
            return torch.cuda.memory_allocated(self.where), torch.cuda.max_memory_allocated(self.where)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return psutil.Process().memory_info().rss, peak

    def held(self) -> tuple[int, int]:
        """Bytes taken from the device at the peak, and what of it is no tensor's; the latter is 0 where unknown."""
        if self.is_cuda:
            reserved, most = torch.cuda.memory_reserved(self.where), torch.cuda.max_memory_reserved(self.where)
            free, total = torch.cuda.mem_get_info(self.where)
            context = max(0, total - free - reserved)
            return most + context, context
        return self.memory()[1], 0

    @contextmanager
    def apart(self) -> Iterator[None]:
        """On a processor, return the heap's free pages before and after what is done: steps, evaluations and loading
        leave holes of other sizes, into which the next does not fit. A card's segments serve all of them."""
        if not self.is_cuda:
            self.release()
        yield
        if not self.is_cuda:
            self.release()

    def release(self) -> None:
        """Give cached memory back before a stage with another shape of demand."""
        if self.is_cuda:
            torch.cuda.empty_cache()
        elif sys.platform == "linux":
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)


def choose_cards(bundle: Bundle) -> list[int]:
    """The card of each process of a run; none where there is no CUDA.

    Raises:
        MachineLacksError: the machine has no such cards, or not so many.
    """
    wanted, count = bundle.launch.devices, bundle.batch.processes
    if not torch.cuda.is_available():
        return []
    here = torch.cuda.device_count()
    cards = list(wanted)[:count] if isinstance(wanted, tuple) and wanted else []
    if missing := [index for index in cards if index >= here]:
        raise MachineLacksError(f"there is no card {missing[0]}: this machine has {here}", hint="see launch.devices")
    if here < count:
        raise MachineLacksError(
            f"{count} processes need a card each: this machine has {here}", hint=f"set batch.processes = {here}"
        )
    return cards or _unused_cards(count)


def choose_device(bundle: Bundle, card: int | None = None) -> Device:
    """The device and precision that a bundle asks for; `card` where it is known which.

    Raises:
        MachineLacksError: the machine has no such device or the device no such precision.
    """
    wanted = bundle.launch.devices
    if torch.cuda.is_available():
        device = torch.device("cuda", choose_cards(bundle)[0] if card is None else card)
        torch.cuda.set_device(device)
        return Device(device, torch.cuda.get_device_name(device), _compute(bundle, device))
    if isinstance(wanted, tuple):
        raise MachineLacksError("launch.devices names a card, but no CUDA device is usable here", hint='use "auto"')
    return Device(torch.device("cpu"), "CPU", _compute(bundle, torch.device("cpu")))


def _unused_cards(count: int) -> list[int]:
    """The cards for `launch.devices = "auto"`: those nobody uses, else the ones with most free memory.

    Runs of tuiwiz that start at the same moment hold a lock on theirs, since the driver knows of neither yet.
    """
    names = [_uuid(index) for index in range(torch.cuda.device_count())]
    # A process that trains run after run stays where its base model is.
    found = [index for index, name in enumerate(names) if name in _HELD][:count]
    use = card_use()
    known = [use.get(name, CardUse(0, torch.cuda.mem_get_info(index)[0])) for index, name in enumerate(names)]
    order = sorted(range(len(names)), key=lambda index: (known[index].processes > 0, -known[index].free_bytes))
    for anyway in (False, True):
        for index in order:
            if len(found) < count and index not in found and (_hold(names[index]) or anyway):
                found.append(index)
    return found


def _uuid(index: int) -> str:
    """The card's UUID as the driver writes it."""
    return f"GPU-{getattr(torch.cuda.get_device_properties(index), 'uuid', index)}"


_HELD: dict[str, int] = {}
"""By card, open files whose locks say that this process has taken it; the kernel closes them with the process."""


def _hold(name: str) -> bool:
    """Take a card for this process; False where another run of this user on this machine has it."""
    folder = places.cache() / "cards"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
    except OSError:
        # Without a place for locks the driver's word alone decides.
        return True
    _HELD[name] = file
    return True


def _compute(bundle: Bundle, device: torch.device) -> torch.dtype:
    wanted = bundle.model.dtype
    if bundle.adapter.method == "qlora" and bundle.quantization.compute_dtype != "auto":
        wanted = bundle.quantization.compute_dtype
    if wanted == "auto":
        return torch.bfloat16 if has_bf16(device) else torch.float32
    if wanted == "fp16" and device.type == "cpu":
        raise MachineLacksError("fp16 does not train on a CPU", hint='set model.dtype = "bf16" or "fp32"')
    if wanted == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise MachineLacksError(
            f"{torch.cuda.get_device_name(device)} has no bf16", hint='set model.dtype = "fp16" or "fp32"'
        )
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[wanted]


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 products are computed by hardware rather than emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx: Any = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool((capabilities and capabilities()) or (amx and amx()))


def set_threads(locked: int | None = None, processes: int = 1) -> int:
    """One thread a physical core that this process may use, shared among `processes`; returns the number.

    `locked` is the number that a run was begun with: sums are taken in its order, so it is kept where it can be.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    physical = psutil.cpu_count(logical=False) or allowed
    usual = min(allowed, physical) // processes if locked is None else min(allowed, locked)
    threads = int(os.environ.get("OMP_NUM_THREADS") or usual or 1)
    torch.set_num_threads(threads)
    return threads
