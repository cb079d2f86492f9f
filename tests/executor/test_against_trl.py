"""Losses of preferences and rewards, and their gradients, are those of TRL on the same batch, in fp32."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.executor.support import CPU, make_run
from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch, lay_out
from tuiwiz.executor.objectives.objective import added, mean
from tuiwiz.executor.trainer import Trainer

PAIR_ROWS = [
    {
        "prompt": f"Question {i}: how many apples does Tom have?",
        "chosen": " ".join(["He has three apples"] * (1 + i % 3)) + ".",
        "rejected": " ".join(["No"] * (1 + i * 2 % 5)) + f" {i}",
    }
    for i in range(12)
]
JUDGED_ROWS = [
    {
        "prompt": f"Question {i}: what is it?",
        "completion": " ".join(["It is four"] * (1 + i % 4)) + f" {i}.",
        "label": i % 3 > 0,
    }
    for i in range(12)
]


def a_run(folder: Path, model: Path, task: str, *, size: float = 0.1, **values: Any) -> Trainer:
    """A run whose adapters have already moved away from the base model; `reference` is that of the base."""
    import json

    from tuiwiz.executor.reference import fill_reference

    folder.mkdir(exist_ok=True)
    rows = JUDGED_ROWS if task == "kto" else PAIR_ROWS
    (folder / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = make_run(
        folder, model, task__kind=f'"{task}"', data__train='"judged.jsonl"', validation__fraction="0.0", **values
    )
    if task in ("dpo", "kto"):
        data: Any = SimpleNamespace(train=run.train_rows, validation=Rows())
        visited = {"train": list(range(len(run.train_rows))), "validation": []}
        fill_reference(folder, data, visited, run.model, run.objective, run.autocast, lambda done, total: None)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in run.weights.items():
            if ".lora_B." in name:
                value.copy_(size * torch.randn_like(value))
    return run


def ours(run: Trainer, micro: int = 4) -> tuple[float, dict[str, Tensor], list[MicroBatch]]:
    """Loss and gradients of one step of eight rows, in micro-batches."""
    layout = lay_out(run.train_rows, range(8), micro, packing=False)
    batches = [run.objective.collate(run.train_rows, sequences, CPU.where) for sequences in layout]
    counts = added(run.objective.counts(batch) for batch in batches)
    run.model.zero_grad()
    with torch.no_grad():
        run.objective.settle(run.objective.begin(batches))
    total = 0.0
    for batch in batches:
        loss = mean(run.objective(batch).parts, counts)
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total, gradients(run), batches


def gradients(run: Trainer) -> dict[str, Tensor]:
    return {name: value.grad.clone() for name, value in run.weights.items() if value.grad is not None}


def same(one: tuple[float, dict[str, Tensor]], other: tuple[float, dict[str, Tensor]]) -> None:
    """Within 1e-5 of each other: the loss, and all gradients taken together."""
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert one[1].keys() == other[1].keys() and one[1]
    mine, theirs = (torch.cat([grad.flatten() for grad in found.values()]) for found in (one[1], other[1]))
    assert float(theirs.norm()) > 0
    assert float((mine - theirs).norm()) <= 1e-5 * float(theirs.norm())


def plain(run: Trainer, module: Any) -> Callable[..., Any]:
    """The model as TRL calls it: its whole forward, which here gives logits and, where asked, log-probabilities."""

    def forward(*ids: Tensor, labels: Tensor | None = None, fused_lm_head: bool = False, **named: Any) -> Any:
        out = module(*ids, **named)
        if labels is None:
            return out
        logits = out.logits[:, :-1]
        wanted = labels[:, 1:]
        picked = logits.log_softmax(-1).gather(2, wanted.clamp(min=0)[..., None])[..., 0]
        return SimpleNamespace(
            log_probs=picked * (wanted != -100),
            entropy=torch.zeros_like(picked),
            mean_logits=logits.mean(-1),
            is_top1=logits.argmax(-1) == wanted,
        )

    return forward


def tensors(batch: MicroBatch) -> dict[str, Tensor]:
    """A batch as TRL's collators make it: ids padded to the right, attention and completion masks."""
    done = torch.zeros(batch.input_ids.numel(), dtype=torch.long)
    at = batch.predicting if batch.answered is None else batch.predicting[batch.answered]
    done[at + 1] = 1
    return {
        "input_ids": batch.input_ids,
        "attention_mask": batch.mask,
        "completion_mask": done.view_as(batch.input_ids),
    }


class Metrics(dict[str, Any]):
    def __missing__(self, key: str) -> Any:
        self[key] = Metrics() if key in ("train", "eval") else []
        return self[key]


def trainer_of(kind: type[Any], run: Trainer, **values: Any) -> Any:
    """One of TRL's trainers without its data and loop: only what its loss reads."""

    class Gathering:
        device = torch.device("cpu")

        def gather_for_metrics(self, value: Any) -> Any:
            return value

        gather = gather_for_metrics

        def unwrap_model(self, value: Any) -> Any:
            return value

    made: Any = object.__new__(kind)
    common = {
        "accelerator": Gathering(),
        "args": SimpleNamespace(center_rewards_coefficient=None, gradient_checkpointing_kwargs=None),
        "model": run.model,
        "ref_model": None,
        "aux_loss_enabled": False,
        "label_smoothing": 0.0,
        "is_encoder_decoder": False,
        "label_pad_token_id": -100,
        "padding_value": 0,
        "pad_token_id": 0,
        "_metrics": Metrics(),
        "_total_train_tokens": 0,
        "_tp_size": 1,
        "ld_alpha": None,
        "use_weighting": False,
    }
    for name, value in {**common, **values}.items():
        object.__setattr__(made, name, value)
    return made


