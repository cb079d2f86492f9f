"""Where chance comes from in a run, and what is done to have it the same every time."""

from __future__ import annotations

import random

import numpy
import torch


def be_deterministic() -> None:
    """Ask for kernels that give the same every time, but not for memory that is filled before it is written."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def seed_everything(seed: int) -> None:
    """Start every random stream; each takes what its generator allows of the seed."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)
