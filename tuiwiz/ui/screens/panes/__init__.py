"""The lower panes of the run screen, one a file; each is a function from a snapshot to text."""

from __future__ import annotations

from tuiwiz.ui.screens.panes.base import PaneText, Snapshot
from tuiwiz.ui.screens.panes.bundle import bundle
from tuiwiz.ui.screens.panes.card import card
from tuiwiz.ui.screens.panes.doctor import doctor
from tuiwiz.ui.screens.panes.gpu import gpu
from tuiwiz.ui.screens.panes.health import health
from tuiwiz.ui.screens.panes.log import log
from tuiwiz.ui.screens.panes.loss import loss
from tuiwiz.ui.screens.panes.memory import memory
from tuiwiz.ui.screens.panes.metrics import metrics
from tuiwiz.ui.screens.panes.samples import samples

__all__ = ["PANES", "Snapshot"]

PANES: dict[str, tuple[str, str, PaneText]] = {
    "result": ("0", "result", card),
    "loss": ("1", "loss", loss),
    "metrics": ("2", "metrics", metrics),
    "memory": ("3", "memory", memory),
    "gpu": ("4", "GPU", gpu),
    "samples": ("5", "samples", samples),
    "log": ("6", "log", log),
    "health": ("7", "health", health),
    "bundle": ("8", "bundle", bundle),
    "doctor": ("9", "doctor", doctor),
}
"""Pane -> key, label, text. `result` is there once the run has ended."""
