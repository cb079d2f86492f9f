"""Predicted against published peak memory, row by row.

    python tests/bench/memory_table.py TABLE.csv [--simulate] [--json]

The closed form, or with `--simulate` the simulation, against tables with the columns of `memory-measured.csv`. Each row
is compared with what it measured: `allocated` (tensors), `reserved` (the allocator's segments) or `nvidia-smi` (these
and the driver's context). A row that cannot be modelled says why.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.published import (
    CUBLAS_BYTES,
    NotModelled,
    Published,
    Row,
    measured_of,
    published,
    ran_out,
    target_of,
)
from tuiwiz.base.units import GIB
from tuiwiz.catalog.gpus import Device, find_device
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.overhead import cuda_context_bytes
from tuiwiz.memory.reserved import reserved_bytes, reserved_high
from tuiwiz.memory.verdict import verdict

ROUGH = "segments of a full fine-tuning: the closed form is within 14 % of replays, --simulate replays them"
TARGETS = ("allocated", "reserved", "nvidia-smi")


def closed_form(one: Published) -> tuple[float, float]:
    """Allocated and reserved GiB."""
    found = estimate(one.shape, one.setting, one.device or find_device("80"), one.stack)
    allocated = found.allocated_bytes + CUBLAS_BYTES
    return allocated / GIB, (reserved_bytes(one.shape, one.setting, one.stack)) / GIB


def simulated(one: Published, cache: dict[Any, tuple[float, float]]) -> tuple[float, float]:
    """As above; settings that were simulated before are remembered."""
    from tuiwiz.executor.simulation.configs import config_of
    from tuiwiz.executor.simulation.simulate import simulate

    key = (one.shape, one.setting, one.stack)
    if key not in cache:
        try:
            found = simulate(config_of(one.shape), one.setting, one.stack)
        # Classes of any architecture run here on tensors without content, which some of them do not bear.
        except Exception as error:
            raise NotModelled(f"cannot be simulated: {(str(error) or type(error).__name__).splitlines()[0]}") from error
        cache[key] = (found.allocated_bytes + CUBLAS_BYTES) / GIB, (found.reserved_bytes + CUBLAS_BYTES) / GIB
    return cache[key]


def answer(row: Row, *, simulate: bool, cache: dict[Any, tuple[float, float]]) -> dict[str, Any]:
    """One row of the output."""
    line: dict[str, Any] = {
        "id": row.get("id", ""),
        "target": target_of(row),
        "predicted_gib": None,
        "measured_gib": measured_of(row),
        "error": None,
        "verdict": None,
        "modelled": False,
        "why": "",
    }
    try:
        one = published(row)
        allocated, reserved = simulated(one, cache) if simulate else closed_form(one)
    except NotModelled as error:
        return {**line, "why": str(error)}
    context = one.context_gib if one.context_gib is not None else cuda_context_bytes(one.device) / GIB
    total = reserved + context
    predicted = {"allocated": allocated, "reserved": reserved, "nvidia-smi": total}[one.target]
    measured = one.measured_gib
    return {
        **line,
        "predicted_gib": round(predicted, 3),
        "error": round(predicted / measured - 1, 4) if measured else None,
        "verdict": _verdict(total, 0.0 if simulate else _high(one) + context, one.device),
        "modelled": True,
        "why": ROUGH if one.setting.method == "full" and one.target != "allocated" and not simulate else "",
    }


def _high(one: Published) -> float:
    return reserved_high(one.shape, one.setting, one.stack) / GIB


def _verdict(total_gib: float, high_gib: float, device: Device | None) -> str | None:
    """In three zones; what fits as likely, and not where segments are filled badly, is tight."""
    if device is None:
        return None
    found = verdict(round(total_gib * GIB), device.usable_bytes)
    return "tight" if found == "fits" and high_gib * GIB > device.usable_bytes else found


def summary(lines: list[dict[str, Any]], rows: list[Row]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for target in TARGETS:
        errors = [line["error"] for line in lines if line["target"] == target and line["error"] is not None]
        sizes = sorted(abs(error) for error in errors)
        found[target] = {
            "rows": sum(line["target"] == target for line in lines),
            "modelled": sum(line["target"] == target and line["modelled"] for line in lines),
            "median": round(statistics.median(sizes), 4) if sizes else None,
            "p90": round(sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))], 4) if sizes else None,
            "worst_under": round(min(0.0, min(errors)), 4) if errors else None,
            "worst_over": round(max(0.0, max(errors)), 4) if errors else None,
        }
    pairs = zip(lines, rows, strict=True)
    found["false_fits"] = sum(line["verdict"] == "fits" and ran_out(row) for line, row in pairs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with given.table.open(encoding="utf-8-sig", newline="") as file:
        rows: list[Row] = [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]
    cache: dict[Any, tuple[float, float]] = {}
    lines = [answer(row, simulate=given.simulate, cache=cache) for row in rows]
    result = {"rows": lines, "summary": summary(lines, rows)}
    if given.json:
        print(json.dumps(result))
        return
    for line in lines:
        head = f"{line['id']:<28}{line['target']:<11}"
        if not line["modelled"]:
            print(f"{head}not modelled: {line['why']}")
            continue
        measured = f"{line['measured_gib']:>9.3f}" if line["measured_gib"] else f"{'OOM':>9}"
        error = f"{line['error']:>+8.1%}" if line["error"] is not None else f"{'':>8}"
        print(f"{head}{line['predicted_gib']:>9.3f}{measured}{error}  {line['verdict'] or ''}")
    print(json.dumps(result["summary"], indent=1))


if __name__ == "__main__":
    main()
