"""Names inside a run folder. A run folder that is copied to another machine still opens: nothing here is absolute."""

from __future__ import annotations

from pathlib import Path

BUNDLE = "bundle.toml"
RESOLVED = "resolved.toml"
ENVIRONMENT = "environment.json"
EVENTS = "events.jsonl"
LOG = "run.log"
PID = "pid.json"
EXIT = "exit.json"
CONTROL = "control"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
MODEL = "model"
SAMPLES = "samples"
JOB = "job.toml"
RESULT = "result.json"


class RunFolder:
    """Paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bundle = path / BUNDLE
        self.resolved = path / RESOLVED
        self.environment = path / ENVIRONMENT
        self.events = path / EVENTS
        self.log = path / LOG
        self.pid = path / PID
        self.exit = path / EXIT
        self.control = path / CONTROL
        self.checkpoints = path / CHECKPOINTS
        self.adapter = path / ADAPTER
        self.model = path / MODEL
        self.samples = path / SAMPLES
        self.job = path / JOB
        self.result = path / RESULT

    def checkpoint(self, step: int) -> Path:
        """Checkpoint folders are numbered by the optimizer steps done."""
        return self.checkpoints / f"step-{step}"
