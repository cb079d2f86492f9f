"""The moment that `schedule.stop_by` means."""

from __future__ import annotations

from datetime import datetime, timedelta


def deadline(text: str, now: datetime) -> datetime:
    """The local time that `stop_by` means: a full ISO date and time, in its own zone where it names one, or the next
    HH:MM.

    Raises:
        ValueError: it is neither.
    """
    if "T" in text or "-" in text:
        moment = datetime.fromisoformat(text)
        return moment.astimezone().replace(tzinfo=None) if moment.tzinfo is not None else moment
    clock = datetime.strptime(text, "%H:%M")
    then = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return then if then > now else then + timedelta(days=1)
