"""How OpenMP's threads wait for each other: read by the library when it is loaded, so set before torch is."""

from __future__ import annotations

from collections.abc import Mapping

SPINS = 1000
"""Rounds that a thread of GNU's OpenMP looks for work before it sleeps, some tens of microseconds.

Measured on 2 cores with steps of 200 tokens: asleep at once 1.3 s, 1,500 rounds 0.86 s, 100,000 rounds 0.70 s; two such
runs at once 1.5, 1.9 and 40 s. Short waits gain most of the time and lose little where others want the cores.
"""


def waiting(given: Mapping[str, str]) -> dict[str, str]:
    """What an environment lacks; a policy that somebody chose is left alone."""
    if given.get("OMP_WAIT_POLICY", "passive").lower() != "passive":
        return {}
    return {
        name: value
        for name, value in {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": str(SPINS)}.items()
        if name not in given
    }
