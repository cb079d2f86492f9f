"""The lock of a bundle: what exactly it was made with, or what it would be made with here and now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from tuiwiz import __version__
from tuiwiz.base.hashes import cached_sha256
from tuiwiz.spec.bundle import Bundle, Lock

LIBRARIES = (
    *("torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers", "safetensors"),
    *("pytorch-optimizer", "schedulefree"),
)
"""Packages whose version can change what a run computes."""
MOST_NAMED = 200
"""Files of one data folder that are locked by name: a bundle must stay a page that people read."""
WEIGHTS = ("*.safetensors", "*.gguf", "pytorch_model*.bin")
SMALL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def make_lock(
    *,
    data: Mapping[str, Path],
    rows: Mapping[str, int],
    model_folder: Path | None,
    revision: str = "",
    hardware: Mapping[str, str] | None = None,
    template: Path | None = None,
    adapter: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Lock:
    """Hashes of data and model files and the versions of the libraries.

    Args:
        data: path as written in the bundle -> file, or folder, of which every file is hashed; what cannot be read is
            left out.
        rows: path as written in the bundle -> usable rows.
        model_folder: the local model, or a single weights file; None while the model is not here.
        hardware: as `catalog.machine.hardware`.
        template: the Jinja file that takes the place of the model's chat template.
        adapter: the folder of the adapter that training starts from.
        progress: called with the name of each file before it is read.
    """
    files = _model_files(model_folder) if model_folder is not None else []
    model = {path.name: digest for path in files if (digest := _digest(path, progress))}
    if adapter is not None:
        for path in sorted([*adapter.glob("adapter_*"), *adapter.glob("weights.safetensors")]):
            model[f"adapter/{path.name}"] = _digest(path, progress)
    return Lock(
        tuiwiz=__version__,
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        model=model,
        revision=revision,
        tokenizer=model.get("tokenizer.json", ""),
        template=_digest(template, None) if template is not None else _template(model_folder),
        data={inner: digest for name, path in data.items() for inner, digest in _hashed(name, path, progress)},
        rows=dict(rows),
        hardware=dict(hardware or {}),
    )


def lock_now(
    bundle: Bundle,
    base: Path,
    model_folder: Path | None,
    *,
    hardware: Mapping[str, str] | None = None,
    rows: Mapping[str, int] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Lock:
    """The lock that `bundle`, whose relative paths start at `base`, would get here and now; reads every file of it."""
    template = base / bundle.data.template
    source = bundle.adapter.from_
    return make_lock(
        data={name: base / name for name in data_names(bundle)},
        rows=rows or (bundle.lock.rows if bundle.lock is not None else {}),
        model_folder=model_folder,
        revision=commit_of(model_folder) or bundle.model.revision or "",
        hardware=hardware,
        template=template if template.is_file() else None,
        adapter=base / source if source is not None else None,
        progress=progress,
    )


def data_names(bundle: Bundle) -> list[str]:
    """Every data set that a bundle names, as it stands there, each once."""
    train = bundle.data.train
    names = [train] if isinstance(train, str) else [part.path for part in train]
    phases = [phase.data for phase in bundle.phases]
    return list(dict.fromkeys(name for name in (*names, bundle.validation.path, *phases) if name))


def absolute(lock: Lock, base: Path) -> Lock:
    """The lock with its data named by absolute paths."""
    data = {str((base / name).resolve()): digest for name, digest in lock.data.items()}
    rows = {str((base / name).resolve()): count for name, count in lock.rows.items()}
    return msgspec.structs.replace(lock, data=data, rows=rows)


def commit_of(folder: Path | None) -> str:
    """The commit of a model in the hub's cache, whose snapshots are named by it; empty for other folders."""
    if folder is None or folder.parent.name != "snapshots" or not folder.parent.parent.name.startswith("models--"):
        return ""
    return folder.name


def _hashed(name: str, path: Path, progress: Callable[[str], None] | None) -> list[tuple[str, str]]:
    """The names and hashes that the lock keeps of a data set: of each file, or of all as one where they are many."""
    found = [(inner, digest) for inner, file in _files(name, path) if (digest := _digest(file, progress))]
    if len(found) <= MOST_NAMED:
        return found
    together = "".join(f"{digest} {inner.removeprefix(name)}\n" for inner, digest in found)
    return [(name, hashlib.sha256(together.encode("utf-8", "surrogatepass")).hexdigest())]


def _files(name: str, path: Path) -> list[tuple[str, Path]]:
    """A data set's files by the names that the lock gives them."""
    if not path.is_dir():
        return [(name, path)]
    found = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    return [(f"{name.rstrip('/')}/{file.relative_to(path).as_posix()}", file) for file in found]


def _model_files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    weights = [path for pattern in WEIGHTS for path in sorted(folder.glob(pattern))]
    return [path for name in SMALL_FILES if (path := folder / name).is_file()] + weights


def _digest(path: Path, progress: Callable[[str], None] | None) -> str:
    if progress is not None:
        progress(path.name)
    try:
        return cached_sha256(path)
    except OSError:
        return ""


def _template(folder: Path | None) -> str:
    """SHA-256 of the chat template's text, wherever the tokenizer keeps it; empty where there is none."""
    if folder is None:
        return ""
    text: object
    try:
        text = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except OSError:
        try:
            config = msgspec.json.decode((folder / "tokenizer_config.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return ""
        text = config.get("chat_template") if isinstance(config, dict) else None
    return hashlib.sha256(text.encode("utf-8")).hexdigest() if isinstance(text, str) else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
