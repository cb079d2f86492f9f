"""The processes that train one run together, each with a share of every step's micro-batches: data parallelism.

All hold the same weights. A step's gradients are summed over the processes before each makes the same update, so that
the loss, normalised over the whole step, is that of one process; only the order of sums differs
(https://arxiv.org/abs/2006.15704 has the idea; nothing overlaps here, since adapters have small gradients). Process 0
leads: it alone writes events and files, evaluates, and is asked by people. The others do what it says.

What is said travels as JSON and safetensors over the loopback device; gradients go through NCCL on CUDA, gloo on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn

from tuiwiz.executor.device import Device

_T = TypeVar("_T")

JOINING = timedelta(minutes=15)
"""How long a process may take to start and to load its libraries."""
WAITING = timedelta(days=30)
"""Between two steps the others wait through evaluations, pauses and whatever else process 0 does."""
HERE = "127.0.0.1"
BUCKET = 1 << 25
"""Elements of gradients that are exchanged at once, through a copy."""


class Crew:
    """This process among its fellows. Alone, everything is what it would be without a crew."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.evaluations = 0
        """How often process 0 has put the weights in place that are judged, since it last said so."""
        self.saved = False
        """Whether process 0 has saved since it last said so."""

    def share(self, batches: Sequence[_T]) -> list[_T]:
        """Of a step's micro-batches, the longest first, those of this process."""
        return list(batches[self.rank :: self.size])

    def begin_step(self, seed: int, step: int) -> None:
        """Every process draws other numbers, and the same ones each time it comes to this step."""
        if self.size > 1:
            torch.manual_seed(((seed * 1_000_003 + step) * self.size + self.rank) % 2**63)

    def tell(self, words: Any = None) -> Any:
        """What process 0 says, to all."""
        if self.size == 1:
            return words
        return msgspec.json.decode(self._gathered(msgspec.json.encode(words) if self.rank == 0 else b"")[0])

    def each(self, words: _T) -> list[_T]:
        """What every process says, in their order."""
        if self.size == 1:
            return [words]
        return [msgspec.json.decode(one, type=type(words)) for one in self._gathered(msgspec.json.encode(words))]

    def trouble(self, words: str) -> str:
        """The first complaint of any process; empty where none has one."""
        return next((one for one in self.each(words) if one), "")

    def counted(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Counts of all processes together."""
        found: dict[str, int] = {}
        for one in self.each(dict(counts)):
            for name, count in one.items():
                found[name] = found.get(name, 0) + count
        return found

    def seen(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors with an entry a row, of all processes, one after the other; on the CPU where there are several."""
        if self.size == 1:
            return dict(own)
        packed = safetensors.torch.save({name: value.cpu().contiguous() for name, value in own.items()})
        found = [safetensors.torch.load(one) for one in self._gathered(packed)]
        return {name: torch.cat([one[name] for one in found if name in one]) for one in found for name in one}

    def summed(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes; the tensor itself is changed."""
        if self.size > 1 and value.numel():
            dist.all_reduce(value)
        return value

    def exchange(self, weights: Iterable[nn.Parameter]) -> None:
        """Sum gradients over the processes. What got none anywhere stays without; a process without rows adds zeros."""
        if self.size == 1:
            return
        moved = [weight for weight in weights if weight.requires_grad]
        there = torch.tensor([weight.grad is not None for weight in moved], dtype=torch.uint8)
        dist.all_reduce(there, dist.ReduceOp.MAX)
        for bucket in _buckets([weight for weight, any_ in zip(moved, there.tolist(), strict=True) if any_]):
            parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in bucket]
            together = torch.cat([part.reshape(-1) for part in parts])
            dist.all_reduce(together)
            start = 0
            for weight, part in zip(bucket, parts, strict=True):
                part.copy_(together[start : start + weight.numel()].view_as(weight))
                weight.grad, start = part, start + weight.numel()

    def spread(self, weights: Iterable[nn.Parameter]) -> None:
        """Give every process the weights of process 0."""
        for weight in weights if self.size > 1 else ():
            dist.broadcast(weight.detach(), 0)

    def apart(self, weights: Iterable[nn.Parameter]) -> int | None:
        """A process whose weights are not those of process 0, which cannot be; None where all agree."""
        if self.size == 1:
            return None
        sums = self.each([float(weight.detach().double().sum()).hex() for weight in weights])
        return next((rank for rank, one in enumerate(sums) if one != sums[0]), None)

    def join(self, store: Any, device: Device) -> None:
        """Meet the others.

        Raises:
            RuntimeError: they did not come.
        """
        if self.rank:
            store.set(arrival(self.rank), b"")
        backend = "cpu:gloo,cuda:nccl" if device.is_cuda else "gloo"
        more: dict[str, Any] = {"device_id": device.where} if device.is_cuda else {}
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=WAITING, **more)

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _gathered(self, own: bytes) -> list[bytes]:
        """Bytes of every process."""
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(own)]))
        room = max(1, *(int(size) for size in sizes))
        mine = torch.zeros(room, dtype=torch.uint8)
        mine[: len(own)] = torch.frombuffer(bytearray(own or b"\0"), dtype=torch.uint8)[: len(own)]
        found = [torch.empty(room, dtype=torch.uint8) for _ in range(self.size)]
        dist.all_gather(found, mine)
        return [bytes(one[: int(size)].numpy()) for one, size in zip(found, sizes, strict=True)]


ALONE = Crew()


def arrival(rank: int) -> str:
    """What a process leaves at the meeting place when it is there."""
    return f"process {rank} is here"


def meeting_place(size: int, port: int = 0) -> Any:
    """Where the processes of a run find each other, on this machine alone. Without a `port` it is opened."""
    store = dist.TCPStore  # type: ignore[attr-defined]
    return store(HERE, port, size, is_master=not port, timeout=JOINING, wait_for_workers=False)


def _buckets(weights: Sequence[nn.Parameter]) -> Iterable[list[nn.Parameter]]:
    """Neighbours of one type and device, up to a bucket's size and at least one."""
    bucket: list[nn.Parameter] = []
    room = BUCKET
    for weight in weights:
        fits = bucket and weight.numel() <= room
        if bucket and not (fits and (weight.dtype, weight.device) == (bucket[0].dtype, bucket[0].device)):
            yield bucket
            bucket, room = [], BUCKET
        bucket.append(weight)
        room -= weight.numel()
    if bucket:
        yield bucket
