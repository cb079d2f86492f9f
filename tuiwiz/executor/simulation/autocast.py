"""`torch.autocast` for the meta device, which has none: products run in 16 bits, weights are cast once a pass.

The rules are those of CUDA (torch/amp, "CUDA Op-Specific Behavior"), as far as language models need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tuiwiz.executor.simulation.replaced import replaced

LOW = frozenset(
    {
        functional.linear,
        torch.matmul,
        torch.mm,
        torch.bmm,
        torch.addmm,
        torch.baddbmm,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.mm,
        torch.Tensor.bmm,
        functional.scaled_dot_product_attention,
    }
)
WIDE = frozenset({functional.softmax, functional.log_softmax, functional.layer_norm, functional.cross_entropy})


class MetaAutocast(TorchFunctionMode):
    """Casts the inputs of products to `dtype`. Weights that are trained are cast once and kept until it is left."""

    active: MetaAutocast | None = None
    """The one in force, as `torch.is_autocast_enabled` has to answer."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.enabled = True
        self._copies: dict[int, torch.Tensor] = {}

    def __enter__(self) -> Any:
        MetaAutocast.active = self
        return super().__enter__()

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        MetaAutocast.active = None
        self._copies.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.autograd.backward:
            # A mode does not see its own handler; recomputed forward passes have to be seen.
            super().__enter__()
            try:
                return func(*args, **kwargs)
            finally:
                super().__exit__(None, None, None)
        if self.enabled and func in LOW:
            args = tuple(self._low(one) for one in args)
            kwargs = {name: self._low(one) for name, one in kwargs.items()}
        elif self.enabled and func in WIDE and kwargs.get("dtype") is None:
            args = tuple(one.float() if _half(one) else one for one in args)
        return func(*args, **kwargs)

    def _low(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return value
        if not (value.is_leaf and value.requires_grad):
            return value.to(self.dtype)
        if id(value) not in self._copies:
            self._copies[id(value)] = value.to(self.dtype)
        return self._copies[id(value)]


def _half(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)


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
        return active.dtype if device == "meta" and active is not None else dtype_of("cpu" if device == "meta" else device)

    available = torch.amp.autocast_mode.is_autocast_available
    with (
        replaced(torch, "autocast", chosen),
        replaced(torch, "is_autocast_enabled", enabled),
        replaced(torch, "get_autocast_dtype", dtype),
        replaced(torch.amp.autocast_mode, "is_autocast_available", lambda device: device == "meta" or available(device)),
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
