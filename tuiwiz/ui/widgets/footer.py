"""The last line of a screen: the keys that can be used now, from the key table, as many as fit; clickable."""

from __future__ import annotations

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from tuiwiz.ui import keys as key_table
from tuiwiz.ui.keys import Key


class KeyFooter(Widget):
    """Shows `screen.KEYS`, then help. A key is left out while its action is off, or an input would swallow it."""

    DEFAULT_CSS = "KeyFooter { height: 1; dock: bottom; padding: 0 1; background: $background; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def usable(self) -> list[Key]:
        """Keys of the screen that would do something if pressed now, in order; help last."""
        declared: tuple[Key, ...] = getattr(self.screen, "KEYS", ())
        wanted = [key for key in declared if key.footer and self._works(key)]
        wanted += [key for key in key_table.APP if key.footer and self._works(key)]
        return wanted

    def _works(self, key: Key) -> bool:
        first = key.keys.split(",")[0]
        focused = self.screen.focused
        character = key.shown if len(key.shown) == 1 else None
        if focused is not None and character and focused.check_consume_key(first, character):
            return False
        name = key.action.split("(")[0]
        target, _, name = name.rpartition(".")
        node = self.app if target == "app" or key.id.startswith("app.") else self.screen
        return bool(node.check_action(name, ()))

    def render(self) -> Content:
        parts: list[Content] = []
        used = 0
        keys = self.usable()
        last = keys[-1] if keys else None
        room = self.size.width - (len(last.shown) + len(last.label) + 4 if last else 0)
        for key in keys:
            length = len(key.shown) + 1 + len(key.label) + (3 if parts else 0)
            if key is not last and used + length > room:
                continue
            if parts:
                parts.append(Content("   "))
            action = key.action if "." in key.action.split("(")[0] else self._scoped(key)
            click = Style.from_meta({"@click": action})
            label = Content.assemble((key.shown, "$accent bold"), (f" {key.label}", "$dim"))
            parts.append(label.stylize(click))
            used += length
        return Content("").join(parts)

    @staticmethod
    def _scoped(key: Key) -> str:
        return f"app.{key.action}" if key.id.startswith("app.") else f"screen.{key.action}"
