"""D14, D15, D32: weights that do not move, losses that are scaled, resumes that forget."""

from __future__ import annotations

import math

from tuiwiz.doctor import stats
from tuiwiz.doctor.case import MEDIAN_ERROR, Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

SAME = 1e-6
SAME_EPOCH = 1e-5
"""Batches are laid out otherwise in each epoch, which rounds otherwise."""
SAME_STEPS = 10
JUMP = 1.10
SCALED = 0.15
SCALED_FIRST = 0.3
"""First steps alone are few and noisy; then the later ones must agree."""
LEAST_LOSS = 0.01
"""A loss of nothing stays the same without any fault."""


def frozen(case: Case) -> Outcome:
    """The held-out loss is the same to the last digit after training, or gradients vanish."""
    if any(alert.rule == "no_gradient" for alert in case.view.alerts):
        return yes({"adapter.targets": "all-linear"}, "some trained tensors get no gradient", alerts="no_gradient")
    if any(alert.rule == "weights_unmoved" for alert in case.view.alerts):
        return yes(_retry(case), _FROZEN, alerts="weights_unmoved")
    later = [loss for step, loss in case.evals if step >= 3]
    moved = case.peak_rate > 0
    if case.evals and case.evals[0][0] == 0 and later and moved:
        first = case.evals[0][1]
        off = max(abs(loss - first) / max(abs(first), 1e-12) for loss in later)
        if off <= SAME:
            return yes(_retry(case), _FROZEN, held_out_first=first, held_out_last=later[-1], difference=off)
    if moved and (same := _same_training(case)):
        return Outcome("yes", same, _retry(case), _FROZEN)
    norms = [value for value in case.grad_norm if math.isfinite(value)]
    if len(norms) >= 3:
        early, late = stats.median(norms[:5]), stats.median(norms[-5:])
        still = bool(case.smooth) and 0.01 < case.smooth[-1] < 1.1 * case.start
        if early == 0 or (len(norms) >= 10 and late < 1e-6 * early and still):
            return yes(_retry(case), _FROZEN, grad_norm_first=early, grad_norm_last=late)
    if not later and len(norms) < 3:
        return unknown("3 steps")
    return no(grad_norm=norms[-1] if norms else None)


def _same_training(case: Case) -> dict[str, float]:
    """What shows, without any evaluation, that nothing moves: every step has the same loss, or every epoch has."""
    values = case.finite_loss
    if len(values) >= SAME_STEPS and min(values) > LEAST_LOSS and max(values) - min(values) <= SAME * min(values):
        return {"loss_of_every_step": values[-1]}
    means = case.epoch_means
    if len(means) >= 2 and min(means) > LEAST_LOSS and max(means) - min(means) <= SAME_EPOCH * min(means):
        return {"loss_of_first_epoch": means[0], "loss_of_last_epoch": means[-1], "epochs": len(means)}
    return {}


_FROZEN = "the optimizer holds other tensors than the model: update peft and transformers, then train anew"


def _retry(case: Case) -> dict[str, object]:
    return (
        {"adapter.method": "lora"}
        if case.method == "qlora"
        else {"adapter.targets": "all-linear"}
        if case.method == "lora"
        else {}
    )


def scaled_loss(case: Case) -> Outcome:
    """The first training loss is the accumulation times the held-out loss before training."""
    if (
        case.bundle is None
        or case.bundle.batch.micro is None
        or not case.evals
        or case.evals[0][0] != 0
        or case.count < 2
    ):
        return unknown("the micro-batch and an evaluation before the first step")
    count = math.ceil(case.bundle.batch.effective / case.bundle.batch.micro)
    if count < 2:
        return no(accumulation=count)
    ratio = stats.median(case.finite_loss[:3]) / case.evals[0][1] if case.evals[0][1] else math.nan
    since = [case.smooth_at(step) / loss for step, loss in case.evals[1:] if loss > 0 and step >= 3]
    lasting = stats.median(since) if len(since) >= 3 else math.nan
    agreed = abs(ratio / count - 1) <= SCALED_FIRST and abs(lasting / count - 1) <= SCALED
    if not abs(ratio / count - 1) <= SCALED and not agreed:
        return no(ratio=ratio, accumulation=count)
    return yes(
        {"batch.micro": case.bundle.batch.effective},
        "update transformers; gradients and clipping are scaled too",
        ratio=ratio,
        accumulation=count,
        ratio_since=lasting if since else None,
        first_loss=case.loss[0],
        held_out=case.evals[0][1],
    )


def resume_jump(case: Case) -> Outcome:
    """After a resume the loss begins higher than it was."""
    started = case.view.started
    if started is None or not started.from_step:
        return unknown("a resume")
    before = [loss for step, loss in zip(case.steps, case.loss, strict=True) if step <= started.from_step][-10:]
    after = [loss for step, loss in zip(case.steps, case.loss, strict=True) if step > started.from_step][:10]
    if len(before) < 5 or len(after) < 5:
        return unknown("5 steps on either side of the resume")
    was, now = stats.median(before), stats.median(after)
    noise = MEDIAN_ERROR * max(case.noise * was, stats.spread(before)) * math.sqrt(1 / len(before) + 1 / len(after))
    if now <= max(JUMP * was, was + 3.5 * noise):
        return no(before=was, after=now, from_step=started.from_step)
    return yes(
        {"schedule.warmup": 0.03},
        "start anew, or from the best checkpoint with adapter.from: weights or optimizer were lost",
        before=was,
        after=now,
        from_step=started.from_step,
    )


RULES = (
    Rule(
        "D14",
        "frozen",
        "plumbing",
        "error",
        "Training does not move the weights",
        "Different weights give a different loss; the same loss to the last digit means the same weights.",
        frozen,
    ),
    Rule(
        "D15",
        "scaled_loss",
        "plumbing",
        "warning",
        "The loss is multiplied by the accumulation",
        "A known fault of some versions: micro-batches are summed where they should be averaged.",
        scaled_loss,
    ),
    Rule(
        "D32",
        "resume_jump",
        "plumbing",
        "error",
        "The loss jumped up at the resume",
        "A true resume goes on where it stopped; a jump means that weights or optimizer states were not restored.",
        resume_jump,
    ),
)
