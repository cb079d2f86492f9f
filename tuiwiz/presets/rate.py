"""The learning-rate contract: what a published rate becomes with another alpha, batch or length of run.

With W + (alpha / r) B A the size of the first updates depends on alpha and not on r ("LoRA Without Regret", Thinking
Machines 2025), so alpha is part of the rate and rank is not. With B rows a step Adam's best rate grows as sqrt(B)
(Tinker cookbook) until it turns ("Surge phenomenon", arXiv 2405.14578), hence the caps.

    LR = LR0 x (alpha0 / alpha_eff) x sqrt(B / B0) x short(T)

LR0, alpha0, B0: what the rate was published for. alpha_eff: alpha, or alpha x sqrt(r) under rsLoRA, whose scale is
alpha / sqrt(r). short(T): 1.5 for adapters in runs of fewer than 100 steps, else 1; a smaller batch makes more steps of
the same rows, but no longer run, so steps of B0 rows count where they are fewer. Where a row teaches one label, short
runs take 3: see `SHORT_LABELS_FACTOR`.
"""

from __future__ import annotations

import math

import msgspec

from tuiwiz.base.units import human_number

REFERENCE_ALPHA = 32.0
REFERENCE_BATCH = 128
LORA_RATE: dict[str, float] = {"XS": 1e-3, "S": 6e-4, "M": 4e-4, "L": 4e-4, "XL": 2e-4, "XXL": 2e-4}
"""Band -> rate of adapters at alpha 32 and 128 rows a step, for chat."""
FULL_SHARE = 0.1
"""Rate of full weights as a share of that of adapters at alpha 32 (9.8 fitted in "LoRA Without Regret")."""
LARGEST_BATCH = 512
LARGEST_BATCH_FACTOR = 2.0
SHORT_STEPS = 100
SHORT_FACTOR = 1.5
SHORT_LABELS_FACTOR = 3.0
"""Of short runs on labels. Measured on banking77 (77 labels), 4e-4 at 32 rows by sqrt(B): SmolLM2-135M, 907 rows once,
held-out loss from 4.65 to 4.10 at factor 1.5 (8 rows a step), 2.09 at 5 (8 rows), 2.02 at 4.2 (4 rows); MiniLM, 200
steps of 4 rows, had its best macro F1 at the largest rate that was tried, factor 4.5. One seed each."""
DIGITS = 4
"""Significant digits of a derived rate: more would claim a precision that no sweep has."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a rate depends on. `alpha` is None for full weights, `rank` matters under rsLoRA only; `labels`: a row
    teaches one label."""

    batch: int
    alpha: float | None = None
    rank: int = 1
    variant: str = "plain"
    labels: bool = False


class Factor(msgspec.Struct, frozen=True):
    """One factor of a rate and its arithmetic in words."""

    name: str
    value: float
    words: str


class Rate(msgspec.Struct, frozen=True):
    """A derived rate: `published` times the factors, of which only those that differ from 1 are listed."""

    value: float
    published: float
    factors: tuple[Factor, ...]

    @property
    def words(self) -> str:
        """`2e-4 x 2 (alpha 32 / 16) = 4e-4`; empty when nothing changed the published rate."""
        if not self.factors:
            return ""
        steps = "".join(f" x {human_number(round(factor.value, 3))} ({factor.words})" for factor in self.factors)
        return f"{human_number(self.published)}{steps} = {human_number(self.value)}"


def effective_alpha(alpha: float, rank: int = 1, variant: str = "plain") -> float:
    """alpha as plain LoRA would need it for the same update size."""
    return alpha * math.sqrt(rank) if variant == "rslora" else alpha


def batch_factor(batch: int, reference: int) -> float:
    """sqrt(batch / reference), at most 2 and not growing beyond 512 rows."""
    grown = max(reference, min(batch, LARGEST_BATCH)) if batch > reference else batch
    return min(LARGEST_BATCH_FACTOR, math.sqrt(grown / reference))


def derive(
    published: float, reference: Setting, wanted: Setting, steps: int | None = None, measured_steps: int | None = None
) -> Rate:
    """The rate for `wanted`, from one that was published for `reference`.

    Args:
        steps: optimizer steps of the run; None while unknown (then no run is short).
        measured_steps: of the run that `published` comes from; None for published rates, which are for long runs.
    """
    factors = [
        *_alpha_factor(reference, wanted),
        *_batch_factor(reference, wanted),
        *_short_factor(reference, wanted, steps, measured_steps),
    ]
    value = published * math.prod(factor.value for factor in factors)
    return Rate(float(f"{value:.{DIGITS - 1}e}"), published, tuple(factors))


def full_rate(band: str, batch: int) -> float:
    """A tenth of the adapters' rate: for full weights where nothing is published."""
    return LORA_RATE[band] * FULL_SHARE * batch_factor(batch, REFERENCE_BATCH)


def _alpha_factor(reference: Setting, wanted: Setting) -> list[Factor]:
    if reference.alpha is None or wanted.alpha is None:
        return []
    before = effective_alpha(reference.alpha, reference.rank, reference.variant)
    after = effective_alpha(wanted.alpha, wanted.rank, wanted.variant)
    if before == after:
        return []
    shown = f"{wanted.alpha:g}"
    if wanted.variant == "rslora":
        shown += f" x sqrt(rank {wanted.rank})"
    return [Factor("alpha", before / after, f"alpha {before:g} / {shown}")]


def _batch_factor(reference: Setting, wanted: Setting) -> list[Factor]:
    factor = batch_factor(wanted.batch, reference.batch)
    if factor == 1:
        return []
    capped = " capped" if factor < math.sqrt(wanted.batch / reference.batch) else ""
    return [Factor("batch", factor, f"sqrt(batch {wanted.batch} / {reference.batch}){capped}")]


def _short_factor(reference: Setting, wanted: Setting, steps: int | None, measured: int | None) -> list[Factor]:
    if wanted.alpha is None or steps is None:
        return []
    at_reference = math.ceil(steps * wanted.batch / reference.batch)
    short, was_short = min(steps, at_reference) < SHORT_STEPS, measured is not None and measured < SHORT_STEPS
    if short == was_short:
        return []
    by = SHORT_LABELS_FACTOR if wanted.labels else SHORT_FACTOR
    if was_short:
        return [Factor("short", 1 / by, f"measured over only {measured} steps")]
    few = f"only {steps} steps" if steps < SHORT_STEPS else f"only {at_reference} steps of {reference.batch} rows"
    return [Factor("short", by, f"{few}, one label a row" if wanted.labels else few)]
