"""Metrics of whole answers: what the model writes for held-out prompts, against what was expected.

ROUGE by rouge-score (https://aclanthology.org/W04-1013), chrF by sacrebleu (https://aclanthology.org/W15-3049).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuiwiz.executor.generate import Speech, generate, until_stop
from tuiwiz.spec.task import GENERATED

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer

MOST_ROWS = 128
"""Held-out rows that are answered at an evaluation: the first ones, the same every time."""
AT_ONCE = 32
LONGEST_ANSWER = 256
"""New tokens of an answer at most."""


class Generated:
    """Answers held-out prompts where `evaluation.metric` is one of `GENERATED`."""

    def __init__(self, run: Trainer, speech: Speech) -> None:
        self._run = run
        self._wanted = run.bundle.evaluation.metric in GENERATED
        self._speech = speech

    def metrics(self) -> dict[str, float]:
        """All of `GENERATED` as shares of 1; nothing where none was asked for."""
        run = self._run
        rows = [row for row in run.held_out[:MOST_ROWS] if row.answer_ids] if self._wanted else []
        if not rows:
            return {}
        expected = [until_stop(row.answer_ids, self._speech.stop) for row in rows]
        found: list[list[int]] = []
        for start in range(0, len(rows), AT_ONCE):
            run.recorder.stage("evaluating", start, len(rows), note="answers")
            part = slice(start, start + AT_ONCE)
            budget = min(LONGEST_ANSWER, max(len(answer) for answer in expected[part]) + 8)
            prompts = [row.prompt_ids for row in rows[part]]
            with run.autocast():
                found += generate(run.model, prompts, max_new_tokens=budget, stop_ids=self._speech.stop)
        return scores(self._speech.tokens.decode_batch(found), self._speech.tokens.decode_batch(expected))


def scores(found: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
    """Mean F of ROUGE-1, -2 and -L over rows, chrF of the whole set, and the share of answers that are the same."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import CHRF

    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds)
    rows = [scorer.score(want, have) for want, have in zip(expected, found, strict=True)]
    chrf = CHRF().corpus_score([text.strip() for text in found], [[text.strip() for text in expected]])
    same = sum(have.strip() == want.strip() for have, want in zip(found, expected, strict=True))
    return {
        **{kind: sum(row[kind].fmeasure for row in rows) / len(rows) for kind in kinds},
        "chrf": chrf.score / 100,
        "generated_exact": same / len(rows),
    }
