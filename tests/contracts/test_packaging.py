"""The built wheel carries everything that a stranger needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import tuiwiz

PROJECT = Path(tuiwiz.__file__).parent.parent


def test_the_wheel_holds_presets_styles_demo_data_and_types(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(PROJECT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "tuiwiz/py.typed" in names
    assert not any(name.startswith("tests/") for name in names)
    for source in (PROJECT / "presets").glob("*.toml"):
        assert f"tuiwiz/presets/gallery/{source.name}" in names
    for pattern in ("*.tcss", "*.jsonl"):
        sources = [path for path in (PROJECT / "tuiwiz").rglob(pattern) if "gallery" not in path.parts]
        assert sources
        for path in sources:
            assert path.relative_to(PROJECT).as_posix() in names
