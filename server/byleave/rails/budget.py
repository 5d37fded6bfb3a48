"""Budgets: reserved before the act, settled by what was really used. Integers only. Pure: the store keeps them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """Reserves `amount` of the budget `key`, which may reach `limit` in all (used and held together)."""

    key: str
    amount: int
    limit: int

    def __post_init__(self) -> None:
        if self.amount < 0 or self.limit < 0:
            raise ValueError("a budget counts upwards from zero")


def fits(used: int, held: int, hold: Hold) -> bool:
    """Whether the hold may be placed: what is used, what others hold and this together stay within the limit."""
    return used + held + hold.amount <= hold.limit
