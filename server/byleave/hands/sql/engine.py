"""What an engine of databases is to the gate: one configured database, looked at, read, changed, undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from byleave.capability import Parameters, Rows, Statement
from byleave.effects import Plan
from byleave.hands.stage import Settled, Stage


class Engine(Protocol):
    """One database of one engine. Everything blocks and may be called from any thread; errors are `Refused`.

    An engine enforces by itself, whatever it is asked: reading cannot change, a stage can do only what its plan
    declares, and one statement is one statement, even if the classification was wrong.
    """

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[str, ...]:
        """Absolute paths of its files on this machine, for the floor; empty for a server."""
        ...

    def survey(self, sql: str, parameters: Parameters, *, change: bool) -> Statement: ...
    def rows(self, statement: Statement, limit: int, offset: int) -> Rows: ...
    def stage(self, plan: Plan) -> Stage: ...
    def reverse(self, manifest: Mapping[str, object]) -> Stage: ...
    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]: ...
    def settle(self, manifest: Mapping[str, object]) -> Settled: ...
    def close(self) -> None: ...
