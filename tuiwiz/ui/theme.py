"""Colours. One accent for what can be acted on or is being followed; good, warning and bad each also have a word.

Style names that all screens use in `Content` and in style sheets: `$accent`, `$good`, `$warn`, `$bad`, `$dim` (units,
labels), `$faint` (rules, raw points), `$foreground`, `$background`. Nothing else, so that a theme is eight decisions.
"""

from __future__ import annotations

import os

from textual.theme import BUILTIN_THEMES, Theme

from tuiwiz.ui import remember


def _theme(
    name: str,
    *,
    dark: bool,
    background: str,
    raised: str,
    foreground: str,
    dim: str,
    faint: str,
    accent: str,
    good: str,
    warn: str,
    bad: str,
    ansi: bool = False,
) -> Theme:
    # Textual's own style sheets name these where the terminal's colours are used as they are.
    terminal = BUILTIN_THEMES["ansi-dark"].variables if ansi else {}
    variables = {
        **terminal,
        "good": good,
        "warn": warn,
        "bad": bad,
        "dim": dim,
        "faint": faint,
        "raised": raised,
        "border": faint,
        "border-blurred": faint,
        "block-cursor-background": accent if not ansi else "ansi_default",
        "block-cursor-foreground": background,
        "block-cursor-text-style": "reverse" if ansi else "none",
        "input-selection-background": raised,
        "scrollbar": faint,
        "scrollbar-background": background,
        "scrollbar-corner-color": background,
        "footer-key-foreground": accent,
    }
    return Theme(
        name=name,
        dark=dark,
        ansi=ansi,
        primary=accent,
        secondary=accent,
        accent=accent,
        foreground=foreground,
        background=background,
        surface=background if ansi else raised,
        panel=raised,
        boost=raised,
        success=good,
        warning=warn,
        error=bad,
        variables=variables,
    )


DARK = _theme(
    "tuiwiz-dark",
    dark=True,
    background="#15181d",
    raised="#20252c",
    foreground="#dfe3e8",
    dim="#98a1ad",
    faint="#4a525d",
    accent="#64b5f6",
    good="#7ecb8f",
    warn="#e8b75a",
    bad="#f2797c",
)
LIGHT = _theme(
    "tuiwiz-light",
    dark=False,
    background="#fbfbf9",
    raised="#eceef0",
    foreground="#20252b",
    dim="#5c6570",
    faint="#b4bac2",
    accent="#0b62b0",
    good="#1d7a3a",
    warn="#8a5a00",
    bad="#b3261e",
)
CONTRAST = _theme(
    "tuiwiz-contrast",
    dark=True,
    background="#000000",
    raised="#1c1c1c",
    foreground="#ffffff",
    dim="#d0d0d0",
    faint="#8a8a8a",
    accent="#4fd6ff",
    good="#6dff8a",
    warn="#ffd84d",
    bad="#ff8a8a",
)
MONO = _theme(
    "tuiwiz-mono",
    dark=True,
    ansi=True,
    background="ansi_default",
    raised="ansi_default",
    foreground="ansi_default",
    dim="ansi_default",
    faint="ansi_default",
    accent="ansi_default",
    good="ansi_default",
    warn="ansi_default",
    bad="ansi_default",
)
"""For NO_COLOR: the terminal's own colours, weight and reverse alone tell things apart."""

ALL = (DARK, LIGHT, CONTRAST, MONO)


def no_color() -> bool:
    """Whether NO_COLOR asks for no colour (https://no-color.org: any non-empty value)."""
    return bool(os.environ.get("NO_COLOR"))


def start_theme() -> str:
    """The theme to start with: none at all under NO_COLOR, else TUIWIZ_THEME, else the one chosen last, else dark."""
    if no_color():
        return MONO.name
    wanted = os.environ.get("TUIWIZ_THEME", "")
    known = {theme.name for theme in ALL}
    chosen = str(remember.load().get("theme", ""))
    return next((name for name in (wanted, f"tuiwiz-{wanted}", chosen) if name in known), DARK.name)
