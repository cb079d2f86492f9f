"""Job `convert`: a GGUF file into a folder of safetensors that plain `from_pretrained(folder)` loads offline."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import InvalidError, MachineLacksError
from tuiwiz.base.files import fsync_folder
from tuiwiz.events.job import read_job


def run(folder: Path) -> dict[str, Any]:
    """Arguments: `gguf` (file), `out` (folder to make). Result: `folder`, `parameters`."""
    job = read_job(folder)
    return convert(Path(job["gguf"]), Path(job["out"]))


def convert(gguf: Path, out: Path) -> dict[str, Any]:
    """Dequantise `gguf` to bf16 and write model, tokenizer and chat template to `out`, all of it or nothing.

    Raises:
        InvalidError: the file is no GGUF that transformers reads.
        MachineLacksError: the disk is full.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        try:
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise InvalidError(f"{gguf} cannot be converted: {error}") from error
        # What was read from a GGUF is marked as quantised and cannot be saved: a fresh model takes over.
        fresh = _plain_copy(model, torch.bfloat16)
        temporary.mkdir(parents=True)
        fresh.save_pretrained(temporary, safe_serialization=True)
        tokenizer.save_pretrained(temporary)
        _split_digits(gguf, temporary / "tokenizer.json")
        for path in temporary.rglob("*"):
            if path.is_file():
                # safetensors writes files that only their owner may read.
                path.chmod(0o644)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        if out.exists():
            shutil.rmtree(out)
        os.rename(temporary, out)
        fsync_folder(out.parent)
    except OSError as error:
        raise MachineLacksError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {"folder": str(out), "parameters": sum(parameter.numel() for parameter in fresh.parameters())}


def _split_digits(gguf: Path, tokenizer: Path) -> None:
    """Put back the digit splitting of SmolLM's pre-tokenizer, which is lost when transformers reads it from a GGUF."""
    from gguf import GGUFReader

    field = GGUFReader(gguf).fields.get("tokenizer.ggml.pre")
    if field is None or bytes(field.parts[field.data[0]]) != b"smollm":
        return
    content = json.loads(tokenizer.read_text(encoding="utf-8"))
    steps = [{"type": "Digits", "individual_digits": True}, content["pre_tokenizer"]]
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    tokenizer.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _plain_copy(model: Any, dtype: Any) -> Any:
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = dtype
    fresh = type(model)(config).to(dtype)
    fresh.load_state_dict(model.state_dict())
    fresh.tie_weights()
    fresh.generation_config = model.generation_config
    return fresh
