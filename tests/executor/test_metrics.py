"""Metrics are those of scikit-learn, rouge-score and sacrebleu; log-probabilities in chunks are torch's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tuiwiz.executor.generated import scores
from tuiwiz.executor.objectives.causal import CHUNK
from tuiwiz.executor.objectives.classify import ClassifyObjective, confusion, matthews, of_numbers
from tuiwiz.executor.objectives.selected import ChunkedLogProbs

PLACES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


def objective(kind: str) -> ClassifyObjective:
    made: ClassifyObjective = object.__new__(ClassifyObjective)
    made.kind, made.names = kind, tuple("abcde")
    return made


@given(PLACES)
@settings(max_examples=60, deadline=None)
def test_metrics_of_classes_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn import metrics

    wanted, found = (torch.tensor(values) for values in zip(*pairs, strict=True))
    ours = objective("single").summary({"wanted": wanted, "found": found})
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(wanted, found))
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(wanted, found, average="macro", zero_division=0))
    assert ours["matthews"] == pytest.approx(metrics.matthews_corrcoef(wanted, found), abs=1e-12)
    table = confusion(wanted, found, 5)
    assert table.long().tolist() == metrics.confusion_matrix(wanted, found, labels=range(5)).tolist()
    assert matthews(table.T) == pytest.approx(matthews(table))


@given(st.lists(st.tuples(st.integers(0, 31), st.integers(0, 31)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_metrics_of_several_labels_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn import metrics

    bits = torch.tensor([[[value >> place & 1 for place in range(5)] for value in pair] for pair in pairs]).bool()
    wanted, found = bits[:, 0], bits[:, 1]
    ours = objective("multi").summary({"wanted": wanted, "found": found})
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(wanted, found))
    there = (wanted | found).any(0)
    one_by_one = metrics.f1_score(wanted, found, average=None, zero_division=0)
    expected = one_by_one[there.numpy()].mean() if bool(there.any()) else 0.0
    assert ours["macro_f1"] == pytest.approx(expected)


def test_metrics_of_numbers() -> None:
    wanted, found = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([1.5, 2.0, 3.0]).double()
    ours = of_numbers(wanted, found)
    assert ours["mean_squared_error"] == pytest.approx(1.25 / 3) and ours["mean_absolute_error"] == pytest.approx(0.5)
    assert ours["pearson"] == pytest.approx(float(torch.corrcoef(torch.stack([wanted, found]))[0, 1]))
    assert of_numbers(wanted, torch.ones(3).double())["pearson"] == 0


def test_metrics_of_answers_are_those_of_their_libraries() -> None:
    found, expected = ["the cat sat", "a dog", ""], ["the cat sat down", "a dog", "something"]
    ours = scores(found, expected)
    assert ours["generated_exact"] == pytest.approx(1 / 3)
    # Three of three words right out of four wanted: F = 6/7; then 1 and 0.
    assert ours["rouge1"] == ours["rougeL"] == pytest.approx((6 / 7 + 1) / 3)
    assert ours["rouge2"] == pytest.approx((4 / 5 + 1) / 3)
    assert 0.3 < ours["chrf"] < 1 and scores(expected, expected)["chrf"] == pytest.approx(1)


@given(
    rows=st.one_of(st.integers(0, 40), st.sampled_from([CHUNK, CHUNK + 1, 2 * CHUNK + 3])),
    softcap=st.sampled_from([None, 0.7, 30.0]),
    with_bias=st.booleans(),
    frozen_head=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_log_probabilities_in_chunks_are_torchs(
    rows: int, softcap: float | None, with_bias: bool, frozen_head: bool, seed: int
) -> None:
    source = torch.Generator().manual_seed(seed)
    made = [torch.randn(rows, 12, generator=source), torch.randn(31, 12, generator=source)]
    made += [torch.randn(31, generator=source)] if with_bias else []
    targets = torch.randint(31, (rows,), generator=source)
    weights = torch.randn(rows, generator=source)

    def leaves() -> list[Tensor]:
        return [value.clone().requires_grad_(not (frozen_head and place)) for place, value in enumerate(made)]

    ours, theirs = leaves(), leaves()
    bias = ours[2] if with_bias else None
    mine = ChunkedLogProbs.apply(ours[0], ours[1], bias, targets, softcap)  # type: ignore[no-untyped-call]
    logits = functional.linear(theirs[0], theirs[1], theirs[2] if with_bias else None)
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    wanted = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    assert torch.allclose(mine, wanted, rtol=1e-5, atol=1e-5)
    torch.autograd.backward((mine * weights).sum())
    torch.autograd.backward((wanted * weights).sum())
    for one, other in zip(ours, theirs, strict=True):
        if other.requires_grad:
            assert one.grad is not None and other.grad is not None
            assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5)
