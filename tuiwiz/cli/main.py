"""The command line. Only the module of the command that was typed is imported, so that every command starts fast."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

COMMANDS: dict[str, str] = {
    "demo": "demo",
    "new": "new",
    "plan": "plan",
    "check": "check",
    "run": "run",
    "watch": "watch",
    "stop": "control",
    "pause": "control",
    "resume": "control",
    "checkpoint": "control",
    "extend": "control",
    "runs": "runs",
    "doctor": "doctor",
    "report": "report",
    "compare": "compare",
    "queue": "queue",
    "tune": "tune",
    "verify": "verify",
    "rerun": "verify",
    "diff": "diff",
    "bundle": "bundle",
    "presets": "presets",
    "import": "bring_in",
    "data": "data",
    "models": "models",
    "schema": "schema",
    "serve": "serve",
    "where": "where",
}
"""Command -> module in `tuiwiz.cli`, in the order of `--help`. Each module has `register(app)`."""

FULL = (errno.ENOSPC, errno.EDQUOT)
_MINE = "`tuiwiz where` names the folders, TUIWIZ_HOME and XDG_CACHE_HOME move them"
REFUSED = {
    **dict.fromkeys(FULL, ("the disk is full", "free some space")),
    **dict.fromkeys((errno.EACCES, errno.EPERM), ("you may not read or write there", _MINE)),
    errno.EROFS: ("it lies on a disk that is mounted for reading only", _MINE),
}
"""Errors of the system that no command need expect -> what is said, and the way out."""

FAILURE_LOG = "command-failure.log"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Never lets a traceback reach the user."""
    args = list(sys.argv[1:] if argv is None else argv)
    from tuiwiz.base.errors import ExitCode, TuiwizError, missing_library

    try:
        code = _version() if args in (["--version"], ["-V"]) else _run(args)
        # What a library has printed may still wait in the buffer.
        sys.stdout.flush()
        return code
    except TuiwizError as error:
        from tuiwiz.cli.output import report

        report(error, as_json="--json" in args)
        return int(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("tuiwiz: interrupted\n")
        return int(ExitCode.INTERRUPTED_TWICE)
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`): not a failure of ours.
        _let_go_of_output()
        return 0
    except SystemExit:
        # The same as click tells it, with a wrapper that hides that the last flush fails.
        if type(sys.stdout).__name__ != "PacifyFlushWrapper":
            raise
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSED:
            return _refused(error, as_json="--json" in args)
        lacking = missing_library(error)
        if lacking is not None:
            from tuiwiz.cli.output import report

            report(lacking, as_json="--json" in args)
            return int(lacking.exit_code)
        # Typer carries its own copy of click, so its usage errors are told by what they offer, not by class.
        if hasattr(error, "format_message"):
            return _usage_error(error, args)
        return _internal_error(as_json="--json" in args)


def _version() -> int:
    from tuiwiz import __version__

    print(f"tuiwiz {__version__}")
    return 0


def _run(args: list[str]) -> int:
    word = next((arg for arg in args if not arg.startswith("-")), None)
    if args in ([], ["--ascii"]):
        return _home(ascii=True if args else None)
    import typer

    wanted = [COMMANDS[word]] if word in COMMANDS else list(dict.fromkeys(COMMANDS.values()))
    app = typer.Typer(
        name="tuiwiz",
        help="From a data set and a GPU to a fine-tuned language model, inside a terminal, reproducibly.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(version: bool = typer.Option(False, "--version", "-V", help="Print the version and leave.")) -> None:
        pass

    for module in wanted:
        importlib.import_module(f"tuiwiz.cli.{module}").register(app)
    result = app(args, prog_name="tuiwiz", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _usage_error(error: Exception, args: list[str]) -> int:
    from tuiwiz.base.errors import ExitCode
    from tuiwiz.base.problems import nearest
    from tuiwiz.cli.output import note

    message: str = error.format_message()  # type: ignore[attr-defined]
    if message.startswith("Usage: "):
        # A group without a word tells its help itself.
        note(message)
        return int(ExitCode.USAGE)
    # The library's own guess would stand beside ours.
    note(f"tuiwiz: {message.split(' Did you mean ')[0]}")
    command = getattr(getattr(error, "ctx", None), "command_path", "tuiwiz")
    word = next((arg for arg in args if not arg.startswith("-")), "")
    close = nearest(word, COMMANDS) if word and word not in COMMANDS else None
    if close:
        note(f"  hint: did you mean `tuiwiz {close}`?")
    else:
        note(f"  hint: `{command} --help` shows what it takes")
    return int(ExitCode.USAGE)


def _home(*, ascii: bool | None) -> int:
    from tuiwiz.cli.output import on_screen

    if not on_screen():
        from tuiwiz.base.errors import UsageError

        raise UsageError("the screen needs a terminal", hint="use a command: tuiwiz --help lists them")
    from tuiwiz.ui.app import run_app

    return run_app(ascii=ascii)


def _refused(error: OSError, *, as_json: bool) -> int:
    """What the machine, and not tuiwiz, said no to."""
    from tuiwiz.base.errors import ExitCode, MachineLacksError
    from tuiwiz.cli.output import report

    said, hint = REFUSED[error.errno or 0]
    if error.errno in FULL:
        said = f"the disk{f' where {error.filename} lies' if error.filename else ''} is full"
    elif error.filename:
        said = f"{error.filename}: {said}"
    with suppress(OSError):
        # Where standard output itself lies on that disk, only the exit code is left.
        report(MachineLacksError(said, hint=hint), as_json=as_json)
    _let_go_of_output()
    return int(ExitCode.MACHINE_LACKS)


def _let_go_of_output() -> None:
    """Throw away what cannot be written any more: at its end Python would try again and leave with its own code."""
    with suppress(OSError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _internal_error(*, as_json: bool) -> int:
    import traceback

    from tuiwiz.base import places
    from tuiwiz.base.errors import ExitCode, InternalError
    from tuiwiz.cli.output import report

    path = places.logs() / FAILURE_LOG
    hint = "please report it"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
        hint = f"please report it with {path}"
    except OSError:
        hint = f"please report it: {traceback.format_exc(limit=-1).strip().splitlines()[-1]}"
    report(InternalError("internal error, a bug in tuiwiz", hint=hint), as_json=as_json)
    return int(ExitCode.INTERNAL)
