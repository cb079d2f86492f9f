"""The lock of a new bundle: what exactly it was made with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from tuiwiz import __version__
from tuiwiz.base.hashes import cached_sha256
from tuiwiz.spec.bundle import Lock

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers", "safetensors")
WEIGHTS = ("*.safetensors", "*.gguf", "pytorch_model*.bin")
SMALL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def make_lock(
    *,
    data: Mapping[str, Path],
    rows: Mapping[str, int],
    model_folder: Path | None,
    revision: str = "",
    hardware: str = "",
    progress: Callable[[str], None] | None = None,
) -> Lock:
    """Hashes of data and model files and the versions of the libraries.

    Args:
        data: path as written in the bundle -> file; what cannot be read is left out.
        rows: path as written in the bundle -> usable rows.
        model_folder: the local model, or a single weights file; None while the model is not here.
        progress: called with the name of each file before it is read.
    """
    files = _model_files(model_folder) if model_folder is not None else []
    model = {path.name: digest for path in files if (digest := _digest(path, progress))}
    return Lock(
        tuiwiz=__version__,
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        model=model,
        revision=revision,
        tokenizer=model.get("tokenizer.json", ""),
        template=_template(model_folder),
        data={name: digest for name, path in data.items() if (digest := _digest(path, progress))},
        rows=dict(rows),
        hardware={"device": hardware} if hardware else {},
    )


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
