"""Settings that must be made before torch and transformers are imported, and known noise kept out of the log."""

from __future__ import annotations

import logging
import os
import warnings

from tuiwiz.base.waiting import waiting


def prepare_environment(*, offline: bool) -> None:
    """`offline`: nothing of this job lies on a hub, so that a wrong path fails at once and not after a minute."""
    os.environ.update(waiting(os.environ))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("BITSANDBYTES_NOWELCOME", "1")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    logging.getLogger("bitsandbytes").addFilter(lambda record: "gemm_4bit" not in record.getMessage())
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "gemm_4bit" not in record.getMessage())
