"""The identity of what a bundle computes."""

from __future__ import annotations

import hashlib

import msgspec

from tuiwiz.spec.bundle import Bundle, Lock
from tuiwiz.spec.keys import Plain, flatten, plain


def digest(bundle: Bundle) -> str:
    """Hex SHA-256 over the canonical JSON of all values but `name`, `[origin]`, `[lock]` and `[tracking]`.

    Where the bundle is locked, the hashes of its data and model stand in for their paths, so that the same run has the
    same digest wherever its files lie.
    """
    flat = {key: value for key, value in flatten(bundle).items() if key != "name" and not key.startswith("tracking.")}
    lock = bundle.lock
    if lock is not None and lock.data:
        weights = [one.weight for one in bundle.data.train] if isinstance(bundle.data.train, tuple) else []
        flat["data.train"] = [*sorted(lock.data.values()), *weights]
        flat.pop("validation.path", None)
        flat["phases"] = [{**phase, "data": _hashes(lock, phase["data"])} for phase in plain(bundle.phases)]
    if lock is not None and (lock.model or lock.revision):
        flat["model.source"] = sorted(lock.model.values()) or lock.revision
        flat.pop("model.revision", None)
    # A whole float and the same integer are one value in TOML's eyes but not in JSON's.
    whole = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in flat.items()
    }
    return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()


def _hashes(lock: Lock, name: str | None) -> Plain:
    """What the lock knows of one of its data sets, or the name where it knows nothing."""
    if name is None:
        return None
    folder = f"{name.rstrip('/')}/"
    return sorted(found for inner, found in lock.data.items() if inner == name or inner.startswith(folder)) or name
