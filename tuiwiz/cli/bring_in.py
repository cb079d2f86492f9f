"""`tuiwiz import`: a bundle from another tool's configuration, with the fate of every key."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    @app.command("import")
    def import_command(
        file: Path = typer.Argument(
            ..., help="A configuration of LLaMA-Factory, axolotl or TRL (YAML), XTuner 0.x (Python), ms-swift (script)."
        ),
        output: Path = typer.Option(Path("bundle.toml"), "-o", "--output", help="Where to write the bundle."),
        command: str = typer.Option("", "--command", help="What a TRL YAML is for: sft, dpo, kto, orpo, reward ..."),
        force: bool = typer.Option(False, "--force", help="Replace the file if it is there."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Write a bundle from another tool's configuration, and say what was carried, converted or left behind."""
        from tuiwiz.base.errors import MachineLacksError, UsageError
        from tuiwiz.base.files import write_atomic
        from tuiwiz.bundle.digest import digest
        from tuiwiz.bundle.imports.read import import_file
        from tuiwiz.bundle.write import write_bundle
        from tuiwiz.cli.output import emit_json, note, problem_lines, say
        from tuiwiz.wizard.work import shown

        if output.exists() and not force:
            raise UsageError(f"{output} exists already", hint="choose another file with -o, or replace it with --force")
        found = import_file(file, command=command)
        why = {line.key: f"{line.source}{f': {line.how}' if line.how else ''}" for line in found.lines if line.key}
        heading = f"From {file.name}, a configuration of {found.tool}."
        try:
            write_atomic(output, write_bundle(found.bundle, why=why, heading=heading))
        except OSError as error:
            raise MachineLacksError(f"{output} cannot be written: {error.strerror or error}") from error
        if as_json:
            emit_json(
                {
                    "ok": True,
                    "tool": found.tool,
                    "path": str(output),
                    "digest": digest(found.bundle),
                    "report": found.lines,
                    "problems": found.problems,
                }
            )
            return
        for text in problem_lines(found.problems):
            note(text)
        for fate in ("carried", "converted", "not carried"):
            lines = [line for line in found.lines if line.fate == fate]
            say(f"{fate} ({len(lines)})")
            for line in lines:
                target = f"{line.key} = {shown(line.value)}" if line.key else shown(line.value)
                say(f"  {line.source}: {target}" + (f"  ({line.how})" if line.how else ""))
        say(f"bundle {output}: {found.bundle.task.kind} with {found.bundle.adapter.method}, from {found.tool}")
        say(f"next   put your rows where data.train says, then `tuiwiz check {output}`")
