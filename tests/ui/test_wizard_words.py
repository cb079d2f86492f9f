"""What the wizard says must be there in whole at 80x24: a word cut off at the border is no word."""

from __future__ import annotations

from tests.support.screens import screen_text
from tuiwiz.catalog.models import all_models
from tuiwiz.ui import keys
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.wizard.screen import WizardScreen
from tuiwiz.ui.screens.wizard.task import SAYS
from tuiwiz.ui.widgets.footer import KeyFooter


async def test_tasks_are_told_in_whole() -> None:
    app = TuiwizApp("wizard", ascii=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = screen_text(app)
    assert all(said in text for kind, words in SAYS.items() for said in (kind, *words))


async def test_review_names_the_key_that_trains() -> None:
    app = TuiwizApp("wizard", ascii=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, WizardScreen)
        footer = screen.query_one(KeyFooter)
        # What Review offers, without the walk to it: the keys of a step work on that step alone.
        footer.usable = lambda: [  # type: ignore[method-assign]
            key for key in (*keys.WIZARD, *keys.APP) if key.footer and key.id not in ("wizard.reset", "wizard.why")
        ]
        assert {"wizard.run", "wizard.write"} <= {key.id for _, key in footer.fitting()}


def test_no_licence_runs_over_the_border() -> None:
    for known in all_models():
        terms = ", needs an agreement" if known.gated else ""
        # Cursor and margin 5, name 32, size 11, a column for the scroll bar.
        assert len(known.name) <= 32 and 5 + 32 + 11 + len(known.licence + terms) <= 80, known.name
