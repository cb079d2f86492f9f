"""Jump mode: every place that can take the focus shows a letter; pressing it goes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from tuiwiz.ui.widgets.tabs import PaneTabs

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True, slots=True)
class Target:
    """A place on the screen and what going there does."""

    at: Offset
    go: Callable[[], Any]


def targets(screen: Screen[Any]) -> list[Target]:
    """Everything on `screen` that can be gone to, in reading order: focusable widgets in sight, and pane tabs."""
    found: list[Target] = []
    inside = screen.region
    for widget in screen.query("*"):
        if isinstance(widget, PaneTabs) and widget.display:
            left = widget.content_region.offset
            found += [
                Target(left + Offset(start, 0), _chooses(widget, tab.name))
                for start, tab, _ in widget.placed()
                if tab.name != widget.current
            ]
        elif widget.focusable and widget.region and inside.contains_point(widget.region.offset):
            found.append(Target(widget.region.offset, widget.focus))
    return sorted(found, key=lambda target: (target.at.y, target.at.x))[: len(LETTERS)]


def _chooses(tabs: PaneTabs, name: str) -> Callable[[], Any]:
    return lambda: tabs.post_message(PaneTabs.Chosen(name))


class JumpScreen(ModalScreen[None]):
    """Letters over the screen below; any other key, or a click, leaves."""

    AUTO_FOCUS = ""

    def __init__(self, places: Sequence[Target]) -> None:
        super().__init__()
        self._places = dict(zip(LETTERS, places, strict=False))

    def compose(self) -> ComposeResult:
        for letter in self._places:
            yield Static(Content.styled(f" {letter} ", "$accent reverse bold"), id=f"jump-{letter}", classes="jump")

    def on_mount(self) -> None:
        for letter, place in self._places.items():
            label = self.query_one(f"#jump-{letter}")
            label.styles.offset = (min(place.at.x, max(0, self.size.width - 3)), place.at.y)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        place = self._places.get(event.character or "")
        self.dismiss()
        if place is not None:
            self.app.call_later(place.go)

    def on_click(self) -> None:
        self.dismiss()
