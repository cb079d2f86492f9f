"""What can be tested of CUDA's settings without a card: agreement of losses, refusal, where activations go."""

from __future__ import annotations

import sys
import types as modules
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tests.executor.support import CPU, copies, make_run
from tests.support.processes import write_bundle
from tuiwiz.base.errors import MachineLacksError, RunFailedError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.executor.loop import optimizer_step
from tuiwiz.executor.speedups import (
    first_loss,
    keeping_activations,
    refuse_without_cuda,
    replace_kernels,
    set_precision,
)
from tuiwiz.executor.trainer import Trainer
from tuiwiz.spec.bundle import Bundle


def with_memory(bundle: Bundle, **changes: Any) -> Bundle:
    return msgspec.structs.replace(bundle, memory=msgspec.structs.replace(bundle.memory, **changes))


@pytest.mark.parametrize("key", ["offload", "liger", "compile", "tf32"])
def test_without_cuda_they_are_refused(tmp_path: Path, key: str) -> None:
    value = '"activations"' if key == "offload" else "true"
    bundle = read_bundle(write_bundle(tmp_path, rows=4, **{f"memory__{key}": value}))
    with pytest.raises(MachineLacksError, match=f"memory.{key} needs a CUDA device") as caught:
        refuse_without_cuda(bundle, CPU)
    assert f"remove memory.{key}" in caught.value.hint


def test_activations_in_host_memory_train_the_same(tmp_path: Path, tiny_model: Path) -> None:
    runs = [make_run(tmp_path / str(n), tiny_model) for n in range(2)]
    kept: list[torch.Tensor] = []
    inner = keeping_activations(with_memory(runs[1].bundle, offload="activations"), pin=False)
    with pytest.MonkeyPatch.context() as patch:
        plain: Any = torch.Tensor.cpu

        def counted(tensor: torch.Tensor, *rest: Any) -> torch.Tensor:
            kept.append(tensor)
            found: torch.Tensor = plain(tensor, *rest)
            return found

        patch.setattr(torch.Tensor, "cpu", counted)
        runs[1].keeping = inner
        for run in runs:
            optimizer_step(run, [0, 1, 2, 3])
    one, other = copies(runs[0]), copies(runs[1])
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_compiled_layers_give_the_same_loss_and_train(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path / "a", tiny_model)
    before = first_loss(run)
    assert replace_kernels(
        run.model, with_memory(run.bundle, compile=True), lambda: first_loss(run), backend="eager"
    ) == ["torch.compile"]
    assert first_loss(run) == pytest.approx(before, rel=1e-5)
    start = copies(run)
    metrics = optimizer_step(run, [0, 1, 2, 3])
    other = make_run(tmp_path / "b", tiny_model)
    assert metrics["loss"] == pytest.approx(optimizer_step(other, [0, 1, 2, 3])["loss"], rel=1e-5)
    assert any(not torch.equal(start[name], run.weights[name]) for name in start)


def fake_liger(patch: pytest.MonkeyPatch, apply: Any) -> None:
    package, inner = modules.ModuleType("liger_kernel"), modules.ModuleType("liger_kernel.transformers")
    inner._apply_liger_kernel_to_instance = apply  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "liger_kernel", package)
    patch.setitem(sys.modules, "liger_kernel.transformers", inner)


def test_kernels_that_disagree_are_refused(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Trainer = make_run(tmp_path, tiny_model)
    bundle = with_memory(run.bundle, liger=True)
    asked: list[dict[str, Any]] = []
    fake_liger(monkeypatch, lambda **options: asked.append(options))
    assert replace_kernels(run.model, bundle, lambda: first_loss(run)) == ["Liger kernels"]
    assert asked[0]["fused_linear_cross_entropy"] is False and asked[0]["model"] is run.model.get_base_model()

    def spoil(model: Any, **options: Any) -> None:
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(20)

    fake_liger(monkeypatch, spoil)
    with pytest.raises(RunFailedError, match="change the loss"):
        replace_kernels(run.model, bundle, lambda: first_loss(run))


def test_a_missing_liger_is_named(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, tiny_model)
    monkeypatch.setitem(sys.modules, "liger_kernel", None)
    with pytest.raises(MachineLacksError, match="liger-kernel is not installed"):
        replace_kernels(run.model, with_memory(run.bundle, liger=True), lambda: 1.0)


def test_tf32_is_set_and_taken_back(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path, rows=4))
    set_precision(with_memory(bundle, tf32=True))
    assert torch.get_float32_matmul_precision() == "high"
    set_precision(bundle)
    assert torch.get_float32_matmul_precision() == "highest"
