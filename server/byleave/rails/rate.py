"""Rates by GCRA: one integer per key, an exact burst, and a forward jump of the clock gives at most one burst.

The generic cell rate algorithm (ITU-T I.371) keeps the theoretical arrival time of the next call. Pure: the store reads
and writes the integer in its own transaction, so that no call is let through without its record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_NAMES = {seconds: name for name, seconds in PERIODS.items()}
_RATE = re.compile(r"(?P<count>[1-9][0-9]{0,8}) ?/ ?(?P<period>second|minute|hour|day)")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` calls per `period_s` seconds, of which all may come at once."""

    count: int
    period_s: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`60/minute`. Raises ValueError with a message that says what would be one."""
        found = _RATE.fullmatch(text)
        if found is None:
            raise ValueError(f"`{text}` is no rate: write for example `60/minute` (second, minute, hour or day)")
        return cls(int(found["count"]), PERIODS[found["period"]])

    def __str__(self) -> str:
        return f"{self.count}/{_NAMES[self.period_s]}"


@dataclass(frozen=True, slots=True)
class Claim:
    """One call that wants to pass under `rate`, counted under `key`."""

    key: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Admission:
    """The key's new theoretical arrival time in microseconds and, where the call does not pass, the seconds to wait."""

    tat_us: int
    retry_after: float | None


def admit(tat_us: int, now_us: int, rate: Rate) -> Admission:
    """Whether a call at `now_us` passes. A refused call charges nothing.

    In any span of T seconds at most `count` + T / (`period_s` / `count`) calls pass, at one moment at most `count`. A
    stored time further ahead than a full burst comes from a clock that was set back, or from a slower rate before: it
    is brought down to a full burst, so that nobody waits for as long as the clock was wrong.
    """
    step = -(-rate.period_s * 1_000_000 // rate.count)  # rounded up: never more than was granted
    burst = step * (rate.count - 1)
    tat_us = min(tat_us, now_us + burst + step)
    start = max(tat_us, now_us)
    if start - now_us > burst:
        return Admission(tat_us, (start - now_us - burst) / 1_000_000)
    return Admission(start + step, None)
