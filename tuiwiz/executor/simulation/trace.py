"""Follows every storage that a piece of code makes and drops, in the order in which it does."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tuiwiz.executor.simulation.allocator import rounded

Workspace = Callable[[tuple[Any, ...], Any], int]
"""(arguments, result) of an operation -> bytes that its CUDA kernel takes and gives back by itself."""


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """`events` are (number, size) for a new storage and (number, 0) for one that is gone.

    Storages are counted, not tensors: views share theirs. `moments` holds, by name, the most bytes that were live
    during it; a moment ends with `end_moment`.
    """

    def __init__(self, workspaces: Mapping[str, Workspace]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[tuple[int, int]] = []
        self.live = self.peak = self.static = 0
        self.moments: dict[str, int] = {}
        self.operations = 0
        self._workspaces = workspaces
        self._sizes: dict[int, tuple[int, int]] = {}
        self._since = 0
        self._numbers = 0

    def hold(self, tensors: Iterable[Any]) -> None:
        """Count storages that are there before the first step."""
        for tensor in tensors:
            self._see(tensor)
        self.static = self.live

    def end_moment(self, name: str) -> None:
        self.moments[name] = max(self.moments.get(name, 0), self._since)
        self._since = self.live

    def passing(self, size: int) -> None:
        """Bytes that are taken and given back at once."""
        if size:
            self._numbers += 1
            self.events += [(self._numbers, size), (self._numbers, 0)]
            self._mark(self.live + rounded(size))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            # A branch on a value. Libraries ask whether a batch is plain, or a number finite: yes.
            kind = args[0].dtype
            return True if kind is torch.bool else 1.0 if kind.is_floating_point else 1
        self.operations += 1
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            self._see(leaf)
        workspace = self._workspaces.get(str(func))
        if workspace is not None:
            self.passing(workspace(args, result))
        return result

    def _see(self, tensor: Any) -> None:
        if not isinstance(tensor, torch.Tensor) or tensor.device.type != "meta":
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._sizes or not size:
            return
        self._numbers += 1
        self._sizes[key] = (self._numbers, rounded(size))
        self.events.append((self._numbers, size))
        self.live += rounded(size)
        self._mark(self.live)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        number, size = self._sizes.pop(key)
        self.events.append((number, 0))
        self.live -= size

    def _mark(self, live: int) -> None:
        self._since = max(self._since, live)
        self.peak = max(self.peak, live)
