"""What `tuiwiz schema --explain KEY` says beyond `fields.FIELDS`: units, sources, and what each end of a value breaks.
A data table; a test proves that no key is left unexplained."""

from __future__ import annotations

import msgspec

OWN = "a convention of tuiwiz"
_LORA = "https://arxiv.org/abs/2106.09685"
_QLORA = "https://arxiv.org/abs/2305.14314"
_ADAMW = "https://arxiv.org/abs/1711.05101"
_SGDR = "https://arxiv.org/abs/1608.03983"
_DPO = "https://arxiv.org/abs/2305.18290"
_KTO = "https://arxiv.org/abs/2402.01306"
_SIMPO = "https://arxiv.org/abs/2405.14734"
_ORPO = "https://arxiv.org/abs/2403.07691"
_PEFT = "https://huggingface.co/docs/peft/package_reference/lora"
_ATTENTION = "https://huggingface.co/docs/transformers/attention_interface"
_TEMPLATES = "https://huggingface.co/docs/transformers/chat_templating"
_PACKING = "https://arxiv.org/abs/2107.02027"
_CHECKPOINTING = "https://arxiv.org/abs/1604.06174"
_STOPPING = "Prechelt, Early Stopping - But When?, 1998"


class Explanation(msgspec.Struct, frozen=True):
    """Added to a field's own words where those are empty. `low`, `high`: what a value too low or too high breaks;
    `words`: when each choice is a good or a poor one (true and false for a switch)."""

    source: str = OWN
    unit: str = ""
    low: str = ""
    high: str = ""
    words: dict[str, str] = {}


