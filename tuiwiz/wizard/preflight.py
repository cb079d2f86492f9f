"""Everything that can be known to be wrong with a bundle before a run: model, data, memory, this machine."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.problems import Problem, Severity
from tuiwiz.base.units import human_bytes
from tuiwiz.bundle.drift import RELOCK
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.machine import this_device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.catalog.sources import Located, locate
from tuiwiz.data.types import Prepared
from tuiwiz.memory.plan import Plan, plan
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.deadline import deadline
from tuiwiz.spec.derive import cadence, warmup_steps
from tuiwiz.spec.model import ENCODERS
from tuiwiz.spec.needs import libraries, without_cuda
from tuiwiz.spec.phases import Span, run_steps, spans
from tuiwiz.spec.task import HEAD_TASKS
from tuiwiz.spec.training_rules import is_time
from tuiwiz.wizard.facts import drift_of
from tuiwiz.wizard.named import named_parts

WITHOUT_RESIDUAL_DROPOUT = frozenset(
    {"llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "smollm3", "olmo2"}
)
"""Model types without dropout on what a layer adds to its residual stream."""


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """`fits` is False when the plan says no; `plan` is None where the model or the data cannot be read."""

    problems: tuple[Problem, ...]
    fits: bool = True
    plan: Plan | None = None


def preflight(
    bundle: Bundle,
    folder: Path,
    *,
    rows: Callable[[str, int, int], None] | None = None,
    hashing: Callable[[str], None] | None = None,
) -> Preflight:
    """Look at everything that `bundle`, whose paths start at `folder`, would meet on this machine.

    `rows` is told how many rows have been read, as `data.load.Progress`, `hashing` the name of each file before it is.
    """
    problems: list[Problem] = []
    device = this_device()
    for one in drift_of(bundle, folder, progress=hashing):
        severity: Severity = "error" if one.fatal else "warning"
        hint = RELOCK if one.fatal else ""
        problems.append(Problem(severity=severity, message=one.message, key=f"lock.{one.kind}", hint=hint))
    located = _model(bundle, folder, problems)
    prepared = _data(bundle, folder, located, problems, rows)
    problems += _machine(bundle, device)
    problems += _architecture(bundle, located)
    problems += _moment(bundle)
    if located is not None and located.folder is not None:
        problems += named_parts(bundle, folder, located.folder)
    if located is None or located.shape is None or prepared is None:
        return Preflight(problems=tuple(problems))
    problems += _length(bundle, len(prepared.train))
    found = _fit(bundle, located.shape, device, prepared, problems)
    return Preflight(problems=tuple(problems), fits=found.fits, plan=found)


def _model(bundle: Bundle, folder: Path, problems: list[Problem]) -> Located | None:
    try:
        located = locate(bundle.model.source, bundle.model.revision, folder)
    except TuiwizError as error:
        problems += [msgspec.structs.replace(one, key=one.key or "model.source") for one in error.problems]
        return None
    if located.kind in ("folder", "gguf") and not located.has_weights:
        problems.append(
            Problem(
                message=f"{bundle.model.source} has no weights that can be trained: {located.note}",
                key="model.source",
                hint="name a folder with config.json and *.safetensors",
            )
        )
    elif located.note:
        problems.append(Problem(severity="info", message=f"{bundle.model.source}: {located.note}", key="model.source"))
    return located


def _data(
    bundle: Bundle,
    folder: Path,
    located: Located | None,
    problems: list[Problem],
    progress: Callable[[str, int, int], None] | None,
) -> Prepared | None:
    """The data as the run would read it, with the model's tokenizer or the default model's."""
    from tuiwiz.catalog import embedded
    from tuiwiz.data.phase_rows import phase_rows
    from tuiwiz.data.prepare import prepare

    tokenizer = located.folder if located is not None else None
    if tokenizer is None or not (tokenizer / "tokenizer.json").is_file():
        if not embedded.is_ready():
            message = "the data was not read: no tokenizer is on this machine"
            hint = f"`tuiwiz models get {embedded.NAME}` brings one"
            problems.append(Problem(severity="warning", message=message, key="data.train", hint=hint))
            return None
        tokenizer = embedded.folder()
        message = "rows are counted with the default model's tokenizer: the model's own is not here"
        problems.append(Problem(severity="warning", message=message, key="data.max_length"))
    try:
        prepared = prepare(bundle, folder, tokenizer, tokenizer_name=bundle.model.source, progress=progress)
        problems += prepared.problems
        problems += phase_rows(bundle, folder, tokenizer, prepared.validation, tokenizer_name=bundle.model.source)[1]
    except TuiwizError as error:
        problems += error.problems
        if not any(problem.severity == "error" for problem in error.problems):
            # Its problems are notes about rows: what they come to is the error itself.
            problems.append(Problem(message=error.message, key="data.train", hint=error.hint))
        return None
    return prepared


def _architecture(bundle: Bundle, located: Located | None) -> list[Problem]:
    """What the architecture, as far as the model's config tells, cannot do."""
    folder = located.folder if located is not None else None
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder is not None else {}
    except (OSError, ValueError):
        return []
    kind = config.get("model_type") if isinstance(config, dict) else None
    problems = []
    # A config that leaves them out may still have them by its architecture's defaults: only a known lack is told.
    if bundle.regularization.residual_dropout and kind in WITHOUT_RESIDUAL_DROPOUT:
        message = f"{kind} has no residual dropout: the setting would change nothing"
        hint = "remove it; weight decay, adapter.dropout (with adapters) and NEFTune work on every model"
        problems.append(Problem(message=message, key="regularization.residual_dropout", hint=hint))
    if kind in ENCODERS and not config.get("is_decoder") and bundle.task.kind not in HEAD_TASKS:
        message = f"{kind} reads a text from both sides: it cannot learn {bundle.task.kind}"
        hint = 'choose a model that writes, or set task.kind = "classify"'
        problems.append(Problem(message=message, key="model.source", hint=hint))
    return problems


