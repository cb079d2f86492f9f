"""The same held-out prompts answered before, during and after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuiwiz.base.files import write_atomic
from tuiwiz.base.text import clean
from tuiwiz.data.types import Encoded
from tuiwiz.events import types
from tuiwiz.executor.generate import Speech, generate, until_stop
from tuiwiz.spec.task import HEAD_TASKS

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer

LONGEST_ANSWER = 96
"""New tokens of a sample at most."""
LONGEST_PROMPT = 1024


class Sampler:
    """Knows the prompts and remembers what the base model said; `earlier` are the samples of attempts before this one,
    since a resumed run cannot ask the base model any more."""

    def __init__(
        self, run: Trainer, speech: Speech, evaluation_steps: list[int], earlier: Sequence[types.Sample] = ()
    ) -> None:
        self._run = run
        self._speech = speech
        rows = [row for row in run.held_out if 0 < len(row.prompt_ids) <= LONGEST_PROMPT and row.answer_ids]
        # A model with a head gives numbers, not answers.
        speaks = run.bundle.task.kind not in HEAD_TASKS
        self._rows: list[Encoded] = rows[: run.bundle.evaluation.samples] if speaks else []
        self._base = {sample.prompt: sample.base for sample in earlier if sample.step == 0}
        between = [step for step in evaluation_steps if 0 < step < run.total]
        # Before, in the middle, after: sampling at every evaluation would cost more than the evaluation itself.
        self._steps = {0, *(between[len(between) // 2 : len(between) // 2 + 1]), run.total}
        self._last = -1

    def at(self, step: int, *, final: bool = False) -> None:
        """Write a `sample` event a prompt, where samples are due after `step`."""
        if not self._rows or step == self._last or not (final or step in self._steps):
            return
        self._last = step
        run = self._run
        run.recorder.stage("sampling", 0, len(self._rows))
        answers = [row.answer_ids for row in self._rows]
        stop = self._speech.stop
        budget = min(LONGEST_ANSWER, 2 * max(len(answer) for answer in answers) + 8)
        with run.autocast():
            found = generate(
                run.model,
                [row.prompt_ids for row in self._rows],
                max_new_tokens=budget,
                stop_ids=stop,
                progress=lambda done, total: run.recorder.stage("sampling", done, total),
            )
        now = self._speech.tokens.decode_batch(found)
        prompts = self._speech.tokens.decode_batch([row.prompt_ids for row in self._rows])
        if step == 0:
            self._base = dict(zip(prompts, now, strict=True))
        expected = self._speech.tokens.decode_batch([until_stop(answer, stop) for answer in answers])
        for index, prompt in enumerate(prompts):
            base = self._base.get(prompt, "")
            run.recorder.write(
                types.Sample, step=step, prompt=prompt, base=base, now=now[index], expected=expected[index]
            )
            text = f"# prompt\n{prompt}\n\n# base\n{base}\n\n# now\n{now[index]}\n\n# expected\n{expected[index]}\n"
            # For people and their terminals; the event has every character.
            write_atomic(run.recorder.folder.samples / f"step-{step}-{index}.txt", clean(text))
