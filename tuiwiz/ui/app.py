"""The Textual application: themes, screens by name, commands. It knows no run and no bundle; screens do."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import os
import subprocess
import sys
import traceback
from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.screen import ModalScreen, Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from tuiwiz.base import places
from tuiwiz.base.errors import InternalError
from tuiwiz.ui import keys, remember, theme
from tuiwiz.ui.glyphs import ASCII, UNICODE, Glyphs, wants_ascii
from tuiwiz.ui.keymap import own_keys

SCREENS: dict[str, str] = {
    "home": "tuiwiz.ui.screens.home:HomeScreen",
    "run": "tuiwiz.ui.screens.run:RunScreen",
    "compare": "tuiwiz.ui.screens.compare:CompareScreen",
    "help": "tuiwiz.ui.screens.help:HelpScreen",
    "wizard": "tuiwiz.ui.screens.wizard.screen:WizardScreen",
    "study": "tuiwiz.ui.screens.study:StudyScreen",
    "presets": "tuiwiz.ui.screens.presets:PresetsScreen",
    "preset": "tuiwiz.ui.screens.preset:PresetScreen",
}
"""Screens by name as `module:class`; imported when first opened, since importing is most of a cold start."""


class WholeCells(ScrollBarRender):
    """A scroll bar without parts of cells: light to send, and the same on a terminal that has only ASCII."""

    VERTICAL_BARS = [" "]
    HORIZONTAL_BARS = [" "]


FAILURE_LOG = "screen-failure.log"
DEMO = -1
"""Result of the app that asks for the demo once the screen is closed."""


def can_open(name: str) -> bool:
    """Whether the screen `name` exists in this installation; asks without importing it."""
    if name not in SCREENS:
        return False
    try:
        return importlib.util.find_spec(SCREENS[name].partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False


def make_screen(name: str, **kw: Any) -> Screen[Any]:
    """The screen `name`, built with `kw`."""
    module, _, cls = SCREENS[name].partition(":")
    made: Screen[Any] = getattr(importlib.import_module(module), cls)(**kw)
    return made


def open_screen(app: App[Any], name: str, *, replace: bool = False, **kw: Any) -> None:
    """Push the screen `name`, or put it in place of the current one."""
    made = make_screen(name, **kw)
    if replace:
        app.switch_screen(made)
    else:
        app.push_screen(made)


def go_back(app: App[Any], code: int = 0) -> None:
    """Leave the current screen; from the first one leave the app with exit code `code`."""
    # Below the first screen of ours lies Textual's own empty one.
    if len(app.screen_stack) > 2:
        app.pop_screen()
    else:
        app.exit(code)


class TuiwizApp(App[int]):
    """The one application; its result is the exit code. Screens are pushed with `open_screen(app, name, **kw)`."""

    TITLE = "tuiwiz"
    CSS_PATH = "tuiwiz.tcss"
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.APP)
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, screen: str = "home", *, ascii: bool | None = None, **kw: Any) -> None:
        # Textual only drops every colour where it was told at the start that the terminal's own ones are used.
        super().__init__(ansi_color=True if theme.no_color() else None)
        self.glyphs: Glyphs = ASCII if wants_ascii(ascii) else UNICODE
        self._first = (screen, kw)
        self.failure = ""
        """Traceback of the error that ended the screen."""
        ScrollBar.renderer = WholeCells
        for item in theme.ALL:
            self.register_theme(item)
        self.theme = theme.start_theme()
        own, self._wrong = own_keys()
        keys.REMAPPED.clear()
        keys.REMAPPED.update(own)
        self.set_keymap(own)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colour names under Textual's themes, which do not define them."""
        return {
            "good": "$success",
            "warn": "$warning",
            "bad": "$error",
            "dim": "$foreground 70%",
            "faint": "$foreground 35%",
            "raised": "$panel",
        }

    def on_mount(self) -> None:
        if self.glyphs.ascii:
            self.add_class("-ascii")
        name, kw = self._first
        self.push_screen(make_screen(name, **kw))
        for text in self._wrong:
            self.notify(text, severity="warning", markup=False)
        self.theme_changed_signal.subscribe(self, lambda chosen: self._remember_theme(chosen.name))

    def _remember_theme(self, name: str) -> None:
        """What was chosen by hand is chosen again; what NO_COLOR or TUIWIZ_THEME ask for is not a choice."""
        if name in {item.name for item in theme.ALL} and not theme.no_color() and not os.environ.get("TUIWIZ_THEME"):
            remember.keep("theme", name)

    def copy_to_clipboard(self, text: str) -> None:
        """OSC 52; tmux passes it on only when it is wrapped. Nothing tells whether the terminal took it, so callers
        also show what they copied."""
        if os.environ.get("TMUX") and self._driver is not None:
            code = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
            self._driver.write(f"\x1bPtmux;\x1b\x1b]52;c;{code}\x07\x1b\\")
        super().copy_to_clipboard(text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Help about help would only stack screens."""
        return action != "help" or getattr(self.screen, "KEYS", ()) is not keys.HELP

    def action_command_palette(self) -> None:
        """Find a command by name. Only the wording differs from Textual's own."""
        if not self.query(CommandPalette):
            self.push_screen(CommandPalette(placeholder="what do you want to do?", id="--command-palette"))

    def action_help(self) -> None:
        open_screen(self, "help", about=self.screen)

    def action_jump(self) -> None:
        """Letters at every place that can be gone to; nothing where there is none."""
        from tuiwiz.ui.screens.jump import JumpScreen, targets

        found = targets(self.screen)
        if found and not isinstance(self.screen, ModalScreen):
            self.push_screen(JumpScreen(found))

    def action_leave(self) -> None:
        """Leave the app. A screen that must ask first has `ask_before_leaving`, which calls `exit` itself."""
        ask = getattr(self.screen, "ask_before_leaving", None)
        if ask is not None and ask():
            return
        self.exit(0)

    def _fatal_error(self) -> None:
        """Textual would print a traceback over the terminal; ours goes to a file that `run_app` names."""
        self.failure = traceback.format_exc()
        self._close_messages_no_wait()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: the key tables of this screen and of the app, as far as their actions work now."""
        for key in getattr(screen, "KEYS", ()):
            name = key.action.split("(")[0]
            if "." not in name and not screen.check_action(name, ()):
                continue
            yield SystemCommand(_title(key), key.description, _Run(screen, key.action))
        for key in keys.APP:
            if key.id != "app.palette":
                yield SystemCommand(_title(key), key.description, _Run(self, key.action))


def _title(key: keys.Key) -> str:
    return f"{key.label}  ({key.all_shown})" if key.keys else key.label


class _Run:
    """A palette command that carries out an action on its node."""

    def __init__(self, node: Any, action: str) -> None:
        self._node = node
        self._action = action

    async def __call__(self) -> None:
        await self._node.run_action(self._action)


def run_app(screen: str = "home", *, ascii: bool | None = None, **kw: Any) -> int:
    """Show `screen` until the user leaves; returns the exit code. `kw` goes to the screen.

    Raises:
        InternalError: the screen broke; runs go on.
    """
    app = TuiwizApp(screen, ascii=ascii, **kw)
    result = app.run()
    if app.failure:
        raise InternalError("the screen broke, a bug in tuiwiz; runs go on", hint=_kept(app.failure))
    if result == DEMO:
        # A process of its own: the demo has its own progress display and screen.
        return subprocess.call([sys.executable, "-m", "tuiwiz", "demo"])
    return int(result or 0)


def _kept(failure: str) -> str:
    """Where the traceback was written, or its last line where it could not be."""
    path = places.logs() / FAILURE_LOG
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(failure, encoding="utf-8")
    except OSError:
        return f"please report it: {failure.strip().splitlines()[-1]}"
    return f"please report it with {path}"
