"""`torch.autocast` for the meta device, which has none: products run in 16 bits, weights are cast once a pass.

The rules are those of CUDA (torch/amp, "CUDA Op-Specific Behavior"), as far as language models need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuiwiz.executor.simulation.replaced import replaced

LOW = (
    (functional, "linear"),
    (functional, "scaled_dot_product_attention"),
    *((torch, name) for name in ("matmul", "mm", "bmm", "addmm", "baddbmm")),
    *((Tensor, name) for name in ("matmul", "__matmul__", "mm", "bmm")),
)
WIDE = tuple((functional, name) for name in ("softmax", "log_softmax", "layer_norm", "cross_entropy"))


class MetaAutocast:
    """While it is entered, inputs of products are cast to `dtype`; trained weights are cast once and kept until then,
    unless `keeps` is false: a layer that is computed again casts its own and forgets them.

    It stands in for functions rather than being a mode: forward passes that checkpointing repeats run inside of the
    backward pass, where modes are not seen.
    """

    active: MetaAutocast | None = None
    """The one in force, as `torch.is_autocast_enabled` has to answer."""

    def __init__(self, dtype: torch.dtype, *, keeps: bool = True) -> None:
        self.dtype, self.keeps = dtype, keeps
        self.enabled = True
        self._copies: dict[int, Tensor] = {}
        self._patches = ExitStack()

    def __enter__(self) -> MetaAutocast:
        MetaAutocast.active = self
        for owner, name in LOW:
            self._patches.enter_context(replaced(owner, name, self._narrowing(getattr(owner, name))))
        for owner, name in WIDE:
            self._patches.enter_context(replaced(owner, name, self._widening(getattr(owner, name))))
        return self

    def __exit__(self, *details: Any) -> None:
        self._patches.close()
        MetaAutocast.active = None
        self._copies.clear()

    def _narrowing(self, function: Any) -> Any:
        def narrowed(*args: Any, **kwargs: Any) -> Any:
            if not self.enabled:
                return function(*args, **kwargs)
            return function(*map(self._low, args), **{name: self._low(one) for name, one in kwargs.items()})

        return narrowed

    def _widening(self, function: Any) -> Any:
        def widened(*args: Any, **kwargs: Any) -> Any:
            if self.enabled and kwargs.get("dtype") is None:
                args = tuple(one.float() if _half(one) else one for one in args)
            return function(*args, **kwargs)

        return widened

    def _low(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (self.keeps and value.is_leaf and value.requires_grad):
            return value.to(self.dtype)
        if id(value) not in self._copies:
            self._copies[id(value)] = value.to(self.dtype)
        return self._copies[id(value)]


def _half(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)


@contextmanager
def autocast_for_meta() -> Iterator[None]:
    """Let `torch.autocast` and what asks for its state know the meta device."""
    real, is_enabled, dtype_of = torch.autocast, torch.is_autocast_enabled, torch.get_autocast_dtype

    def chosen(device_type: str, *args: Any, **kwargs: Any) -> Any:
        if device_type != "meta":
            return real(device_type, *args, **kwargs)
        return _switched(bool(kwargs.get("enabled", True)))

    def enabled(*device: str) -> bool:
        if device and device[0] == "meta":
            return MetaAutocast.active is not None and MetaAutocast.active.enabled
        return bool(is_enabled(*device))

    def dtype(device: str) -> torch.dtype:
        active = MetaAutocast.active
        return (
            active.dtype if device == "meta" and active is not None else dtype_of("cpu" if device == "meta" else device)
        )

    available = torch.amp.autocast_mode.is_autocast_available
    with (
        replaced(torch, "autocast", chosen),
        replaced(torch, "is_autocast_enabled", enabled),
        replaced(torch, "get_autocast_dtype", dtype),
        replaced(
            torch.amp.autocast_mode, "is_autocast_available", lambda device: device == "meta" or available(device)
        ),
    ):
        yield


@contextmanager
def _switched(on: bool) -> Iterator[None]:
    active = MetaAutocast.active
    if active is None:
        yield
        return
    before, active.enabled = active.enabled, active.enabled and on
    try:
        yield
    finally:
        active.enabled = before