def theirs(run: Trainer, loss: Tensor) -> tuple[float, dict[str, Tensor]]:
    run.model.zero_grad()
    torch.autograd.backward(loss)
    return float(loss.detach()), gradients(run)


def reference_of(run: Trainer, batch: dict[str, Tensor]) -> Tensor:
    """Summed log-probabilities of the completions under the base model: the adapter switched off."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    with torch.no_grad(), run.model.disable_adapter():
        found = plain(run, run.model)(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels, use_cache=False
        )
    summed: Tensor = found.log_probs.sum(-1)
    return summed


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def eight(run: Trainer) -> MicroBatch:
    layout = lay_out(run.train_rows, range(8), 8, packing=False)
    return run.objective.collate(run.train_rows, layout[0], CPU.where)


@pytest.mark.parametrize(
    ("loss", "more"),
    [("sigmoid", {}), ("ipo", {}), ("robust", {"objective__label_smoothing": "0.2"})],
)
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_dpo(tmp_path: Path, tiny_model: Path, loss: str, more: dict[str, Any], method: str) -> None:
    from trl.trainer.dpo_trainer import DPOTrainer

    values: dict[str, Any] = {
        "adapter__method": f'"{method}"',
        "objective__loss": f'"{loss}"',
        "objective__beta": "0.3",
        **more,
    }
    if method == "qlora":
        values["quantization__compute_dtype"] = '"fp32"'
    run = a_run(tmp_path, tiny_model, "dpo", **values)
    mine = ours(run)
    batch = tensors(eight(run))
    reference = reference_of(run, batch).chunk(2)
    reference_trainer = trainer_of(
        DPOTrainer,
        run,
        beta=0.3,
        loss_types=[loss],
        loss_weights=[1.0],
        f_divergence_type="reverse_kl",
        label_smoothing=0.2,
        precompute_ref_logps=True,
    )
    inputs = {**batch, "ref_chosen_logps": reference[0], "ref_rejected_logps": reference[1]}
    wanted = reference_trainer._compute_loss(plain(run, run.model), inputs, False)
    same(mine[:2], theirs(run, wanted))


@pytest.mark.parametrize("task", ["orpo", "simpo"])
def test_orpo_and_simpo(tmp_path: Path, tiny_model: Path, task: str) -> None:
    from trl.experimental.cpo.cpo_trainer import CPOTrainer
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer

    knobs: dict[str, dict[str, Any]] = {
        "orpo": {"objective__lambda": "0.4"},
        "simpo": {"objective__beta": "1.5", "objective__gamma": "0.7"},
    }
    run = a_run(tmp_path, tiny_model, task, **knobs[task])
    mine = ours(run)
    batch = tensors(eight(run))
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    inputs: dict[str, Any] = {}
    for place, name in enumerate(("chosen", "rejected")):
        half = slice(8 * place, 8 * place + 8)
        inputs |= {
            f"{name}_input_ids": batch["input_ids"][half],
            f"{name}_attention_mask": batch["attention_mask"][half],
            f"{name}_labels": labels[half],
        }
    made = (
        trainer_of(ORPOTrainer, run, beta=0.4)
        if task == "orpo"
        else trainer_of(CPOTrainer, run, beta=1.5, simpo_gamma=0.7, loss_type="simpo", cpo_alpha=0.0, alpha=0.0)
    )
    wanted, _ = made.get_batch_loss_metrics(plain(run, run.model), inputs)
    same(mine[:2], theirs(run, wanted))


def test_kto(tmp_path: Path, tiny_model: Path) -> None:
    from trl.trainer.kto_trainer import KTOTrainer

    knobs = {"objective__desirable_weight": "1.3", "objective__undesirable_weight": "0.8", "objective__beta": "0.2"}
    run = a_run(tmp_path, tiny_model, "kto", size=-0.03, **knobs)
    mine = ours(run)
    whole = eight(run)
    assert whole.strange is not None and whole.labels is not None
    batch, strange = tensors(whole), tensors(whole.strange)
    objective: Any = run.objective
    assert objective.drift > 0, "the model has moved, so that the drift counts"
    made = trainer_of(
        KTOTrainer,
        run,
        beta=0.2,
        loss_type="kto",
        desirable_weight=1.3,
        undesirable_weight=0.8,
        calculate_KL=True,
        precompute_ref_logps=True,
    )
    inputs = {
        **batch,
        **{f"KL_{name}": value for name, value in strange.items()},
        "label": whole.labels[:, 0] > 0,
        "ref_logps": reference_of(run, batch),
        "ref_KL_logps": reference_of(run, strange),
    }
    same(mine[:2], theirs(run, made._compute_loss(plain(run, run.model), inputs, False)))


def test_reward(tmp_path: Path, tiny_model: Path) -> None:
    from trl.trainer.reward_trainer import RewardTrainer

    run = a_run(tmp_path, tiny_model, "reward")
    mine = ours(run)
    batch = tensors(eight(run))
    made = trainer_of(RewardTrainer, run)
    # transformers finds the last token by the padding id: one that no row ends in.
    run.model.get_base_model().config.pad_token_id = 0
    wanted = made.compute_loss(run.model, {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]})
    same(mine[:2], theirs(run, wanted))
    assert any("score" in name for name in mine[1])
