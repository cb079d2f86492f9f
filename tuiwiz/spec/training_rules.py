"""Rules about optimizer, schedule, phases and what watches them; `rules` gathers them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from tuiwiz.base.problems import Problem
from tuiwiz.spec.adapter_rules import PARTS
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.deadline import seconds_until
from tuiwiz.spec.fields import FIELDS
from tuiwiz.spec.keys import default_of, flatten
from tuiwiz.spec.optimizer import Phase
from tuiwiz.spec.parts import as_words, problem_of
from tuiwiz.spec.phases import patience_of
from tuiwiz.spec.task import HEAD_TASKS

WITHOUT_BETAS = ("sgd", "adafactor")
WITHOUT_EPSILON = ("sgd", "adafactor", "lion")
WHOLE = ("full", "freeze")
WORD_TASKS = ("chat", "instruct", "pretrain")

MOST_STEPS = FIELDS["schedule.steps"].most or 0.0
_CLOCK = re.compile(r"^([01]?\d|2[0-3]):[0-5]\d$")

_ONLY: dict[str, tuple[str, tuple[str, ...]]] = {
    "schedule.cycles": ("schedule.kind", ("cosine_restarts",)),
    "schedule.power": ("schedule.kind", ("polynomial",)),
    "schedule.decay": ("schedule.kind", ("warmup_stable_decay",)),
    "schedule.plateau_factor": ("schedule.kind", ("plateau",)),
    "schedule.plateau_patience": ("schedule.kind", ("plateau",)),
    "adapter.loraplus_ratio": ("adapter.variant", ("loraplus",)),
    "adapter.trainable": ("adapter.method", ("freeze",)),
    "adapter.rank_pattern": ("adapter.method", ("lora", "qlora")),
    "adapter.modules_to_save": ("adapter.method", ("lora", "qlora")),
    "adapter.train_tokens": ("adapter.method", ("lora", "qlora")),
    "regularization.residual_dropout": ("adapter.method", WHOLE),
}
"""Key -> the other key and those of its values with which it has a meaning."""


def without_meaning(bundle: Bundle) -> Iterator[Problem]:
    """Values that nothing would read."""
    flat = flatten(bundle)
    kinds = {flat["schedule.kind"], *(phase.schedule for phase in bundle.phases)}
    for key, (other, needed) in _ONLY.items():
        held = kinds if other == "schedule.kind" else {flat[other]}
        if flat[key] != default_of(key) and not held & set(needed):
            yield Problem(
                message=f'{key} has no meaning for {other} = "{flat[other]}"',
                key=key,
                hint=f"leave it out, or set {other} = {' or '.join(repr(word) for word in needed)}".replace("'", '"'),
            )
    if bundle.adapter.method in ("lora", "qlora"):
        saved = [name.rpartition(".")[2] for name in bundle.adapter.modules_to_save]
        for key, found in (
            (
                "optimizer.embedding_ratio",
                any("emb" in name or name in ("wte", "wpe") for name in saved)
                or bundle.adapter.train_tokens
                or bundle.adapter.new_tokens,
            ),
            (
                "optimizer.head_ratio",
                any("head" in name or name in ("score", "classifier") for name in saved)
                or bundle.task.kind in HEAD_TASKS,
            ),
        ):
            if flat[key] != 1.0 and not found:
                yield Problem(
                    message=f"{key} has no meaning: adapters leave that part of the model as it is",
                    key=key,
                    hint="name the module in adapter.modules_to_save, or leave this out",
                )


_NOISE: dict[str, tuple[str, str]] = {
    "adapter.dropout": ("of what goes into the adapters is set to zero", "0.05 is usual, and 0 for large sets"),
    "regularization.residual_dropout": ("of what each layer adds is set to zero", "0.1 to 0.3 is usual"),
    "regularization.label_smoothing": ("of each target goes to every other token", "0.1 is usual"),
}
"""Share -> what it takes away, and its usual values."""
MUCH_NOISE, ONLY_NOISE = 0.5, 0.9
"""Beyond the first more is taken away than left; from the second on, what is left is a tenth or less."""


def noise(bundle: Bundle) -> Iterator[Problem]:
    """Shares that leave little to learn from."""
    shares = {
        "adapter.dropout": bundle.adapter.dropout,
        "regularization.residual_dropout": bundle.regularization.residual_dropout,
        "regularization.label_smoothing": bundle.regularization.label_smoothing,
    }
    for key, share in shares.items():
        what, usual = _NOISE[key]
        if share >= ONLY_NOISE:
            message = f"{key} = {share:g}: that share {what}, and next to nothing can be learnt from the rest"
            yield Problem(message=message, key=key, hint=usual)
        elif share > MUCH_NOISE:
            yield _warning(key, f"{key} = {share:g}: more than half {what}", usual)


def optimizers(bundle: Bundle) -> Iterator[Problem]:
    wanted, name = bundle.optimizer, bundle.optimizer.name
    if wanted.momentum is not None and name not in ("sgd", "muon"):
        yield _pointless("optimizer.momentum", name, "Adam's counterpart is optimizer.betas")
    if wanted.nesterov and name not in ("sgd", "muon"):
        yield _pointless("optimizer.nesterov", name, "it belongs to the momentum of sgd and muon")
    if wanted.nesterov and name == "sgd" and not wanted.momentum:
        yield Problem(
            message="Nesterov's step needs momentum", key="optimizer.nesterov", hint="set optimizer.momentum = 0.9"
        )
    if name in WITHOUT_BETAS and list(wanted.betas) != default_of("optimizer.betas"):
        hint = "SGD's counterpart is optimizer.momentum" if name == "sgd" else "leave it out"
        yield _pointless("optimizer.betas", name, hint)
    if name in WITHOUT_EPSILON and wanted.epsilon != default_of("optimizer.epsilon"):
        yield _pointless("optimizer.epsilon", name, "leave it out")
    for beta in wanted.betas:
        if not 0 <= beta < 1:
            yield Problem(
                message=f"a beta of {beta:g} is outside 0..1", key="optimizer.betas", hint="e.g. [0.9, 0.999]"
            )
    if name not in WITHOUT_BETAS and wanted.betas[0] > wanted.betas[1]:
        message = f"betas {list(wanted.betas)}: the mean lives longer than the square, the usual ones are the other way"
        yield _warning("optimizer.betas", message, "e.g. [0.9, 0.999]")
    if name == "muon" and bundle.adapter.method not in WHOLE:
        yield Problem(
            message="muon orthogonalises whole weight matrices; on adapters it is not Muon",
            key="optimizer.name",
            hint='set optimizer.name = "adamw", or adapter.method = "full"',
        )
    if name == "muon" and bundle.model.dtype == "fp16":
        yield Problem(
            message="muon does not train with the loss scaling of fp16",
            key="optimizer.name",
            hint='set model.dtype = "bf16", or optimizer.name = "adamw"',
        )
    if name == "schedule_free_adamw":
        yield from _schedule_free(bundle)
    if name == "lion" and list(wanted.betas) == default_of("optimizer.betas"):
        yield _warning("optimizer.betas", "Lion was published with betas [0.9, 0.99]", "set them so")
    if name == "lion" and wanted.learning_rate >= 1e-3:
        yield _warning("optimizer.learning_rate", "Lion wants 3 to 10 times less than AdamW", "try 3e-5 to 1e-4")
    if name == "lamb" and bundle.batch.effective < 256:
        message = f"LAMB is made for very large batches; this one has {bundle.batch.effective} rows"
        yield _warning("optimizer.name", message, 'optimizer.name = "adamw" learns more from small ones')


def _schedule_free(bundle: Bundle) -> Iterator[Problem]:
    kinds = [bundle.schedule.kind, *(phase.schedule for phase in bundle.phases if phase.schedule)]
    if any(kind != "constant" for kind in kinds):
        yield Problem(
            message=f"schedule-free AdamW replaces the schedule: {kinds[0]} would lower its rate a second time",
            key="schedule.kind",
            hint='set schedule.kind = "constant" (the warm-up stays)',
        )
    if bundle.optimizer.betas[0] == 0:
        yield Problem(
            message="schedule-free AdamW averages by its first beta: 0 leaves nothing to average",
            key="optimizer.betas",
            hint="e.g. [0.9, 0.999]",
        )


def schedules(bundle: Bundle) -> Iterator[Problem]:
    schedule, validation = bundle.schedule, bundle.validation
    kinds = [schedule.kind, *(phase.schedule for phase in bundle.phases)]
    unevaluated = validation.path is None and validation.fraction == 0
    if "plateau" in kinds and unevaluated:
        yield Problem(
            message="the plateau schedule follows the held-out loss, and nothing is held out",
            key="schedule.kind",
            hint="set validation.fraction, or another schedule",
        )
    if kinds == ["inverse_sqrt"] and schedule.min_ratio:
        yield Problem(
            message="schedule.min_ratio has no meaning for inverse_sqrt",
            key="schedule.min_ratio",
            hint="leave it out, or choose cosine or linear",
        )
    if schedule.stop_by is not None and not is_time(schedule.stop_by):
        yield Problem(
            message=f'schedule.stop_by = "{schedule.stop_by}" is no time',
            key="schedule.stop_by",
            hint='a local time such as "08:00", or a date and time such as "2026-12-24T18:00", with a zone or without',
        )


def is_time(text: str) -> bool:
    """Whether `schedule.stop_by` can mean this: HH:MM, or an ISO date and time, with or without a zone."""
    if _CLOCK.match(text):
        return True
    try:
        seconds_until(text, datetime.now())
    except ValueError:
        return False
    return "T" in text


def phases(bundle: Bundle) -> Iterator[Problem]:
    stages = bundle.phases
    if not stages:
        return
    shares, steps = [p.share is not None for p in stages], [p.steps is not None for p in stages]
    names = [phase.name for phase in stages]
    if not (all(shares) and not any(steps)) and not (all(steps) and not any(shares)):
        yield _phase("every phase says how long it is, all by share or all by steps", "e.g. share = 0.5 in each of two")
    elif all(shares) and not abs(sum(p.share or 0 for p in stages) - 1) <= 1e-6:
        total = sum(p.share or 0 for p in stages)
        yield _phase(f"the phases' shares add up to {total:g}, not to 1", "let them add up to 1")
    elif any((p.share or 0) <= 0 and not 0 < (p.steps or 0) <= MOST_STEPS for p in stages):
        yield _phase("a phase has no length that can be", f"give it a share above 0 or 1 to {MOST_STEPS:g} steps")
    elif all(steps) and (bundle.schedule.epochs is not None or bundle.schedule.steps is not None):
        yield _phase(
            "the phases' steps make the run's length; schedule.epochs or schedule.steps says another", "keep one"
        )
    if len(set(names)) < len(names):
        yield _phase("two phases have the same name", "names tell them apart in the log")
    if any(phase.data is not None for phase in stages) and bundle.task.kind not in WORD_TASKS:
        message = f"a phase's own data is read for {', '.join(WORD_TASKS)}, not for {bundle.task.kind}"
        yield _phase(message, "join the data into one file, or use two runs with adapter.from")
    for phase in stages:
        yield from _one_phase(bundle, phase)


def _one_phase(bundle: Bundle, phase: Phase) -> Iterator[Problem]:
    name = phase.name
    for word in as_words(phase.trainable or ()):
        if problem := problem_of(word):
            yield _phase(f'phase "{name}": {problem}', PARTS)
    if phase.trainable is not None and not as_words(phase.trainable):
        yield _phase(f'phase "{name}" trains nothing', "leave trainable out, or name a part")
    if phase.learning_rate is not None and not 0 < phase.learning_rate <= 10:
        yield _phase(f'phase "{name}": a learning rate of {phase.learning_rate:g} is outside 0..10', "e.g. 1e-4")
    if phase.warmup is not None and not 0 <= phase.warmup < float("inf"):
        yield _phase(f'phase "{name}": a warm-up of {phase.warmup:g}', "0 or more")
    if phase.steps is not None and phase.warmup is not None and 1 <= phase.steps <= phase.warmup:
        yield _phase(f'phase "{name}": its warm-up takes all of its {phase.steps} steps', "use a share, such as 0.03")
    if not name.strip():
        yield _phase("a phase has no name", "give each a name: it stands in the log and on the curve")
    if phase.data is not None and not phase.data.strip():
        yield _phase(f'phase "{name}" has an empty path for its data', "name a file, or leave data out")
    if phase.until is not None and patience_of(phase.until) is None:
        yield _phase(f'phase "{name}": until = "{phase.until}" is no condition', 'e.g. until = "plateau:3"')
    if phase.until is not None and bundle.validation.path is None and bundle.validation.fraction == 0:
        yield _phase(f'phase "{name}" ends by evaluations, and nothing is held out', "set validation.fraction")


def watching(bundle: Bundle) -> Iterator[Problem]:
    evaluation, validation = bundle.evaluation, bundle.validation
    unevaluated = validation.path is None and validation.fraction == 0
    for key, given in (
        ("evaluation.metric", evaluation.metric != "loss"),
        ("evaluation.noise_aware", evaluation.noise_aware),
        ("validation.max_rows", validation.max_rows is not None),
    ):
        if unevaluated and given:
            yield _warning(key, f"{key} changes nothing: nothing is held out", "set validation.fraction")
    if evaluation.patience is not None and unevaluated:
        yield Problem(
            message="evaluation.patience waits for evaluations, and nothing is held out",
            key="evaluation.patience",
            hint="set validation.fraction, or leave patience out",
        )
    if evaluation.noise_aware and evaluation.metric != "loss":
        yield Problem(
            message=f'evaluation.noise_aware compares rows by their loss, not by "{evaluation.metric}"',
            key="evaluation.noise_aware",
            hint='use evaluation.min_delta, or evaluation.metric = "loss"',
        )


def _pointless(key: str, optimizer: str, hint: str) -> Problem:
    return Problem(message=f'{key} has no meaning for optimizer.name = "{optimizer}"', key=key, hint=hint)


def _warning(key: str, message: str, hint: str) -> Problem:
    return Problem(severity="warning", message=message, key=key, hint=hint)


def _phase(message: str, hint: str) -> Problem:
    return Problem(message=message, key="phases", hint=hint)


TRAINING_RULES = (without_meaning, noise, optimizers, schedules, phases, watching)
