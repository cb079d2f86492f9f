"""The state of a wizard and its undo history, as values."""

from __future__ import annotations

from typing import Any

import msgspec

from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.steps import Step

LONGEST_HISTORY = 200


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Where the user is and what was answered; `output` is where the bundle will be written."""

    step: Step = "task"
    answers: Answers = Answers()
    output: str = ""

    def answered(self, **changes: Any) -> Draft:
        """The draft with some answers replaced."""
        return msgspec.structs.replace(self, answers=msgspec.structs.replace(self.answers, **changes))

    def edited(self, key: str, value: Any) -> Draft:
        """The draft with the user's own value of a bundle key; `value` None unsets it."""
        return self.answered(sets={**self.answers.sets, key: value})

    def reset(self, key: str) -> Draft:
        """The draft without the user's own value of a bundle key."""
        return self.answered(sets={name: value for name, value in self.answers.sets.items() if name != key})


class History:
    """Drafts in order with a place in them. Moving between steps is no change that undo would take back."""

    def __init__(self, draft: Draft | None = None) -> None:
        self._drafts: list[Draft] = [draft or Draft()]
        self._place = 0

    @property
    def draft(self) -> Draft:
        return self._drafts[self._place]

    def put(self, draft: Draft) -> None:
        """Make `draft` the present one. Only other answers are a new entry, and drop what was undone."""
        if draft == self.draft:
            return
        if draft.answers == self.draft.answers:
            self._drafts[self._place] = draft
            return
        self._drafts = [*self._drafts[: self._place + 1], draft][-LONGEST_HISTORY:]
        self._place = len(self._drafts) - 1

    def undo(self) -> bool:
        """Take back the last change of answers; False when there is none. The step stays where the user is."""
        return self._move(-1)

    def redo(self) -> bool:
        """Do again what was undone; False when nothing was."""
        return self._move(1)

    def _move(self, by: int) -> bool:
        place = self._place + by
        if not 0 <= place < len(self._drafts):
            return False
        step = self.draft.step
        self._place = place
        self._drafts[place] = msgspec.structs.replace(self._drafts[place], step=step)
        return True
