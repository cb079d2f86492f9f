"""Pane 4: the cards and the host. A sensor that is not there is left out, never shown as zero."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from tuiwiz.base.units import human_bytes
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Group, Snapshot, labelled, line_of, lines, quiet, row
from tuiwiz.ui.widgets.spark import progress

Value = str | int | float | bool | None


def gpu(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """One block a card, one for the host."""
    event = snapshot.view.resource
    if event is None:
        return quiet("no sensors read yet")
    out: list[Content] = []
    for card in event.gpus:
        out += _card(card, width, glyphs)
    if not event.gpus:
        device = snapshot.view.started.device if snapshot.view.started is not None else ""
        out.append(quiet(f"no GPU: this run computes on {line_of(device or 'the processor', glyphs, 50)}"))
    out += _host(event.host, width, glyphs)
    return lines(*out)


def _card(card: Mapping[str, Value], width: int, glyphs: Glyphs) -> list[Content]:
    name = line_of(f"{card.get('index', 0)} {card.get('name', 'GPU')}", glyphs, width - 3)
    out = [Content.styled(f" {name}", "bold")]
    room = min(30, max(8, width - 40))
    use = _number(card, "utilization_percent")
    if use is not None:
        out.append(row("busy", *_bar(use / 100, room, glyphs), f"  {use:.0f}", (" %", "$dim")))
    used, total = _number(card, "used_bytes"), _number(card, "total_bytes")
    if used is not None and total:
        text = f"  {human_bytes(used)}"
        out.append(row("memory", *_bar(used / total, room, glyphs), text, (f" of {human_bytes(total)}", "$dim")))
    groups: list[Group] = []
    power, limit = _number(card, "power_w"), _number(card, "power_limit_w")
    if power is not None:
        groups.append((1, [(f"{power:.0f}", ""), (f" of {limit:.0f} W" if limit else " W", "$dim")]))
    heat = _number(card, "temperature_c")
    if heat is not None:
        groups.append((2, [(f"{heat:.0f}", "$warn" if heat >= 84 else ""), (f" {glyphs.degree}C", "$dim")]))
    throttle = card.get("throttle")
    speed = _number(card, "clock_mhz")
    if speed is not None:
        groups.append((4, [(f"{speed:.0f}", ""), (" MHz", "$dim")]))
    if isinstance(throttle, str):
        said = (f"throttled: {line_of(throttle, glyphs, 30)}", "$warn") if throttle else ("no throttling", "$dim")
        groups.append((1 if throttle else 5, [said]))
    if groups:
        out.append(labelled("power", groups, width))
    return out


def _host(host: Mapping[str, float], width: int, glyphs: Glyphs) -> list[Content]:
    out = [Content.styled(" host", "bold")]
    room = min(30, max(8, width - 40))
    total, free = host.get("total_bytes"), host.get("available_bytes")
    if total and free is not None:
        text = f"  {human_bytes(total - free)}"
        out.append(row("RAM", *_bar(1 - free / total, room, glyphs), text, (f" of {human_bytes(total)}", "$dim")))
    groups: list[Group] = []
    if "rss_bytes" in host:
        groups.append((1, [(human_bytes(host["rss_bytes"]), "")]))
    if "cpu_percent" in host:
        groups.append((2, [("CPU ", "$dim"), (f"{host['cpu_percent']:.0f}", ""), (" %", "$dim")]))
    if "disk_free_bytes" in host:
        low = host["disk_free_bytes"] < 5 * 1024**3
        space = (human_bytes(host["disk_free_bytes"]), "$warn" if low else "")
        groups.append((1 if low else 3, [("disk free ", "$dim"), space]))
    if groups:
        out.append(labelled("this run", groups, width))
    return out if len(out) > 1 else []


def _number(card: Mapping[str, Value], name: str) -> float | None:
    value = card.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bar(share: float, room: int, glyphs: Glyphs) -> list[tuple[str, str]]:
    done, rest = progress(share, room, glyphs)
    return [(done, "$accent"), (rest, "$faint")]
