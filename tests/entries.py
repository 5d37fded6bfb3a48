"""Entries as tests write them, and the means to look at a store from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from byleave.audit.verify import Expected, Findings, Row, verify
from byleave.rails.budget import Hold
from byleave.rails.rate import Claim
from byleave.store.clock import Clock
from byleave.store.entry import Entry, Kind, NewAnswer, NewRequest
from byleave.store.reading import Reader

SESSION = "s1"


def intent(call: str, *, session: str = SESSION, holds: Sequence[Hold] = (), claims: Sequence[Claim] = ()) -> Entry:
    return Entry(Kind.INTENT, call, {"session": session, "tool": "files_write"}, holds=holds, claims=claims)


def outcome(
    call: str, *, settle: dict[str, int] | None = None, kept: bool = False, restores: str | None = None
) -> Entry:
    return Entry(Kind.OUTCOME, call, {"status": "done"}, settle=settle, kept=kept, restores=restores)


def look(call: str, *, claims: Sequence[Claim] = (), holds: Sequence[Hold] = ()) -> Entry:
    return Entry(Kind.LOOK, call, {"session": SESSION, "tool": "files_read"}, claims=claims, holds=holds)


def request(name: str, *, expires: float, call_digest: str = "d") -> Entry:
    new = NewRequest(name, "c1", call_digest, f"{call_digest}+effects", {"effects": ["delete a"]}, expires)
    return Entry(Kind.REQUEST, "c1", {"request": name}, request=new)


def answer(name: str, proof: str, *, approve: bool = True) -> Entry:
    return Entry(Kind.ANSWER, "c1", {"request": name}, answer=NewAnswer(name, approve, "ada", proof))


def spending(call: str, name: str) -> Entry:
    return Entry(Kind.INTENT, call, {"session": SESSION}, spend=name)


@dataclass
class Hands:
    """A clock that only a test moves."""

    now: float = 1_800_000_000.0
    passed: float = 0.0
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(wall=lambda: self.now, monotonic=lambda: self.passed)

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds


def records(state_dir: Path) -> list[Row]:
    """Every record on disk, read by another connection."""
    with Reader(state_dir) as reader:
        return [Row(*row) for row in reader.rows()]


def verified(state_dir: Path, *expect: Expected) -> Findings:
    with Reader(state_dir) as reader:
        return verify(reader.log_id, [Row(*row) for row in reader.rows()], expect)


def as_the_owner_of_the_file(state_dir: Path, *statements: str) -> None:
    """Change the store with another program, as whoever owns the file can."""
    with closing(sqlite3.connect(state_dir / "log.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
