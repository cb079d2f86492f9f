"""What every bundle key means: the one source for command-line help, wizard labels, JSON Schema, comments in bundle
files and `tuiwiz schema --explain`. A data table; a test proves that it has exactly the keys of the structs."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from tuiwiz.spec.keys import type_of


class Field(msgspec.Struct, frozen=True):
    """A key's meaning. Bounds are inclusive for `least` and `most`, exclusive for `above` and `below`."""

    label: str
    help: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    too_low: str = ""
    too_high: str = ""
    source: str = ""
    """Where the meaning or its usual values come from."""
    words: dict[str, str] = {}
    """For a choice: when each word is a good or a poor one."""

    def out_of_bounds(self, value: float) -> str:
        """Why a number is not allowed, or an empty string."""
        if value != value or value in (float("inf"), float("-inf")):
            return "must be a finite number"
        if self.least is not None and value < self.least:
            return f"must be at least {self.least:g}"
        if self.above is not None and value <= self.above:
            return f"must be above {self.above:g}"
        if self.most is not None and value > self.most:
            return f"must be at most {self.most:g}"
        if self.below is not None and value >= self.below:
            return f"must be below {self.below:g}"
        return ""


def choices(key: str) -> tuple[str | int, ...]:
    """The words that an enumerated key allows, in order; empty for free values."""
    return _literals(type_of(key))


