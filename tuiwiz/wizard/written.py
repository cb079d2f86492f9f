"""The bundle of a session as the file that is written: paths as seen from its folder, reasons, lock."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tuiwiz.base.places import expanded
from tuiwiz.bundle.write import write_bundle
from tuiwiz.wizard.answers import Answers, Composed
from tuiwiz.wizard.compose import compose
from tuiwiz.wizard.facts import lock_of, relative_path, relative_to
from tuiwiz.wizard.session import Session


def heading_of(composed: Composed) -> str:
    """The lines on top of the file."""
    by = f"preset {composed.preset}" if composed.preset else "no preset"
    return f"Made by the tuiwiz wizard, {by}. Paths are relative to this file."


def answers_from(answers: Answers, folder: Path, target: Path) -> Answers:
    """Answers typed in `folder`, with paths as a bundle in `target` names them.

    Data is always named relative to the bundle, a model's folder only where it was typed so.
    """

    def whole(path: str) -> str:
        return str((folder / expanded(path)).absolute()) if path else path

    mix = [msgspec.structs.replace(one, path=whole(one.path)) for one in answers.mix]
    validation = whole(answers.validation) if answers.validation else None
    changed = msgspec.structs.replace(answers.with_mix(mix), validation=validation)
    model = expanded(answers.model)
    found = relative_to(changed, target)
    if answers.model and (folder / model).exists():
        place = str(model) if model.is_absolute() else relative_path(whole(answers.model), target)
        found = msgspec.structs.replace(found, model=place)
    return found


def bundle_text(session: Session, output: Path) -> str:
    """The TOML for `output`. Reads every byte of data and model for the lock: not for the thread that draws.

    Raises:
        UsageError: the answers contradict a preset.
    """
    answers = answers_from(session.draft.answers, session.folder, output.parent)
    facts = session.facts
    model, device = session.model, session.device
    if facts.data is not None and model is not None and device is not None:
        lock = lock_of(answers, output.parent, model, device, facts.data, lambda name: None)
        facts = msgspec.structs.replace(facts, lock=lock)
    composed = compose(answers, facts)
    return write_bundle(composed.bundle, why=composed.why, heading=heading_of(composed))
