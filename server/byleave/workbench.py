"""Where hands come from: for one plan, the only means to act. The one place that knows which hands a tool may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from byleave.capability import (
    FileHands,
    FileReading,
    FileView,
    GateView,
    SqlHands,
    SqlReading,
    SqlView,
    StatusHands,
    Tool,
    UndoHands,
)
from byleave.effects import Effect, Plan
from byleave.hands.files import Workspace
from byleave.hands.sql import Databases
from byleave.hands.stage import Order, Stage
from byleave.snapshots.undo import Reversers
from byleave.snapshots.undoing import Undoing


@dataclass(frozen=True, slots=True)
class Seeing:
    """A `View`: everything that one survey may look at."""

    files: FileView
    sql: SqlView
    gate: GateView


class Telling:
    """A stage with nothing in it: hands that only tell (`StatusHands`)."""

    order = Order.RESTORABLE

    def __init__(self, gate: GateView) -> None:
        self.hands = gate

    def observe(self) -> tuple[Effect, ...]:
        return ()

    def hold(self) -> None:
        return None

    def commit(self) -> None:
        return None

    def discard(self) -> None:
        return None

    def release(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Workbench:
    """The hands over one workspace and its databases."""

    files: Workspace
    sql: Databases

    def view(self, gate: GateView, *, warm: bool) -> Seeing:
        """Everything that a survey may look at; a `warm` one raises `WouldBlock` instead of waiting for a disk."""
        return Seeing(self.files.view(warm=warm), self.sql.view(warm=warm), gate)

    def stage(self, tool: Tool[Any, Any, Any], plan: Plan, gate: GateView, *, warm: bool = False) -> Stage:
        """The stage of one call, with the hands that the tool was declared with, made for this plan alone."""
        makers: Mapping[type, Callable[[], Stage]] = {
            FileReading: lambda: self.files.reading(warm=warm),
            FileHands: lambda: self.files.stage(plan),
            SqlReading: self.sql.reading,
            SqlHands: lambda: self.sql.stage(plan),
            StatusHands: lambda: Telling(gate),
            UndoHands: lambda: Undoing(self.reversers()),
        }
        return makers[tool.hands]()

    def reversers(self) -> Reversers:
        """Who can read a manifest again."""
        return Reversers({"files": self.files, "sql": self.sql})
