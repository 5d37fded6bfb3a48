"""What a call costs: the rates it claims and the budgets it holds, from its effects. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from byleave.effects import Effect, Precision, Unit, Verb
from byleave.rails.budget import Hold
from byleave.rails.rate import Claim, Rate


@dataclass(frozen=True, slots=True)
class Limits:
    """The rails in force. None: no limit. Session limits count from the start of the server's process."""

    rate: Rate | None = None
    calls: int | None = None
    rows_deleted: int | None = None
    files_deleted: int | None = None


CALLS, ROWS_DELETED, FILES_DELETED = "calls", "rows_deleted", "files_deleted"


def claims(limits: Limits, principal: str) -> tuple[Claim, ...]:
    """The rates that one call is counted under: the principal's, across all its sessions."""
    return (Claim(f"rate:{principal}", limits.rate),) if limits.rate is not None else ()


def key(session: str, unit: str) -> str:
    return f"session:{session}:{unit}"


def used(session: str, effects: Iterable[Effect], *, calls: int = 1) -> dict[str, int]:
    """What these effects use of each budget. An estimate counts as it stands, the unknown when it is measured."""
    total = {CALLS: calls, ROWS_DELETED: 0, FILES_DELETED: 0}
    for effect in effects:
        if effect.verb is not Verb.DELETE or effect.extent.precision is Precision.UNKNOWN:
            continue
        if effect.extent.unit is Unit.ROWS:
            total[ROWS_DELETED] += effect.extent.amount or 0
        elif effect.extent.unit is Unit.FILES:
            total[FILES_DELETED] += effect.extent.amount or 0
    return {key(session, unit): amount for unit, amount in total.items()}


def holds(limits: Limits, session: str, amounts: dict[str, int]) -> tuple[Hold, ...]:
    """Reservations for `amounts` (by key) of every budget that has a limit; one that asks for nothing is left out."""
    bounds = {CALLS: limits.calls, ROWS_DELETED: limits.rows_deleted, FILES_DELETED: limits.files_deleted}
    return tuple(
        Hold(key(session, unit), amounts[key(session, unit)], bound)
        for unit, bound in bounds.items()
        if bound is not None and amounts.get(key(session, unit), 0) > 0
    )
