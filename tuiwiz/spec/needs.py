"""What a bundle needs of a machine: libraries, and settings that mean something on CUDA alone. Pure; `check` and the
executor ask the same questions."""

from __future__ import annotations

from collections.abc import Iterator

from tuiwiz.base.problems import Problem
from tuiwiz.spec.bundle import Bundle

OPTIMIZER_LIBRARIES = {
    "adamw_8bit": "bitsandbytes",
    "paged_adamw_8bit": "bitsandbytes",
    "paged_adamw_32bit": "bitsandbytes",
    "lamb": "pytorch_optimizer",
    "lion": "pytorch_optimizer",
    "schedule_free_adamw": "schedulefree",
}
"""Optimizer -> module that has it; torch and transformers have the others."""
METHOD_LIBRARIES = {"qlora": ("peft", "bitsandbytes"), "lora": ("peft",)}
TRACKERS = ("wandb", "trackio", "mlflow")


def libraries(bundle: Bundle) -> Iterator[tuple[str, str, str]]:
    """(module, key that asks for it, what to do without) of each library beyond torch and transformers."""
    for module in METHOD_LIBRARIES.get(bundle.adapter.method, ()):
        yield module, "adapter.method", f"pip install {module}"
    if module := OPTIMIZER_LIBRARIES.get(bundle.optimizer.name, ""):
        package = module.replace("_", "-")
        yield module, "optimizer.name", f'pip install {package}, or set optimizer.name = "adamw"'
    for name in TRACKERS:
        if getattr(bundle.tracking, name):
            yield name, f"tracking.{name}", f'pip install "tuiwiz[{name}]", or remove tracking.{name}'
    if bundle.memory.liger:
        yield "liger_kernel", "memory.liger", "pip install liger-kernel, or remove memory.liger"


def without_cuda(bundle: Bundle) -> Iterator[Problem]:
    """Settings that a machine without a CUDA device cannot carry out."""
    memory = bundle.memory
    for asked, key, what in (
        (memory.offload == "activations", "memory.offload", "activations already lie in host memory"),
        (memory.liger, "memory.liger", "Liger's kernels are written for CUDA"),
        (memory.compile, "memory.compile", "compiling pays on CUDA alone"),
        (memory.tf32, "memory.tf32", "only CUDA devices have TF32"),
    ):
        if asked:
            yield Problem(message=f"{key} needs a CUDA device: {what}", key=key, hint=f"remove {key}")
