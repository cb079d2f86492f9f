"""What is known about the model, the device and the data: what `compose` needs but cannot work out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tuiwiz.base.errors import TuiwizError, UsageError
from tuiwiz.base.places import expanded
from tuiwiz.base.problems import Problem
from tuiwiz.data.sets import Share
from tuiwiz.presets.bands import parse_size
from tuiwiz.spec.bundle import Lock
from tuiwiz.spec.keys import default_of

if TYPE_CHECKING:
    from tuiwiz.bundle.drift import Drift
    from tuiwiz.catalog.gpus import Device
    from tuiwiz.catalog.shapes import ModelShape
    from tuiwiz.data.check import Report
    from tuiwiz.spec.bundle import Bundle
    from tuiwiz.wizard.answers import Answers

NO_LIMIT = 1 << 20
"""Tokens of a row while a set is measured: lengths are wanted as they are, before anything is dropped."""
TRAIN_ON = {"chat": "assistant", "instruct": "completion", "pretrain": "all"}


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A measured training set. Counts are of the usable rows before the split; lengths are tokens a row.

    Of several sets the counts are those of a pass over the mix, and `sets` says what it takes of each. `exact` is False
    while only a sample was measured and the counts are scaled up from it; `tokenizer` names whose tokens they are.
    Token counts and lengths are 0 where no tokenizer was at hand.
    """

    rows: int
    tokens: int
    supervised_tokens: int
    p50: int
    p95: int
    longest: int
    format: str = "auto"
    mapping: dict[str, str] = {}
    validation_rows: int | None = None
    tokenizer: str = ""
    exact: bool = True
    sets: tuple[Share, ...] = ()

    @property
    def split_rows(self) -> int:
        """Rows that validation is held out of: of sets with weights those of the first."""
        return self.sets[0].rows if self.sets and self.sets[0].weight is not None else self.rows


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A model as far as it can be known here.

    `folder` holds tokenizer and perhaps weights, None where nothing is on this machine. `chosen` is False when `shape`
    only stands for a size.
    """

    shape: ModelShape | None = None
    folder: Path | None = None
    chosen: bool = True
    note: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`None` is "not known yet": `compose` decides what it can without it and says what waits.

    `model_chosen` is False when `shape` only stands for a size (`8B`), which is enough to plan but not to run.
    """

    shape: ModelShape | None = None
    model_chosen: bool = True
    device: Device | None = None
    data: DataFacts | None = None
    lock: Lock | None = None
    problems: tuple[Problem, ...] = ()


def relative_to(answers: Answers, folder: Path) -> Answers:
    """Answers as typed in the current folder, with paths as a bundle in `folder` writes them."""
    mix = [msgspec.structs.replace(one, path=relative_path(one.path, folder)) for one in answers.mix]
    changed = {"model": answers.model}
    model = expanded(answers.model)
    if answers.model and model.exists():
        changed["model"] = str(model) if model.is_absolute() else relative_path(answers.model, folder)
    validation = relative_path(answers.validation, folder) if answers.validation else answers.validation
    return msgspec.structs.replace(answers.with_mix(mix), **changed, validation=validation)


def gather(
    answers: Answers,
    folder: Path,
    *,
    progress: Callable[[str], None] | None = None,
    rows: Callable[[str, int, int], None] | None = None,
) -> Facts:
    """Look at everything that the answers name. `folder` is where their relative paths start.

    Bad data becomes problems, so that a screen can go on; a device or model that cannot be is refused. `progress` is
    told what begins, `rows` how many have been read, as `data.load.Progress`.

    Raises:
        UsageError: no such device or model.
    """
    tell = progress or (lambda text: None)
    device = device_facts(answers.gpu)
    model = model_facts(answers.model, answers.revision, folder) if answers.model else ModelFacts()
    data: DataFacts | None = None
    problems: tuple[Problem, ...] = ()
    if answers.data:
        tell(f"reading {', '.join(one.path for one in answers.mix)}")
        data, problems = data_facts(answers, folder, model.folder, rows)
    return Facts(
        shape=model.shape,
        model_chosen=model.chosen,
        device=device,
        data=data,
        lock=lock_of(answers, folder, model, device, data, tell) if data is not None else None,
        problems=problems,
    )


def device_facts(gpu: str | None) -> Device:
    """The card that was named, by name or GiB; this machine's device if none was.

    Raises:
        UsageError: no such card.
    """
    from tuiwiz.catalog.gpus import find_device
    from tuiwiz.catalog.machine import this_device

    return find_device(gpu) if gpu else this_device()


def model_facts(source: str, revision: str | None, folder: Path) -> ModelFacts:
    """Shape and place of a model; a size such as `8B` gives the shape of a usual model of that size.

    Raises:
        UsageError: nothing is known by that name, or no model has that size.
    """
    from tuiwiz.catalog.models import of_size
    from tuiwiz.catalog.sources import locate

    size = parse_size(source)
    if size is not None and not (folder / source).exists():
        near = of_size(size)
        if not near:
            raise UsageError(f"no known model has about {source} parameters", hint="`tuiwiz models list` shows them")
        return ModelFacts(shape=near[0].shape, chosen=False, note=f"planned with the shape of {near[0].name}")
    located = locate(source, revision, folder)
    trainable = located.has_weights or located.kind not in ("folder", "gguf")
    return ModelFacts(shape=located.shape, folder=located.folder, chosen=trainable, note=located.note)


