"""The last line of a screen: the keys that can be used now, from the key table, as many as fit; clickable."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.dom import DOMNode
from textual.widget import Widget

from tuiwiz.ui import keys as key_table
from tuiwiz.ui.keys import Key

GAP = 3


class KeyFooter(Widget):
    """Shows `screen.KEYS`, then help. A key is left out while its action is off, or an input would swallow it."""

    DEFAULT_CSS = "KeyFooter { height: 1; dock: bottom; padding: 0 1; background: $background; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def usable(self) -> list[Key]:
        """Keys that would do something if pressed now, in order; help last."""
        declared: tuple[Key, ...] = getattr(self.screen, "KEYS", ())
        return [key for key in (*declared, *key_table.APP) if key.footer and self._works(key)]

    def fitting(self) -> list[tuple[int, Key]]:
        """The usable keys that fit the width, each with the column where it starts. Help always has its place."""
        keys = self.usable()
        if not keys:
            return []
        room = self.content_size.width - _length(keys[-1]) - GAP
        placed: list[tuple[int, Key]] = []
        used = 0
        for key in keys[:-1]:
            if used + _length(key) <= room:
                placed.append((used, key))
                used += _length(key) + GAP
        return [*placed, (used, keys[-1])]

    def render(self) -> Content:
        parts = [Content.assemble((key.shown, "$accent bold"), (f" {key.label}", "$dim")) for _, key in self.fitting()]
        return Content(" " * GAP).join(parts)

    async def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for start, key in self.fitting():
            if start <= offset.x < start + _length(key):
                await self.app.run_action(key.action, self._node(key))
                return

    def _node(self, key: Key) -> DOMNode:
        return self.app if key.id.startswith("app.") else self.screen

    def _works(self, key: Key) -> bool:
        focused = self.screen.focused
        if focused is not None and len(key.shown) == 1 and focused.check_consume_key(key.keys, key.shown):
            return False
        target, _, name = key.action.split("(")[0].rpartition(".")
        node = self.app if target == "app" else self._node(key)
        return bool(node.check_action(name, ()))


def _length(key: Key) -> int:
    return len(key.shown) + 1 + len(key.label)