_E = Explanation
EXPLANATIONS: dict[str, Explanation] = {
    "name": _E(),
    "format": _E(unit="version", low="there is no older format than 1", high="a newer tuiwiz wrote it: install that"),
    "seed": _E(
        unit="number",
        low="no number is better than another; two seeds show how much of a difference is chance",
        high="no number is better than another",
    ),
    "task.kind": _E(
        words={
            "chat": "conversations of several turns; poor for single answers, where instruct does the same",
            "instruct": "a request and its answer; poor for plain text",
            "pretrain": "plain text of a field or a language; poor for teaching how to answer",
            "classify": "labels or numbers for texts; poor where the answer is text",
            "dpo": "pairs of a better and a worse answer; poor before the model answers at all: instruct first",
            "orpo": "pairs without a reference model, in one go with learning the answers; poor with few rows",
            "kto": "single answers judged good or bad; poor where pairs exist",
            "simpo": "pairs without a reference model; drifts more than dpo",
            "reward": "a model that scores answers; it writes none",
        }
    ),
    "task.labels": _E(
        words={
            "single": "exactly one label a row",
            "multi": "any number of labels a row",
            "regression": "a number in place of a label",
        }
    ),
    "model.source": _E("https://huggingface.co/docs/hub/models"),
    "model.revision": _E("https://huggingface.co/docs/hub/models"),
    "model.dtype": _E(
        "https://arxiv.org/abs/1710.03740",
        words={
            "auto": "bf16 where the device has it, else fp32",
            "bf16": "the range of fp32 in half the memory; poor on cards before Ampere",
            "fp16": "for older cards; needs loss scaling and may overflow",
            "fp32": "exact; twice the memory",
        },
    ),
    "model.attention": _E(
        _ATTENTION,
        words={
            "auto": "the fastest that this machine has",
            "sdpa": "PyTorch's own kernels, everywhere",
            "flash": "fastest for long rows on CUDA; needs flash-attn",
            "eager": "plain products, for comparison; memory grows with the square of the length",
        },
    ),
    "data.train": _E(),
    "data.format": _E(
        words={
            "auto": "recognised from the first rows; name it only where that fails",
            "openai": "messages with role and content",
            "sharegpt": "conversations with from and value",
            "alpaca": "instruction, input, output",
            "prompt-completion": "a prompt and its completion",
            "text": "running text",
            "classification": "a text and its label",
            "multi-label": "a text and its labels",
            "preference": "a prompt, a chosen and a rejected answer",
            "kto": "a prompt, an answer and a verdict",
            "reward": "as preference, for a reward model",
        }
    ),
    "data.mapping": _E(),
    "data.template": _E(_TEMPLATES),
    "data.system": _E(_TEMPLATES),
    "data.max_length": _E(),
    "data.overlong": _E(
        words={
            "drop": "nothing is learnt from half an answer; loses whole rows",
            "truncate": "keeps every row; answers may lose their end",
            "split": "keeps everything, in pieces; poor where a piece says nothing without the rest",
        }
    ),
    "data.balance": _E(
        words={
            "none": "rows as they are",
            "up": "no row is lost; small classes are learnt by heart",
            "down": "short epochs; rows of large classes are lost",
        }
    ),
    "data.packing": _E(
        _PACKING,
        words={
            "true": "less padding where rows are short",
            "false": "simplest; the loss is the same either way",
        },
    ),
    "data.train_on": _E(
        words={
            "assistant": "every answer of a conversation",
            "completion": "the last answer alone",
            "all": "prompts, too: for plain text; poor for answers, whose share shrinks",
        }
    ),
    "validation.path": _E(),
    "validation.fraction": _E(unit="share of rows", low="evaluations are noise", high="rows are missing in training"),
    "validation.max_rows": _E(low="evaluations are noise", high="evaluations take a large part of the run"),
    "adapter.method": _E(
        _QLORA,
        words={
            "qlora": "least memory; a little slower than lora",
            "lora": "fast and nearly as good as all weights; the base takes 2 bytes a weight",
            "full": "everything moves: most memory, forgets most",
            "freeze": "whole weights of a part of the model; poor with few layers for much new knowledge",
        },
    ),
    "adapter.rank": _E(_LORA, unit="dimensions"),
    "adapter.alpha": _E(_LORA, unit="factor"),
    "adapter.dropout": _E(_LORA, unit="share of inputs", low="small sets are learnt by heart sooner"),
    "adapter.targets": _E(_QLORA),
    "adapter.variant": _E(
        _PEFT,
        words={
            "plain": "alpha / rank; the usual one",
            "rslora": "alpha / sqrt(rank): for ranks of 64 and more, https://arxiv.org/abs/2312.03732",
            "dora": "direction and size apart: often a little better, slower, https://arxiv.org/abs/2402.09353",
            "pissa": "starts from the main directions: faster at first, not on 4 bits, https://arxiv.org/abs/2404.02948",
            "loraplus": "a larger rate for B: learns faster, diverges sooner, https://arxiv.org/abs/2402.12354",
        },
    ),
    "adapter.rank_pattern": _E(_PEFT),
    "adapter.modules_to_save": _E(_PEFT),
    "adapter.train_tokens": _E("https://huggingface.co/docs/peft/package_reference/trainable_tokens"),
    "adapter.new_tokens": _E("https://huggingface.co/docs/peft/package_reference/trainable_tokens"),
    "adapter.loraplus_ratio": _E(unit="factor"),
    "adapter.trainable": _E("https://arxiv.org/abs/2202.10054"),
    "adapter.from": _E(_PEFT),
    "quantization.bits": _E(
        _QLORA,
        unit="bits",
        words={
            "4": "a quarter of 16 bits' memory; nearly no loss with adapters",
            "8": "closer to the full weights; slower and twice as large, https://arxiv.org/abs/2208.07339",
        },
    ),
    "quantization.type": _E(
        _QLORA, words={"nf4": "for weights, which are normally distributed", "fp4": "for comparison; a little worse"}
    ),
    "quantization.double": _E(_QLORA, words={"true": "0.37 bits a weight less", "false": "a little faster to unpack"}),
    "quantization.compute_dtype": _E(
        _QLORA,
        words={
            "auto": "as model.dtype",
            "bf16": "usual on cards from Ampere on",
            "fp16": "for older cards; may overflow",
            "fp32": "exact; slow on cards",
        },
    ),
    "optimizer.name": _E("https://docs.pytorch.org/docs/stable/optim.html"),
    "optimizer.learning_rate": _E(_ADAMW, unit="step size"),
    "optimizer.betas": _E("https://arxiv.org/abs/1412.6980"),
    "optimizer.epsilon": _E(
        "https://arxiv.org/abs/1412.6980",
        unit="gradient size",
        low="divides by nearly nothing where gradients vanish",
        high="steps shrink; Adam becomes SGD with momentum",
    ),
    "optimizer.momentum": _E("Polyak 1964", unit="share kept a step"),
    "optimizer.nesterov": _E(words={"true": "corrects before the overshoot", "false": "plain momentum"}),
    "optimizer.weight_decay": _E(_ADAMW, unit="share of the rate", low="weights may grow without need"),
    "optimizer.clip_norm": _E("https://arxiv.org/abs/1211.5063", unit="gradient norm"),
    "optimizer.embedding_ratio": _E(unit="factor"),
    "optimizer.head_ratio": _E("https://arxiv.org/abs/1801.06146", unit="factor"),
    "schedule.kind": _E(_SGDR),
    "schedule.warmup": _E("https://arxiv.org/abs/1706.02677", unit="share or steps"),
    "schedule.epochs": _E("https://arxiv.org/abs/2305.16264", unit="passes"),
    "schedule.steps": _E(low="not everything is seen", high="rows are learnt by heart"),
    "schedule.min_ratio": _E(_SGDR, unit="share of the peak", low="the last steps learn nothing"),
    "schedule.cycles": _E(_SGDR, unit="cycles", low="1 is plain cosine"),
    "schedule.power": _E(unit="exponent", low="the rate stays high until the very end"),
    "schedule.decay": _E(unit="share or steps"),
    "schedule.plateau_factor": _E(
        "https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html", unit="factor"
    ),
    "schedule.plateau_patience": _E(
        "https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html"
    ),
    "schedule.max_hours": _E(low="the rate has not fallen when the run ends", high="no limit in effect"),
    "schedule.stop_by": _E(),
    "batch.effective": _E("https://arxiv.org/abs/1812.06162"),
    "batch.micro": _E(low="the device waits between small passes", high="the memory of one pass does not fit"),
    "batch.micro_tokens": _E(low="one row a pass: the device waits", high="the memory of one pass does not fit"),
    "batch.accumulation": _E(
        unit="passes",
        low="a pass holds more rows than fit",
        high="passes of one row: slow, and no better",
    ),
    "batch.processes": _E(
        "https://arxiv.org/abs/2006.15704",
        unit="processes",
        low="1: one device does all of a step",
        high="short steps wait for the exchange of gradients",
    ),
    "phases": _E(
        "https://arxiv.org/abs/2202.10054",
        unit="table",
        high="phases too short to learn in",
        words={
            "share, steps": "all phases have a share of the run, together 1, or all have steps, in place of schedule.*",
            "learning_rate, schedule, warmup": "over the phase's own length; left out: those of the run",
            "trainable": "all, adapters, head, embeddings, norms, layers[-25%:], patterns such as *.q_proj.*",
            "data": "rows of its own, without those that are held out",
            "until": "plateau:N ends the phase early after N evaluations without improvement",
            "optimizer state": "kept for what stays trainable, dropped for what is frozen",
        },
    ),
    "regularization.label_smoothing": _E(
        "https://arxiv.org/abs/1512.00567",
        unit="share of the target",
        low="the model may become too sure of noisy labels",
        high="answers turn vague: probability is given to every token",
    ),
    "regularization.neftune": _E(
        "https://arxiv.org/abs/2310.05914",
        unit="noise scale",
        low="no effect; 5 is usual for chat",
        high="inputs drown in noise",
    ),
    "regularization.residual_dropout": _E(
        "https://jmlr.org/papers/v15/srivastava14a.html",
        unit="share of activations",
        low="small sets are learnt by heart sooner",
        high="little is learnt a step; 0.1 to 0.3 is usual",
    ),
    "evaluation.every": _E(
        unit="share or steps", low="evaluations take a large part of the run", high="the best moment is missed"
    ),
    "evaluation.metric": _E("https://aclanthology.org/W04-1013 (ROUGE), https://aclanthology.org/W15-3049 (chrF)"),
    "evaluation.patience": _E(_STOPPING, low="noise ends the run", high="the run goes on long after its best"),
    "evaluation.min_delta": _E(
        _STOPPING,
        unit="share of the best",
        low="noise counts as improvement",
        high="slow learning counts as standstill",
    ),
    "evaluation.noise_aware": _E(
        words={"true": "small gains by chance do not count", "false": "every gain beyond min_delta counts"}
    ),
    "evaluation.samples": _E(low="nothing to read", high="answering takes long"),
    "checkpoint.every": _E(
        unit="share or steps", low="saving takes a large part of the run", high="a crash costs much work"
    ),
    "checkpoint.keep": _E(unit="checkpoints", low="nothing to go back to", high="the disk fills"),
    "checkpoint.milestones": _E(unit="share or steps", low="the disk fills", high="few moments to compare"),
    "memory.gradient_checkpointing": _E(
        _CHECKPOINTING, words={"true": "where memory is short", "false": "where it is not: a quarter faster"}
    ),
    "memory.fused_loss": _E(
        "https://arxiv.org/abs/2411.09009",
        words={"true": "always, but to compare", "false": "builds all logits: much memory with large vocabularies"},
    ),
    "memory.offload": _E(
        "https://docs.pytorch.org/docs/stable/autograd.html",
        words={
            "none": "where everything fits",
            "activations": "long rows on a small card; slower by the copies over the bus",
            "optimizer": "not in this version; paged optimizers come nearest",
        },
    ),
    "memory.liger": _E(
        "https://arxiv.org/abs/2410.10989", words={"true": "on CUDA: faster, less memory", "false": "everywhere else"}
    ),
    "memory.compile": _E(
        "https://docs.pytorch.org/docs/stable/generated/torch.compile.html",
        words={"true": "long runs on CUDA", "false": "short runs: compiling takes minutes"},
    ),
    "memory.tf32": _E(
        "https://docs.pytorch.org/docs/stable/notes/cuda.html",
        words={"true": "fp32 models on CUDA, several times faster", "false": "exact fp32"},
    ),
    "memory.oom": _E(
        words={
            "ladder": "the run goes on with smaller passes and the same steps",
            "fail": "stops: where memory must be as planned",
        }
    ),
    "launch.strategy": _E(
        "https://huggingface.co/docs/accelerate/concept_guides/fsdp_and_deepspeed",
        words={
            "single": "one device",
            "ddp": "batch.processes devices, each with all weights and a share of every step",
        },
    ),
    "launch.nodes": _E(unit="machines", low="1 is all that this version carries out", high="not in this version"),
    "launch.devices": _E(),
    "tracking.tensorboard": _E(
        "https://www.tensorflow.org/tensorboard", words={"true": "files in the run folder", "false": "none"}
    ),
    "tracking.wandb": _E(
        "https://docs.wandb.ai", words={"true": "offline without a key: `wandb sync` later", "false": "none"}
    ),
    "tracking.trackio": _E(
        "https://huggingface.co/docs/trackio", words={"true": "a local dashboard: `trackio show`", "false": "none"}
    ),
    "tracking.mlflow": _E(
        "https://mlflow.org/docs/latest",
        words={"true": "at MLFLOW_TRACKING_URI, else a file in the run folder", "false": "none"},
    ),
    "objective.beta": _E(f"{_DPO}, {_KTO}, {_SIMPO}", unit="factor"),
    "objective.gamma": _E(
        _SIMPO, unit="log-probability a token", low="pairs count as solved too early", high="no pair is ever solved"
    ),
    "objective.lambda": _E(
        _ORPO, unit="factor", low="worse answers are not pushed away", high="answers themselves are hardly learnt"
    ),
    "objective.loss": _E(
        _DPO,
        words={
            "sigmoid": "the usual one; margins grow without end on clean pairs",
            "ipo": "bounds the margin: for few or clean pairs, https://arxiv.org/abs/2310.12036",
            "robust": "for pairs of which some are the wrong way round, https://arxiv.org/abs/2403.00409",
        },
    ),
    "objective.label_smoothing": _E(
        "https://arxiv.org/abs/2403.00409",
        unit="share of pairs",
        low="wrong pairs are learnt",
        high="right ones are not",
    ),
    "objective.desirable_weight": _E(_KTO, unit="factor", high="bad answers count for nothing"),
    "objective.undesirable_weight": _E(_KTO, unit="factor", high="the model learns what not to say and nothing else"),
}
