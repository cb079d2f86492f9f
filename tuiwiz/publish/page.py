"""The report as one HTML file: no network, readable on a phone, printable, complete without its script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from tuiwiz.base.text import clean
from tuiwiz.base.units import human_bytes
from tuiwiz.doctor.finding import Finding
from tuiwiz.doctor.words import change_words, evidence_words
from tuiwiz.events.types import Sample
from tuiwiz.publish.facts import Facts
from tuiwiz.publish.svg import chart_svg

HERE = Path(__file__).parent


def page(facts: Facts) -> str:
    """The whole page. Everything from outside is escaped; the only script is ours."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = [
        f"<h1>{escape(facts.name)}</h1>",
        _table(facts.summary),
        "<h2>Curves</h2>",
        *(chart_svg(chart) for chart in facts.charts),
        "<h2>Doctor</h2>",
        *(_finding(one) for one in facts.findings),
    ]
    if not facts.charts:
        body[3:3] = ['<p class="dim">No step was recorded.</p>']
    if not facts.findings:
        body.append(f'<p class="good">Nothing wrong by {facts.judged} rules.</p>')
    if facts.samples:
        body += ["<h2>Samples: the base model and now</h2>", *(_sample(one) for one in facts.samples)]
    if facts.memory:
        body += ["<h2>Memory: predicted and actual</h2>", _memory(facts)]
    if facts.settings:
        rows = "".join(
            f"<tr><td><code>{escape(key)}</code></td><td><code>{escape(value)}</code></td><td>{escape(who)}</td></tr>"
            for key, value, who in facts.settings
        )
        head = "<tr><th>key</th><th>value</th><th>decided by</th></tr>"
        body += ["<h2>Bundle</h2>", f'<div class="wide"><table>{head}{rows}</table></div>']
    if facts.environment:
        body += ["<h2>Environment</h2>", f'<div class="wide">{_table(facts.environment)}</div>']
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(facts.name)}</title><style>{style}</style></head><body>"
        f"{''.join(body)}<script>{script}</script></body></html>\n"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in rows)
    return f"<table>{cells}</table>"


def _finding(one: Finding) -> str:
    parts = [
        f'<div class="finding {one.severity}"><strong>{escape(one.title)}</strong> <span class="dim">{one.id}</span>'
    ]
    parts.append(f"<p>{escape(evidence_words(one))}</p>")
    if one.change:
        parts.append(f"<p>Try <code>{escape(change_words(one))}</code>, and only this.</p>")
    if one.advice:
        parts.append(f"<p>{escape(one.advice)}</p>")
    parts.append(f'<p class="dim">{escape(one.why)}</p></div>')
    return "".join(parts)


def _sample(one: Sample) -> str:
    def block(label: str, text: str) -> str:
        return f'<div><span class="dim">{label}</span><pre>{escape(clean(text))}</pre></div>'

    expected = block("expected", one.expected) if one.expected else ""
    return (
        f'<div class="sample">{block("prompt", one.prompt)}{block("base model", one.base)}'
        f"{block(f'now, step {one.step}', one.now)}{expected}</div>"
    )


def _memory(facts: Facts) -> str:
    head = "<tr><th>item</th><th>predicted</th><th>actual</th></tr>"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{human_bytes(before)}</td><td>{human_bytes(now)}</td></tr>"
        for name, before, now in facts.memory
    )
    return f'<table class="numbers">{head}{rows}</table>'
