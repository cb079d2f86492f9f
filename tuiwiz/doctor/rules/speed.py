"""D22, D24-D27: time that is lost, and evaluations that tell nothing."""

from __future__ import annotations

import itertools
import math

from tuiwiz.catalog.gpus import known_card
from tuiwiz.catalog.models import find
from tuiwiz.doctor import stats
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

STARVED = 0.15
LEAST_WAIT_S = 0.003
"""Shorter waits are the price of a step and no starvation."""
LEAST_USE = 0.2
SLOWER = 0.5
PIECES = 8
DEAR = 0.3
LEAST_S = 8.0
"""Seconds of evaluation below which nobody waits for it."""
MOST_HELD_OUT = 0.5
"""Of the rows; beyond it more are measured than learnt from."""
FLOPS_A_TOKEN = {"full": 6.0, "lora": 4.0, "qlora": 4.0}
"""Per parameter: adapters need no weight gradients."""


def starved(case: Case) -> Outcome:
    """Steps wait for their rows."""
    waits, steps = case.series("data_seconds"), case.series("step_seconds")
    if len(waits) < 20 or len(steps) != len(waits):
        return unknown("20 steps")
    pairs = [(a, b) for a, b in zip(waits, steps, strict=True) if b > 0]
    share = stats.median([a / b for a, b in pairs])
    wait = stats.median(waits)
    # Workers that are too slow make every so many steps wait; the longest waits alone are somebody else's.
    kept = sorted(pairs)[: max(1, int(0.95 * len(pairs)))]
    whole = sum(a for a, _ in kept) / max(1e-9, sum(b for _, b in kept))
    if whole > 2 * STARVED and wait < LEAST_WAIT_S:
        wait = stats.quantile([a for a, _ in kept], 0.9)
    share = max(share, whole) if whole > 1.5 * STARVED else share
    if share <= STARVED or wait < LEAST_WAIT_S:
        return no(data_share=share, data_seconds=wait)
    return yes(
        {"data.packing": True} if case.bundle is not None and not case.bundle.data.packing else {},
        "put the data and the cache on a local disk, and look who else uses the processor",
        data_share=share,
        data_seconds=wait,
    )


def slow_for_the_card(case: Case) -> Outcome:
    """Products a second against what the card can do."""
    started = case.view.started
    card = known_card(started.device) if started is not None else None
    model = find(started.model) if started is not None else None
    speeds = case.series("tokens_per_second")
    if card is None or model is None or len(speeds) < 20:
        return unknown("a known card, a known model and 20 steps")
    use = FLOPS_A_TOKEN.get(case.method, 4.0) * model.shape.parameters * stats.median(speeds) / card.flops
    if use >= LEAST_USE:
        return no(use=use)
    micro = case.bundle.batch.micro if case.bundle is not None else None
    effective = case.bundle.batch.effective if case.bundle is not None else 0
    change = {"batch.micro": min(effective, 2 * micro)} if micro and micro < effective else {"data.packing": True}
    return yes(
        change,
        "`tuiwiz plan` lists the settings that fit, fastest first",
        "info",
        use=use,
        tokens_per_second=stats.median(speeds),
    )


def slowing(case: Case) -> Outcome:
    """The last quarter is far slower than the first, and slower than every one between."""
    speeds = case.series("tokens_per_second")
    if len(speeds) < 40:
        return unknown("40 steps")
    quarter, piece = len(speeds) // 4, len(speeds) // PIECES
    parts = [stats.median(speeds[index * quarter : (index + 1) * quarter]) for index in range(4)]
    # A machine that is busy for a while slows a part of a run; what gets worse and worse has a cause in the run.
    pieces = [stats.median(speeds[index * piece : (index + 1) * piece]) for index in range(PIECES)]
    steadily = all(b < 0.95 * a for a, b in itertools.pairwise(parts))
    steadily = steadily and all(b < a for a, b in itertools.pairwise(pieces[2:]))
    if parts[3] >= SLOWER * parts[0] or not steadily:
        return no(first_quarter=parts[0], last_quarter=parts[3])
    return yes(
        {"checkpoint.every": 0.2},
        "heat, paging or another program: look at the GPU pane",
        first_quarter=parts[0],
        last_quarter=parts[3],
        share=parts[3] / parts[0],
    )


def dear_evaluation(case: Case) -> Outcome:
    """Evaluations take much of the time."""
    spent = case.view.stage_seconds
    evaluating = spent.get("evaluating", 0.0)
    training = spent.get("training", 0.0)
    if len(case.evals) < 3:
        return unknown("3 evaluations")
    share = evaluating / max(1e-9, evaluating + training)
    if share <= DEAR or len(case.evals) <= 5 or evaluating < LEAST_S:
        return no(share=share, evaluations=len(case.evals))
    change: dict[str, object] = {"evaluation.every": 0.1}
    if len(case.evals) <= 12:
        change = {"validation.max_rows": max(50, case.view.evals[-1].rows // 4)}
    return yes(change, "200 to 500 rows tell as much", share=share, seconds=evaluating, evaluations=len(case.evals))


def inconclusive(case: Case) -> Outcome:
    """So few held-out rows that the change could be chance."""
    if len(case.evals) < 4:
        return unknown("4 evaluations")
    rows = case.view.evals[-1].rows
    first, best = case.evals[0][1], min(loss for _, loss in case.evals)
    jumps = [abs(b[1] - a[1]) for a, b in zip(case.evals[1:], case.evals[2:], strict=False)]
    noise = max(stats.median(jumps) if jumps else 0.0, first / math.sqrt(max(1, rows)) * 0.2)
    if rows >= 16 or 2 * noise <= abs(first - best):
        return no(rows=rows, fell=first - best)
    own = (case.bundle.validation.fraction if case.bundle is not None else None) or 0.0
    share: dict[str, object] = {"validation.fraction": min(MOST_HELD_OUT, max(0.2, 2 * own)), "validation.path": None}
    return yes(
        share if own < MOST_HELD_OUT else {},
        "or a larger validation file" if own < MOST_HELD_OUT else "a larger validation file",
        "info",
        rows=rows,
        fell=first - best,
        noise=noise,
    )


RULES = (
    Rule(
        "D22",
        "loader_starved",
        "speed",
        "warning",
        "Steps wait for data",
        "More than 15 % of a step goes by before the first product is computed.",
        starved,
    ),
    Rule(
        "D24",
        "slow_for_the_card",
        "speed",
        "info",
        "The card could do far more",
        "Below a fifth of its products a second a card waits for small batches, offloading or eager attention.",
        slow_for_the_card,
    ),
    Rule(
        "D25",
        "slowing_down",
        "speed",
        "warning",
        "The run is getting slower",
        "The last quarter runs at less than half the speed of the first, and slower than any before it.",
        slowing,
    ),
    Rule(
        "D26",
        "dear_evaluation",
        "evaluation",
        "warning",
        "Evaluations take a large part of the time",
        "Ten evaluations on some hundred rows tell what there is to know.",
        dear_evaluation,
    ),
    Rule(
        "D27",
        "inconclusive",
        "evaluation",
        "info",
        "The held-out set is too small to tell",
        "Fifty rows know a share to 7 points; a handful knows nothing.",
        inconclusive,
    ),
)
