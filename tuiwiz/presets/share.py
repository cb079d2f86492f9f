"""Presets of other people in the user's own folder: looked at whole, stored under their own name, updated, removed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.problems import Problem
from tuiwiz.presets import trust
from tuiwiz.presets.fetch import Fetched
from tuiwiz.presets.find import all_presets, chain, find, forget
from tuiwiz.presets.preset import LONGEST_NAME, MOST_RESULTS, Preset, Result
from tuiwiz.presets.read import SLUG, parse_preset
from tuiwiz.presets.signature import Signer, verify
from tuiwiz.presets.write import digest_of, preset_text, standing_alone

NEW, SAME, CHANGED = "new", "same", "changed"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where an own preset came from. `digest` is that of the preset as it came, `version` a git commit; `signer` is the
    name of who signed it, empty for an unknown key, and `key` that signer's key, empty where nobody signed."""

    source: str
    place: str
    digest: str
    version: str = ""
    added_s: float = 0.0
    signer: str = ""
    key: str = ""

    def signed(self, digest: str) -> str:
        """In words who signed the preset, whose digest is `digest` now."""
        if not self.key:
            return "unsigned"
        changed = "" if digest == self.digest else ", changed since"
        return Signer(name=self.signer, key=self.key).words + changed


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A preset that may be stored: what it would do to the folder, and all that is wrong with it.

    `state` is `new`, `same` (the same preset is there; only results could be added) or `changed` (it would replace the
    one that came from the same place before).
    """

    fetched: Fetched
    preset: Preset | None
    digest: str = ""
    state: str = NEW
    signer: Signer | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return self.preset is not None and not any(one.severity == "error" for one in self.problems)


def sources() -> dict[str, Source]:
    """By preset name, where the user's presets came from."""
    try:
        return msgspec.json.decode(_record().read_bytes(), type=dict[str, Source])
    except (OSError, msgspec.DecodeError):
        # Lost provenance must not take the presets with it.
        return {}


def look_at(all_fetched: Iterable[Fetched], rename: str = "") -> list[Offer]:
    """What storing would do; nothing is stored. `rename` gives a single preset another name.

    Raises:
        UsageError: `rename` is no name, or there are several presets.
    """
    fetched = list(all_fetched)
    if rename and (not SLUG.fullmatch(rename) or len(rename) > LONGEST_NAME):
        hint = f"small letters, digits and hyphens, at most {LONGEST_NAME}"
        raise UsageError(f"{rename!r} is no preset name", hint=hint)
    if rename and len(fetched) > 1:
        raise UsageError(f"one name cannot serve {len(fetched)} presets", hint="add them one by one")
    offers: list[Offer] = []
    together = dict(all_presets().presets)
    parsed = [(one, *parse_preset(one.text, Path(one.place))) for one in fetched]
    for _, preset, _ in parsed:
        if preset is not None:
            together.setdefault(rename or preset.name, preset)
    seen: set[str] = set()
    for one, preset, problems in parsed:
        if preset is None:
            offers.append(Offer(fetched=one, preset=None, problems=tuple(problems)))
            continue
        preset = msgspec.structs.replace(preset, name=rename or preset.name)
        offers.append(_offer(one, preset, list(problems), together, seen))
        seen.add(preset.name)
    return offers


