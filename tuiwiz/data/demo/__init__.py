"""The data set of `tuiwiz demo`: short English requests and the exact JSON that a home assistant would act on."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
TRAIN = FOLDER / "requests-train.jsonl"
HELD_OUT = FOLDER / "requests-held-out.jsonl"
EXAMPLES = FOLDER / "requests-examples.jsonl"
"""One training row an intent, for the prompt with examples."""
SYSTEM = "Reply with JSON."
"""The system turn of every row: it names no action and no key, so that the schema must be learnt from the rows."""
