"""A stage: the place where one call's acts do not count yet.

Every way of acting is a stage with the same five moments, so that the gate is written once:
`hands` act, `observe` counts what they did, `hold` makes the before-images durable, `commit` lets it count,
`discard` leaves the world as it was. Reading is a stage that observes what it read and commits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Protocol

from byleave.effects import Effect


class Order(IntEnum):
    """When a stage commits among the stages of one call: what can be restored first, what cannot last."""

    RESTORABLE = 0
    TRANSACTION = 1
    IRREVERSIBLE = 2


class Stage(Protocol):
    """One call's acts, held back.

    Exactly one of `commit` and `discard` is called, once, except after `release`. All of them block: the gate calls
    them in a worker thread. None may raise after having changed the world: a commit that fails part way puts back
    what it had done, from the before-images, and raises `Refused(CONFLICT)` or `Refused(FAILED)`.
    """

    @property
    def order(self) -> Order: ...

    @property
    def hands(self) -> object:
        """The tool's hands: an object of the type that the tool named."""
        ...

    def observe(self) -> tuple[Effect, ...]:
        """What the hands really did, counted; `waits` is False on each. Empty where nothing changed."""
        ...

    def hold(self) -> Mapping[str, object] | None:
        """The changes with their before-images as a manifest of plain values (JSON); None where nothing changed. Its
        `kind` names the hands that can read it again (`files`, `sql`). The gate seals it before `commit`; from it
        alone undo and the recovery after a crash know what was there and what was to be."""
        ...

    def commit(self) -> None:
        """Let it count. First makes sure that the world is as surveyed: else `Refused(CONFLICT)`, nothing done."""
        ...

    def discard(self) -> None:
        """Leave no trace. Never raises."""
        ...

    def release(self) -> bool:
        """Give up locks and handles while a person thinks. True where the stage stays as it is (parked: only disk) and
        can still be committed; False where the work has to be done again after leave (a transaction rolled back)."""
        ...


class Keeper(Protocol):
    """Where before-images go: out of the agent's reach, durable before anything counts."""

    def keep(self, content: bytes) -> str:
        """Store content (addressed by its SHA-256, in hex) and return the address. Durable when `seal` returns."""
        ...

    def image(self, address: str) -> bytes:
        """The content again. Raises `Refused(FAILED)` where it is gone or does not match its address."""
        ...

    def seal(self, call: str, manifest: Mapping[str, object]) -> None:
        """Write the manifest of a call: it and every image it names are on disk when this returns."""
        ...


class Settled(StrEnum):
    """What recovery finds, looking at the world through the manifest of a call that stopped in between."""

    DISCARDED = "discarded"  # nothing of it counts
    COMMITTED = "committed"  # all of it counts
    REPAIRED = "repaired"  # a part did, and was put back: nothing counts
    UNKNOWN = "unknown"  # the world matches neither, someone else changed it: nothing was touched
