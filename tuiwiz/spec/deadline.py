"""The moment that `schedule.stop_by` means."""

from __future__ import annotations

from datetime import datetime, timedelta


def deadline(text: str, now: datetime) -> datetime:
    """The local time that `stop_by` means: a full ISO date and time, of its zone where it names one, or the next HH:MM.

    Raises:
        ValueError: it is neither, or no local time can be made of it.
    """
    if "T" in text or "-" in text:
        found = datetime.fromisoformat(text)
        try:
            return found.astimezone().replace(tzinfo=None)
        except (OverflowError, OSError) as error:
            raise ValueError(f"{text} is out of range") from error
    clock = datetime.strptime(text, "%H:%M")
    then = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return then if then > now else then + timedelta(days=1)


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from the local time `now` to the one that `stop_by` means, a change of clocks in between counted in.

    Raises:
        ValueError: as `deadline`.
    """
    return deadline(text, now).timestamp() - now.timestamp()
