"""Time as the store sees it: handed in, so that a test can set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall` gives Unix seconds and may jump; `monotonic` gives seconds from anywhere and never goes back."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class Steady:
    """Unix time that does not follow the wall clock's jumps: where it stood at the start, and what passed since.

    Rates use it: setting the clock forward must not refill them. It stands still while the machine sleeps, which only
    makes a wait longer.
    """

    __slots__ = ("_clock", "_offset")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.wall() - clock.monotonic()

    def wall_us(self) -> int:
        return int(self._clock.wall() * 1_000_000)

    def steady_us(self) -> int:
        return int((self._clock.monotonic() + self._offset) * 1_000_000)

    def latest(self) -> float:
        """Unix seconds for what expires: the later of the two, so that no jump gives an approval a longer life."""
        return max(self._clock.wall(), self._clock.monotonic() + self._offset)