def _offer(
    fetched: Fetched, preset: Preset, problems: list[Problem], together: dict[str, Preset], seen: set[str]
) -> Offer:
    digest = digest_of(preset)

    def refuse(message: str, key: str, hint: str) -> None:
        problems.append(Problem(message=message, path=fetched.place, key=key, hint=hint))

    if preset.digest and preset.digest != digest:
        hint = "get it anew, or take the digest out if you changed it yourself"
        refuse("it was changed after it was exported: its digest is another one", "digest", hint)
    signer = None
    if fetched.signature:
        try:
            signer = verify(fetched.data or fetched.text.encode(), fetched.signature, trust.allowed())
        except InvalidError as error:
            refuse(error.message, "", error.hint)
    before = sources().get(preset.name)
    if before is not None and before.key and before.source == fetched.source:
        if signer is None and not fetched.signature:
            refuse("it was signed before and now is not", "", f"`presets remove {preset.name}` first, if that is right")
        elif signer is not None and signer.key != before.key:
            refuse("it was signed by another key before", "", f"`presets remove {preset.name}` first, if that is right")
    if preset.name in seen:
        refuse(f"the name {preset.name!r} comes twice", "name", "give one of them another name")
    there = all_presets().presets.get(preset.name)
    state = NEW
    if there is not None and not there.shipped and digest_of(there) == digest:
        state = SAME
    elif there is not None:
        known = sources().get(preset.name)
        if there.shipped or known is None or known.source != fetched.source:
            where = "comes with tuiwiz" if there.shipped else f"is taken by {there.path}"
            refuse(f"the name {preset.name!r} {where}", "name", "give it another name with --as NAME")
        else:
            state = CHANGED
    try:
        chain(preset, {**together, preset.name: preset})
    except InvalidError as error:
        problems += [msgspec.structs.replace(one, path=fetched.place) for one in error.problems]
    return Offer(fetched=fetched, preset=preset, digest=digest, state=state, signer=signer, problems=tuple(problems))


def store(offer: Offer) -> Path:
    """Write an offered preset into the user's folder; results of one that is there already are kept and joined.

    Raises:
        InvalidError: it has errors.
    """
    preset = offer.preset
    if preset is None or not offer.ok:
        errors = [one for one in offer.problems if one.severity == "error"]
        raise InvalidError(f"{offer.fetched.place} is no usable preset", problems=errors)
    there = all_presets().presets.get(preset.name)
    if there is not None and not there.shipped and offer.state == SAME:
        preset = msgspec.structs.replace(preset, results=joined(there.results, preset.results))
    target = places.presets() / f"{preset.name}.toml"
    write_atomic(target, preset_text(preset, heading=f"From {offer.fetched.source}"))
    record = Source(
        source=offer.fetched.source,
        place=offer.fetched.place,
        digest=offer.digest,
        version=offer.fetched.version,
        added_s=time.time(),
        signer=offer.signer.name if offer.signer is not None else "",
        key=offer.signer.key if offer.signer is not None else "",
    )
    _keep(sources() | {preset.name: record})
    forget()
    return target


def joined(first: Iterable[Result], second: Iterable[Result]) -> tuple[Result, ...]:
    """Results of several people: each run on each machine once, the oldest ones first."""
    found: dict[tuple[str, ...], Result] = {}
    for one in (*first, *second):
        found.setdefault((one.run, one.model, one.data, one.hardware, one.metric, str(one.value)), one)
    return tuple(found.values())[:MOST_RESULTS]


def export_text(name: str) -> str:
    """A preset as one file that stands by itself.

    Raises:
        UsageError: there is no such preset.
    """
    preset = standing_alone(find(name), all_presets().presets)
    words = f"{name}: exported by tuiwiz. Add it with `tuiwiz presets add FILE`."
    return preset_text(preset, heading=words)


def remove(name: str) -> Path:
    """Delete one of the user's own presets.

    Raises:
        UsageError: it comes with tuiwiz, does not exist, or others extend it.
    """
    known = all_presets().presets
    preset = find(name)
    if preset.shipped:
        raise UsageError(f"{name} comes with tuiwiz and cannot be removed", hint="`presets list` shows your own paths")
    children = sorted(one.name for one in known.values() if one.extends == name)
    if children:
        raise UsageError(f"{', '.join(children)} extend{'s' if len(children) == 1 else ''} {name}", hint="remove first")
    preset.path.unlink(missing_ok=True)
    _keep({key: value for key, value in sources().items() if key != name})
    forget()
    return preset.path


def _record() -> Path:
    return places.presets() / "sources.json"


def _keep(known: dict[str, Source]) -> None:
    write_atomic(_record(), msgspec.json.format(msgspec.json.encode(known, order="sorted"), indent=1))
