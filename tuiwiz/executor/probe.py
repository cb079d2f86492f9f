"""Job `probe`: what the libraries can really do on this machine, each tried by a small forward and backward pass."""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "datasets", "safetensors")
HEADS, LENGTH, WIDTH = 4, 128, 64


def run(folder: Path) -> dict[str, Any]:
    """`libraries`: name -> version or what went wrong; `trials`: name -> {ok, seconds, said}; `device`, `cuda`."""
    libraries = {name: _library(name) for name in LIBRARIES}
    import torch

    where = "cuda" if torch.cuda.is_available() else "cpu"
    trials = {name: _tried(trial, where) for name, trial in TRIALS.items()}
    name = torch.cuda.get_device_name() if where == "cuda" else "CPU"
    return {"device": name, "cuda": torch.version.cuda or "", "libraries": libraries, "trials": trials}


def _library(name: str) -> dict[str, Any]:
    try:
        importlib.import_module(name)
        return {"ok": True, "said": importlib.metadata.version(name)}
    except Exception as error:  # a broken library may raise anything while it is imported
        return {"ok": False, "said": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


def _tried(trial: Callable[[str], None], where: str) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        trial(where)
    except Exception as error:  # whatever a kernel raises is the answer
        return {"ok": False, "said": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"ok": True, "said": f"{time.perf_counter() - started:.2f} s"}


def _attention(backend: str) -> Callable[[str], None]:
    def trial(where: str) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.nn.functional import scaled_dot_product_attention

        kind = torch.bfloat16 if where == "cuda" else torch.float32
        parts = [torch.randn(1, HEADS, LENGTH, WIDTH, device=where, dtype=kind, requires_grad=True) for _ in range(3)]
        chosen = sdpa_kernel(getattr(SDPBackend, backend)) if backend else nullcontext()
        with chosen:
            _back(scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True))
        _finite(parts)

    return trial


def _eager(where: str) -> None:
    import torch

    parts = [torch.randn(1, HEADS, LENGTH, WIDTH, device=where, requires_grad=True) for _ in range(3)]
    scores = parts[0] @ parts[1].transpose(-1, -2) / WIDTH**0.5
    _back(scores.softmax(-1) @ parts[2])
    _finite(parts)


def _four_bits(where: str) -> None:
    import bitsandbytes as bnb
    import torch

    layer = bnb.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32).to(where)
    given = torch.randn(4, 64, device=where, requires_grad=True)
    _back(layer(given))
    _finite([given])


def _half(name: str) -> Callable[[str], None]:
    def trial(where: str) -> None:
        import torch

        given = torch.randn(64, 64, device=where, dtype=getattr(torch, name), requires_grad=True)
        _back(given @ given)
        _finite([given])

    return trial


def _back(result: Any) -> None:
    result.sum().backward()


def _finite(tensors: list[Any]) -> None:
    """Fail where a gradient is missing or is no number."""
    for tensor in tensors:
        if tensor.grad is None or not bool(tensor.grad.isfinite().all()):
            raise ArithmeticError("the gradient is missing or not finite")


TRIALS: dict[str, Callable[[str], None]] = {
    "attention sdpa": _attention(""),
    "attention flash": _attention("FLASH_ATTENTION"),
    "attention efficient": _attention("EFFICIENT_ATTENTION"),
    "attention math": _attention("MATH"),
    "attention eager": _eager,
    "bf16 products": _half("bfloat16"),
    "fp16 products": _half("float16"),
    "4-bit layers": _four_bits,
}
"""What is tried, in the order of the report."""