def data_facts(
    answers: Answers, folder: Path, tokenizer: Path | None, progress: Callable[[str, int, int], None] | None = None
) -> tuple[DataFacts | None, tuple[Problem, ...]]:
    """Measure the training set, with the model's tokenizer where it is here, else with the default model's.

    Returns None and the reasons where the data cannot be used.
    """
    from tuiwiz.data.check import check
    from tuiwiz.data.load import Settings
    from tuiwiz.data.prepare import trained_part
    from tuiwiz.data.render import Renderer

    values = answers.sets
    settings = Settings(
        task=answers.task,
        format=str(values.get("data.format") or "auto"),
        mapping=values.get("data.mapping") or {},
        system=values.get("data.system"),
        train_on=trained_part(
            answers.task, str(values.get("data.train_on") or TRAIN_ON.get(answers.task, "assistant"))
        ),
        max_length=NO_LIMIT,
        labels=values.get("task.labels"),
    )
    chosen, name, notes = _tokenizer(tokenizer)
    template = str(values.get("data.template") or default_of("data.template"))
    template_file = folder / template
    try:
        renderer = Renderer(chosen, template=str(template_file) if template_file.is_file() else template)
    except TuiwizError as error:
        return None, error.problems
    mix = [msgspec.structs.replace(one, path=str(_at(folder, one.path))) for one in answers.mix]
    report = check(Path(mix[0].path), settings, renderer, tokenizer=name, sets=mix, progress=progress)
    problems = [*notes, *(problem for problem in report.problems if problem.severity != "info")]
    rows = None
    if answers.validation:
        other = check(_at(folder, answers.validation), settings, renderer, tokenizer=name, progress=progress)
        problems += [problem for problem in other.problems if problem.severity != "info"]
        rows = other.usable_rows
    return (facts_of(report, rows) if report.ok else None), tuple(problems)


def facts_of(report: Report, validation_rows: int | None = None) -> DataFacts:
    """The facts in a report of `data check`, whether made here or read from its JSON."""
    lengths = report.lengths
    return DataFacts(
        rows=sum(one.rows for one in report.sets) if report.sets else report.usable_rows,
        sets=tuple(report.sets),
        tokens=report.tokens or 0,
        supervised_tokens=report.supervised_tokens or 0,
        p50=lengths.p50 if lengths is not None else 0,
        p95=lengths.p95 if lengths is not None else 0,
        longest=lengths.max if lengths is not None else 0,
        format=report.format,
        mapping=report.mapping,
        validation_rows=validation_rows,
        tokenizer=report.tokenizer,
    )


def _tokenizer(folder: Path | None) -> tuple[Path | None, str, list[Problem]]:
    """The folder whose tokenizer counts, its name, and a note when it is not the chosen model's own."""
    if folder is not None and (folder / "tokenizer.json").is_file():
        return folder, folder.name, []
    from tuiwiz.catalog import embedded

    if embedded.is_ready():
        message = "lengths are counted with the default model's tokenizer: the chosen model's is not on this machine"
        return embedded.folder(), embedded.NAME, [Problem(severity="warning", message=message, key="data.max_length")]
    message = "lengths are not counted: no tokenizer is on this machine"
    hint = "`tuiwiz models get NAME` brings a model with its tokenizer"
    return None, "", [Problem(severity="warning", message=message, key="data.max_length", hint=hint)]


def lock_of(
    answers: Answers, folder: Path, model: ModelFacts, device: Device, data: DataFacts, tell: Callable[[str], None]
) -> Lock:
    """What a bundle in `folder` is made with: hashes of its files, versions, rows; reads every byte of them."""
    from tuiwiz.bundle.lock import commit_of, make_lock
    from tuiwiz.catalog.machine import hardware

    template = folder / str(answers.sets.get("data.template") or default_of("data.template"))
    names = (*(one.path for one in answers.mix), answers.validation)
    files = {name: _at(folder, name) for name in names if name}
    counts = [one.usable_rows for one in data.sets] or [data.rows]
    rows = {one.path: count for one, count in zip(answers.mix, counts, strict=False)}
    if answers.validation and data.validation_rows is not None:
        rows[answers.validation] = data.validation_rows
    return make_lock(
        data={name: path for name, path in files.items() if path.exists()},
        rows=rows,
        model_folder=model.folder,
        revision=commit_of(model.folder) or answers.revision or "",
        hardware={**(hardware() if device.here else {}), "device": device.name},
        template=template if template.is_file() else None,
        progress=lambda name: tell(f"hashing {name}"),
    )


def present_lock(bundle: Bundle, folder: Path, *, progress: Callable[[str], None] | None = None) -> tuple[Lock, bool]:
    """The lock that a bundle, whose paths start at `folder`, would get here and now, and whether its model is here."""
    from tuiwiz.bundle.lock import lock_now
    from tuiwiz.catalog.machine import hardware
    from tuiwiz.catalog.sources import locate

    try:
        model = locate(bundle.model.source, bundle.model.revision, folder).folder
    except TuiwizError:
        # Told by whoever needs the model; the data can be compared all the same.
        model = None
    return lock_now(bundle, folder, model, hardware=hardware(), progress=progress), model is not None


def drift_of(bundle: Bundle, folder: Path, *, progress: Callable[[str], None] | None = None) -> list[Drift]:
    """What has changed since a bundle was locked; nothing where it was not. `progress` is told each file's name."""
    from tuiwiz.bundle.drift import drift

    if bundle.lock is None:
        return []
    now, here = present_lock(bundle, folder, progress=progress)
    return drift(bundle.lock, now, model_is_here=here)


def _at(folder: Path, name: str) -> Path:
    """`folder / name` without its `..`: the folder of a new bundle need not exist yet."""
    return Path(os.path.normpath(folder / name))


def relative_path(path: str, folder: Path) -> str:
    """`path` as seen from `folder`; absolute where it cannot be."""
    if not path:
        return path
    try:
        return Path(os.path.relpath(expanded(path).absolute(), folder)).as_posix()
    except ValueError:
        # Another drive: there is no relative path.
        return str(Path(path).absolute())
