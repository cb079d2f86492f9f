"""The README says what is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import tuiwiz
from tuiwiz.base.errors import ExitCode
from tuiwiz.bundle.read import parse_bundle
from tuiwiz.cli.main import COMMANDS

PROJECT = Path(tuiwiz.__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_two_set_up_commands_are_there() -> None:
    assert "python -m pip install . && tuiwiz demo" in README
    assert "python -m pip install -e '.[dev]' && python -m pytest" in README


def test_every_command_named_exists_and_every_command_is_named() -> None:
    named = set(re.findall(r"(?<![\w/.-])tuiwiz ([a-z]+)", README))
    assert named <= set(COMMANDS), named - set(COMMANDS)
    assert set(COMMANDS) <= named, set(COMMANDS) - named


def test_every_option_named_exists_somewhere() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tuiwiz" / "cli").glob("*.py"))
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)):
        assert f'"{option}"' in sources, option


def test_the_exit_codes_are_the_real_ones() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| ([^|]+) \|$", README, flags=re.MULTILINE))
    assert {int(code) for code in rows} == {int(code) for code in ExitCode}


def test_the_bundle_shown_is_a_bundle() -> None:
    for block in re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL):
        if "[task]" in block:
            bundle, problems = parse_bundle(block, "README.md")
            assert bundle is not None and problems.ok, list(problems)


def test_pictures_and_links_into_the_project_exist() -> None:
    for target in re.findall(r"\]\(((?!https?://|#)[^)]+)\)", README):
        assert (PROJECT / target).exists(), target


def test_the_changelog_names_the_version() -> None:
    assert f"## {tuiwiz.__version__}" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["license"] == "Apache-2.0"
