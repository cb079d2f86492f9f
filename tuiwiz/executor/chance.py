"""Where chance comes from in a run, and what is done to have it the same every time."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy
import torch


class Streams(NamedTuple):
    """Where every random stream is, as its library holds it: taken before each step, so that it must cost nothing."""

    python: tuple[Any, ...]
    numpy: Any
    torch: torch.Tensor
    cuda: list[torch.Tensor] | None

    def put_back(self) -> None:
        random.setstate(self.python)
        numpy.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda is not None and torch.cuda.device_count() == len(self.cuda):
            torch.cuda.set_rng_state_all(self.cuda)


def streams_now() -> Streams:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    return Streams(random.getstate(), numpy.random.get_state(legacy=True), torch.get_rng_state(), cuda)


def be_deterministic() -> None:
    """Ask for kernels that give the same every time, but not for memory that is filled before it is written."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def seed_everything(seed: int) -> None:
    """Start every random stream; each takes what its generator allows of the seed."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)