def _moment(bundle: Bundle) -> list[Problem]:
    """A time to stop by that is over."""
    text, now = bundle.schedule.stop_by, datetime.now()
    if text is None or not is_time(text) or deadline(text, now) > now:
        return []
    message = f"schedule.stop_by = {text} is over: the run would end after its first step"
    return [Problem(message=message, key="schedule.stop_by", hint='a time to come, or a clock time such as "08:00"')]


def _length(bundle: Bundle, rows: int) -> list[Problem]:
    total = run_steps(bundle, rows)
    problems = _patience(bundle, total)
    if bundle.phases:
        return problems + [problem for span in spans(bundle, total) for problem in _warmup_of(span)]
    warmup = warmup_steps(bundle.schedule.warmup, total)
    if warmup >= total:
        return [
            *problems,
            Problem(
                message=f"a warm-up of {warmup} steps never ends in a run of {total}",
                key="schedule.warmup",
                hint="use a share of the run, such as 0.03",
            ),
        ]
    problems += _shape(bundle, warmup, total)
    if 2 * warmup >= total and warmup:
        message = f"the warm-up takes {warmup} of {total} steps"
        return [*problems, Problem(severity="warning", message=message, key="schedule.warmup", hint="0.03 is usual")]
    return problems


def _shape(bundle: Bundle, warmup: int, total: int) -> list[Problem]:
    """A course of the rate that has no room in the run."""
    schedule = bundle.schedule
    if schedule.kind == "warmup_stable_decay":
        decay = round(schedule.decay * total) if schedule.decay < 1 else round(schedule.decay)
        if warmup + decay > total:
            message = f"a warm-up of {warmup} and a decay of {decay} steps do not fit into {total}: nothing is stable"
            return [Problem(severity="warning", message=message, key="schedule.decay", hint="0.2 is usual")]
    if schedule.kind == "cosine_restarts" and schedule.cycles > max(1, total - warmup):
        message = f"{schedule.cycles} cycles in {total - warmup} steps: each is shorter than a step"
        return [Problem(severity="warning", message=message, key="schedule.cycles", hint="fewer cycles")]
    return []