def _literals(kind: Any) -> tuple[str | int, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return tuple(value for part in get_args(kind) for value in _literals(part))
    return ()


FIELDS: dict[str, Field] = {
    "name": Field("name", "name of the run; part of its folder's name, never of what it computes"),
    "format": Field("format", "version of the bundle format", least=1),
    "seed": Field(
        "seed", "start of every random stream: split, order, initialisation, dropout", least=0, most=2**63 - 1
    ),
    "task.kind": Field(
        "task",
        "what is learnt: chat (several turns), instruct (one answer), pretrain (all text), classify (a label), "
        "dpo, orpo, simpo (a better answer over a worse one), kto (answers judged good or bad), reward (a judge)",
    ),
    "task.labels": Field("labels", "classify: one label a row (unless set), several (multi), or a number (regression)"),
    "model.source": Field("model", "model folder, hub id, or name from `tuiwiz models list`"),
    "model.revision": Field("revision", "commit or tag of a hub model"),
    "model.dtype": Field("precision", "compute precision; auto takes bf16 where the device has it, else fp32"),
    "model.attention": Field("attention", "attention implementation; auto takes sdpa"),
    "data.train": Field(
        "training data", "a file, or a list of {path, weight}; the first set comes whole, others by weight beside it"
    ),
    "data.format": Field("format of rows", "shape of a row; auto recognises it from the content"),
    "data.mapping": Field("mapping", 'which column plays which role, e.g. {prompt = "question"}'),
    "data.template": Field("template", "`model`: the model's own chat template; or a Jinja file"),
    "data.system": Field("system prompt", "put before every conversation that brings none of its own"),
    "data.max_length": Field(
        "max length",
        "longest row that is trained",
        "tokens",
        least=8,
        most=1_048_576,
        too_low="long answers are dropped or cut",
        too_high="memory of the longest batch grows with it",
    ),
    "data.overlong": Field("overlong rows", "rows beyond max_length: drop, truncate or split them"),
    "data.balance": Field(
        "balance", "classes of one size: repeat rows of small ones (up), leave out rows of large ones (down)"
    ),
    "data.packing": Field("packing", "put several short rows into one sequence, isolated from each other"),
    "data.train_on": Field("train on", "which tokens count: assistant turns, the last answer, or all"),
    "validation.path": Field("validation data", "a file of rows that are never trained on"),
    "validation.fraction": Field(
        "validation share", "share of the training file held out by seed; 0 holds out nothing", least=0, below=1
    ),
    "validation.max_rows": Field("validation rows", "evaluate on at most so many rows", "rows", least=1),
    "adapter.method": Field(
        "method", "qlora: 4-bit base with adapters; lora: 16-bit base with adapters; full: all weights"
    ),
    "adapter.rank": Field(
        "rank",
        "inner size of the adapters",
        least=1,
        most=4096,
        too_low="the adapters cannot hold the data (fewer parameters than trained tokens)",
        too_high="memory and time, rarely quality",
    ),
    "adapter.alpha": Field(
        "alpha",
        "scale of the adapters: alpha / rank (rsLoRA: alpha / sqrt(rank)); part of the learning rate",
        above=0,
        most=65536,
        too_low="acts like a lower learning rate",
        too_high="acts like a higher learning rate",
    ),
    "adapter.dropout": Field(
        "adapter dropout",
        "share of adapter inputs set to zero while training",
        least=0,
        below=1,
        too_high="slower learning; above 0.1 rarely helps adapters",
    ),
    "adapter.targets": Field("targets", "`all-linear`, or a list of layer names such as q_proj"),
    "adapter.variant": Field("variant", "plain LoRA, rsLoRA scaling, or another variant"),
    "adapter.rank_pattern": Field(
        "rank pattern", "ranks of chosen layers by a part of their name, such as {q_proj = 8}; others take adapter.rank"
    ),
    "adapter.modules_to_save": Field(
        "modules to save", "modules trained whole beside the adapters and saved with them, such as lm_head"
    ),
    "adapter.train_tokens": Field(
        "trained tokens", "tokens of the vocabulary whose embeddings are trained beside the adapters, e.g. chat marks"
    ),
    "adapter.new_tokens": Field(
        "new tokens",
        "tokens that the vocabulary gets besides its own, each one id wherever it stands in a text; their embeddings "
        "begin as the mean of their pieces' and are trained",
    ),
    "adapter.loraplus_ratio": Field(
        "LoRA+ ratio",
        "learning rate of the B matrices over that of the A matrices (variant loraplus)",
        least=1,
        most=1000,
        too_low="plain LoRA",
        too_high="B diverges; lower the learning rate by as much",
        source="https://arxiv.org/abs/2402.12354",
    ),
    "adapter.trainable": Field(
        "trainable part",
        "method freeze: what is trained, such as layers[-25%:], layers[:2], head, embeddings, norms, or *.q_proj.*",
    ),
    "adapter.from": Field("start from", "folder of an adapter to continue from"),
    "quantization.bits": Field("bits", "bits of a quantised weight", "bits"),
    "quantization.type": Field("type", "4-bit number format; nf4 fits normally distributed weights"),
    "quantization.double": Field(
        "double quantisation", "also quantise the block constants: about 0.4 bit less a weight"
    ),
    "quantization.compute_dtype": Field(
        "compute type", "type that 4-bit weights are unpacked to; auto follows model.dtype"
    ),
    "optimizer.name": Field(
        "optimizer",
        "update rule; 8-bit and paged ones save memory on CUDA",
        words={
            "adamw": "for most runs; a poor choice only where its 8 bytes a trained weight do not fit",
            "adamw_8bit": "a quarter of AdamW's memory; poor for small adapters, which have little to save",
            "paged_adamw_32bit": "AdamW that survives memory peaks on CUDA; poor elsewhere, where nothing is paged",
            "paged_adamw_8bit": "both of them; the same limits",
            "sgd": "least memory, may generalise better; poor with AdamW's rate, it wants some 100 times",
            "lamb": "for batches of thousands of rows; poor for small ones, where AdamW learns more a step",
            "adafactor": "almost no state; poor when memory is no concern, it is noisier than AdamW",
            "lion": "half of AdamW's state; poor with AdamW's rate (use a third to a tenth) and with small batches",
            "muon": "strong for whole matrices (full, freeze); refused for adapters; slower steps",
            "schedule_free_adamw": "no schedule, may be stopped at any time; poor with a falling schedule on top",
        },
    ),
    "optimizer.learning_rate": Field(
        "learning rate",
        "step size at the peak of the schedule",
        above=0,
        most=10,
        too_low="the loss hardly moves in the time given",
        too_high="spikes, divergence, forgotten abilities",
    ),
    "optimizer.betas": Field("betas", "decay of the running mean and of the running square (Adam)"),
    "optimizer.epsilon": Field("epsilon", "added to the denominator (Adam)", above=0, most=1),
    "optimizer.momentum": Field(
        "momentum",
        "momentum of SGD (usual 0.9) and of Muon (0.95 where unset)",
        least=0,
        below=1,
        too_low="steps follow each batch's noise",
        too_high="overshoots; the loss swings",
    ),
    "optimizer.nesterov": Field(
        "Nesterov", "look ahead along the momentum (SGD: off where unset; Muon: on)", source="Nesterov 1983"
    ),
    "optimizer.weight_decay": Field(
        "weight decay",
        "decoupled decay of matrices; norms and biases are left out",
        least=0,
        most=10,
        too_high="pulls the weights to zero faster than the data moves them",
    ),
    "optimizer.clip_norm": Field(
        "clip norm",
        "largest global gradient norm; 0 turns clipping off",
        least=0,
        most=1e6,
        too_low="acts as a lower learning rate in every step",
        too_high="one bad batch can throw the run",
    ),
    "optimizer.embedding_ratio": Field(
        "embedding rate",
        "learning rate of trained embeddings as a share of the others'",
        above=0,
        most=100,
        too_low="new tokens stay strangers",
        too_high="rare tokens' embeddings run away from the rest",
    ),
    "optimizer.head_ratio": Field(
        "head rate",
        "learning rate of a trained output layer as a share of the others'",
        above=0,
        most=100,
        too_low="a fresh head learns slower than the model below it moves",
        too_high="the head spikes and drags the layers below along",
    ),
    "schedule.kind": Field(
        "schedule",
        "course of the learning rate after the warm-up",
        words={
            "constant": "for range tests and schedule-free optimizers; poor at the end, where noise never settles",
            "linear": "a safe default; poor when the run may be prolonged",
            "cosine": "the usual one; poor when the run may be prolonged or stopped early",
            "cosine_restarts": "to leave bad minima; poor for short runs, each restart costs what was settled",
            "inverse_sqrt": "for runs of open length; poor for short ones, it hardly falls",
            "polynomial": "a longer tail than linear (power 2); poor where the last steps should still learn",
            "warmup_stable_decay": "may be prolonged from the stable part; poor if stopped before its decay",
            "one_cycle": "fast runs at large rates with a warm-up of 0.3; poor with the default 0.03",
            "plateau": "when the length is a guess; poor with few or noisy evaluations",
        },
    ),
    "schedule.warmup": Field(
        "warm-up",
        "below 1 a share of the run, from 1 on optimizer steps",
        least=0,
        too_low="the first steps can blow up",
        too_high="the run ends before it reaches its rate",
    ),
    "schedule.epochs": Field(
        "epochs",
        "passes over the training rows",
        above=0,
        most=10_000,
        too_low="not everything is seen",
        too_high="rows are learnt by heart",
    ),
    "schedule.steps": Field("steps", "optimizer steps, in place of epochs", "steps", least=1, most=100_000_000),
    "schedule.min_ratio": Field(
        "minimum rate",
        "last (with plateau: lowest) rate as a share of the peak",
        least=0,
        most=1,
        too_high="the end stays noisy",
    ),
    "schedule.cycles": Field(
        "cycles",
        "cosine_restarts: how often the rate falls from its peak",
        least=1,
        most=1000,
        too_high="no cycle is long enough to settle",
    ),
    "schedule.power": Field(
        "power",
        "polynomial: 1 is linear, 2 falls fast and ends slowly",
        above=0,
        most=10,
        too_high="a rate near 0 early",
    ),
    "schedule.decay": Field(
        "decay",
        "warmup_stable_decay: the final fall, below 1 a share of the run, from 1 on optimizer steps",
        above=0,
        too_low="the noise of the stable part stays in the weights",
        too_high="little is learnt at full rate",
        source="https://arxiv.org/abs/2405.18392",
    ),
    "schedule.plateau_factor": Field(
        "plateau factor",
        "plateau: what the rate is multiplied by",
        above=0,
        below=1,
        too_low="one noisy evaluation stops the learning",
        too_high="the rate hardly falls",
    ),
    "schedule.plateau_patience": Field(
        "plateau patience",
        "plateau: evaluations without improvement before the rate falls",
        "evaluations",
        least=0,
        most=1000,
        too_low="noise lowers the rate",
        too_high="the rate never falls within the run",
    ),
    "schedule.max_hours": Field("time limit", "stop and keep the best after so many hours", "hours", above=0),
    "schedule.stop_by": Field("stop by", "local time to be finished, such as 08:00"),
    "batch.effective": Field(
        "effective batch",
        "rows of one optimizer step, whatever the way there",
        "rows",
        least=1,
        most=1_000_000,
        too_low="noisy steps",
        too_high="few steps; adapters learn less from each row",
    ),
    "batch.micro": Field(
        "micro-batch", "rows in one forward pass; only memory and speed depend on it", "rows", least=1
    ),
    "batch.micro_tokens": Field(
        "token budget",
        "tokens of one forward pass, padding included: as many rows as fit, at least one; in place of batch.micro",
        "tokens",
        least=1,
    ),
    "batch.accumulation": Field("accumulation", "forward passes of one optimizer step", least=1),
    "batch.processes": Field("processes", "training processes, one a device", least=1),
    "phases": Field(
        "phases",
        'stages of one run: [{name = "a", share = 0.5, trainable = "head"}, ...]; of each name, share or steps, '
        "learning_rate, schedule, warmup, trainable, data, until",
        too_low="a phase shorter than its warm-up never reaches its rate",
    ),
    "regularization.label_smoothing": Field(
        "label smoothing", "share of the target spread over all tokens", least=0, below=1
    ),
    "regularization.neftune": Field("NEFTune", "strength of noise on the input embeddings", least=0, most=100),
    "regularization.residual_dropout": Field(
        "residual dropout", "dropout inside the model (full method)", least=0, below=1
    ),
    "evaluation.every": Field("evaluate every", "from 1 on optimizer steps, below 1 a share of the run", above=0),
    "evaluation.metric": Field(
        "metric",
        "what decides which checkpoint is best: loss; exact_match, or rouge1, rouge2, rougeL, chrf, generated_exact of "
        "generated answers; accuracy, macro_f1, matthews for classes; accuracy, margin for preferences",
    ),
    "evaluation.patience": Field(
        "patience", "stop after so many evaluations without improvement", "evaluations", least=1
    ),
    "evaluation.min_delta": Field("minimum change", "relative improvement that counts", least=0, below=1),
    "evaluation.noise_aware": Field(
        "beyond noise",
        "better means: the held-out loss fell by more than one standard error of the rows' differences",
    ),
    "evaluation.samples": Field(
        "samples", "held-out prompts answered before, during and after", "rows", least=0, most=64
    ),
    "checkpoint.every": Field("save every", "from 1 on optimizer steps, below 1 a share of the run", above=0),
    "checkpoint.keep": Field("keep", "checkpoints kept, besides the best", least=2, most=10_000),
    "checkpoint.milestones": Field(
        "milestones",
        "checkpoints this far apart are kept for good; from 1 on optimizer steps, below 1 a share",
        above=0,
    ),
    "memory.gradient_checkpointing": Field(
        "checkpointing", "recompute activations in the backward pass: much less memory, about a third more time"
    ),
    "memory.fused_loss": Field("fused loss", "head and cross-entropy in chunks: full logits are never built"),
    "memory.offload": Field("offload", "keep activations or optimizer states in host memory"),
    "memory.liger": Field("Liger kernels", "fused CUDA kernels for norms, rotary embeddings and activations"),
    "memory.compile": Field("torch.compile", "compile the model: slow first steps, then faster ones (CUDA)"),
    "memory.tf32": Field("TF32", "fp32 products with 10 bits of mantissa: faster on CUDA, a little less exact"),
    "memory.oom": Field("out of memory", "fail, or go down a ladder of smaller settings"),
    "launch.strategy": Field("strategy", "how several devices share the run"),
    "launch.nodes": Field("nodes", "machines", least=1),
    "launch.devices": Field("devices", "`auto`: a card nobody uses; or a list of indices"),
    "tracking.tensorboard": Field(
        "TensorBoard", "also write TensorBoard files into the run folder, where tensorboard is installed"
    ),
    "tracking.wandb": Field("Weights & Biases", "also log to wandb"),
    "tracking.trackio": Field("trackio", "also log to trackio"),
    "tracking.mlflow": Field("MLflow", "also log to MLflow"),
    "objective.beta": Field(
        "beta",
        "dpo, kto: strength of the pull to the model before training, 0.1 unless set; simpo: scale of the margin, 2",
        above=0,
        most=100,
        too_low="the model may drift far from what it could do before",
        too_high="the model hardly moves",
    ),
    "objective.gamma": Field(
        "gamma", "margin to reach, in beta times log-probability a token (simpo)", least=0, most=100
    ),
    "objective.lambda": Field("lambda", "weight of the odds-ratio term (orpo)", least=0, most=100),
    "objective.loss": Field(
        "loss",
        "dpo: sigmoid; ipo, which bounds the margin; robust, which allows for pairs that are the wrong way round",
    ),
    "objective.label_smoothing": Field(
        "pair noise", "share of pairs taken to be the wrong way round (dpo, robust)", least=0, below=0.5
    ),
    "objective.desirable_weight": Field(
        "desirable weight", "weight of rows judged good (kto)", above=0, most=1000, too_low="good answers count less"
    ),
    "objective.undesirable_weight": Field(
        "undesirable weight", "weight of rows judged bad (kto)", above=0, most=1000, too_low="bad answers count less"
    ),
}
