"""Where hands come from: for one plan, the only means to act on it. The one place that knows which hands a tool may hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from byleave.capability import (
    FileHands,
    FileReading,
    FileView,
    GateView,
    Kept,
    Refused,
    SqlHands,
    SqlReading,
    SqlView,
    StatusHands,
    Tool,
    UndoHands,
    Word,
)
from byleave.effects import Plan
from byleave.hands.files import Workspace
from byleave.hands.sql import Databases
from byleave.hands.stage import Settled, Stage
from byleave.snapshots.keep import Snapshots
from byleave.snapshots.undo import Reversing, Undoing


@dataclass(frozen=True, slots=True)
class Seeing:
    """A `View`: everything that one survey may look at."""

    files: FileView
    sql: SqlView
    gate: GateView


@dataclass(frozen=True, slots=True)
class Workbench:
    """The hands over one workspace and its databases. `gate_view` tells about the gate itself, for one session."""

    files: Workspace
    sql: Databases
    snapshots: Snapshots

    def view(self, gate: GateView, *, warm: bool) -> Seeing:
        return Seeing(self.files.view(warm=warm), self.sql.view(), gate)

    def stage(self, tool: Tool[Any, Any, Any], plan: Plan, call: str, gate: GateView, *, warm: bool = False) -> Stage:
        """The stage of one call, with the hands that the tool was declared with, made for this plan alone."""
        makers: Mapping[type, Callable[[], Stage]] = {
            FileReading: lambda: self.files.reading(warm=warm),
            FileHands: lambda: self.files.stage(plan, call),
            SqlReading: self.sql.reading,
            SqlHands: lambda: self.sql.stage(plan, call),
            StatusHands: lambda: Telling(gate),
            UndoHands: lambda: Undoing(self.reversing(), call),
        }
        return makers[tool.hands]()

    def reversing(self) -> Mapping[str, Reversing]:
        """Who can read a manifest again, by its kind."""
        return {"files": self.files, "sql": self.sql}

    def settle(self, manifest: Mapping[str, object]) -> Settled:
        """Look at the world through the manifest of a call that stopped in between."""
        return self._kind(manifest).settle(manifest)

    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return self._kind(manifest).moved_on(manifest)

    def _kind(self, manifest: Mapping[str, object]) -> Reversing:
        kind = self.reversing().get(str(manifest.get("kind")))
        if kind is None:
            raise Refused(Word.FAILED, "this snapshot was kept by a newer version", "update byleave and try again")
        return kind