def _warmup_of(span: Span) -> list[Problem]:
    """A phase that is too short for what it is to do."""
    if span.steps < 1:
        return [
            Problem(message=f'phase "{span.name}" has no step', key="phases", hint="a larger share, or a longer run")
        ]
    warmup = warmup_steps(span.schedule.warmup, span.steps)
    if warmup < span.steps:
        return []
    message = f'phase "{span.name}": a warm-up of {warmup} steps never ends in its {span.steps}'
    return [Problem(message=message, key="phases", hint="give the phase a warmup such as 0.03")]


def _patience(bundle: Bundle, total: int) -> list[Problem]:
    """Fewer evaluations than the patience waits for: the run could never stop early."""
    patience = bundle.evaluation.patience
    count = total // cadence(bundle.evaluation.every, total)
    if patience is None or count > patience:
        return []
    message = f"{count} evaluations in {total} steps cannot use up a patience of {patience}"
    hint = "evaluate more often or lower evaluation.patience"
    return [Problem(severity="warning", message=message, key="evaluation.patience", hint=hint)]


def _fit(bundle: Bundle, shape: ModelShape, device: Device, prepared: Prepared, problems: list[Problem]) -> Plan:
    lengths = prepared.profile.lengths
    measured = {"p50": lengths.p50, "p95": lengths.p95, "max": lengths.max}
    found = plan(bundle, shape, device, measured, len(prepared.train))
    if found.verdict != "fits":
        need, have = human_bytes(found.total_bytes), human_bytes(found.usable_bytes)
        problems.append(
            Problem(
                severity="error" if found.verdict == "no" else "warning",
                message=f"about {need} needed, {have} usable on {device.name}: {found.verdict}",
                key="batch.micro",
                hint=found.next_step or "`tuiwiz plan` shows what fits",
            )
        )
    if 0 < shape.context < lengths.max:
        message = f"rows of up to {lengths.max:,} tokens, and the model was made for {shape.context:,}"
        hint = "a lower data.max_length; what goes beyond is hardly learnt, and slowly"
        problems.append(Problem(severity="warning", message=message, key="data.max_length", hint=hint))
    there = next((folder for folder in (places.runs(), *places.runs().parents) if folder.is_dir()), None)
    free = shutil.disk_usage(there).free if there is not None else None
    if free is not None and found.disk_bytes > free:
        message = f"about {human_bytes(found.disk_bytes)} of disk needed for checkpoints, {human_bytes(free)} free"
        problems.append(Problem(message=message, key="checkpoint.keep", hint="lower checkpoint.keep"))
    return found


def _machine(bundle: Bundle, device: Device) -> list[Problem]:
    problems = []
    for library, key, hint in libraries(bundle):
        if importlib.util.find_spec(library) is None:
            package = library.replace("_", "-")
            problems.append(Problem(message=f"{package} is not installed", key=key, hint=hint))
    on_cpu = device.kind == "cpu"
    if device.kind != "cuda":
        problems += without_cuda(bundle)
    if on_cpu and bundle.model.dtype == "fp16":
        hint = 'set model.dtype = "bf16" or "fp32"'
        problems.append(Problem(message="fp16 does not train on a CPU", key="model.dtype", hint=hint))
    if on_cpu and bundle.adapter.method == "qlora" and bundle.quantization.compute_dtype == "fp16":
        hint = 'set quantization.compute_dtype = "auto"'
        message = "4-bit weights cannot be unpacked to fp16 on a CPU"
        problems.append(Problem(message=message, key="quantization.compute_dtype", hint=hint))
    if on_cpu and bundle.model.attention == "flash":
        hint = 'set model.attention = "sdpa"'
        problems.append(Problem(message="flash attention needs a CUDA device", key="model.attention", hint=hint))
    if on_cpu and bundle.optimizer.name.startswith("paged"):
        message = f"{bundle.optimizer.name}: paging means nothing on a CPU, the states stay in memory"
        problems.append(
            Problem(
                severity="warning", message=message, key="optimizer.name", hint='optimizer.name = "adamw" is faster'
            )
        )
    if on_cpu and isinstance(bundle.launch.devices, tuple):
        message = "launch.devices names a card, but no CUDA device is usable here"
        problems.append(Problem(message=message, key="launch.devices", hint='use "auto"'))
    return problems
