"""`tuiwiz schema`: the bundle's JSON Schema for editors, or one key explained."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("schema")
    def schema(
        explain: str = typer.Option("", "--explain", metavar="KEY", help="Explain one key, e.g. adapter.alpha."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document on one line."),
    ) -> None:
        """Print the JSON Schema of the bundle, or explain one key."""
        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.spec.schema import explain_key, json_schema

        if explain:
            facts = explain_key(explain)
            if as_json:
                emit_json(facts)
                return
            for name, value in facts.items():
                if name == "when":
                    for line in value:
                        say(f"{name:<10} {line}")
                elif value not in (None, "", []):
                    say(f"{name:<10} {', '.join(map(str, value)) if isinstance(value, list) else value}")
            return
        if as_json:
            emit_json(json_schema())
            return
        import json

        say(json.dumps(json_schema(), indent=2))
