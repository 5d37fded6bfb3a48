"""One workspace, as the gate holds it: views to look, stages to read and to change, and the way back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from byleave.effects import Plan
from byleave.hands.files.ground import Ground, Limits
from byleave.hands.files.locating import Locator
from byleave.hands.files.resolve import Resolver
from byleave.hands.files.searching import Finder
from byleave.hands.files.settling import moved_on, reversed_stage, settle
from byleave.hands.files.staging import Declared, FileStage
from byleave.hands.files.view import ReadingStage, WorkspaceView
from byleave.hands.stage import Keeper, Settled


class Workspace:
    """The root, held open for the life of the gate.

    `hides` tells of a path relative to the workspace whether the policy hides it; `protected` names files by absolute
    path (databases, the policy) whose other names are treated as hidden. `ripgrep` is a program that no agent could
    have put there; without it the search is our own. `kernel=False` takes the walk alone.
    """

    def __init__(
        self,
        root: Path,
        *,
        hides: Callable[[str], bool],
        keeper: Keeper,
        state_dir: Path,
        protected: Callable[[], Iterable[str]] = tuple[str, ...],
        limits: Limits | None = None,
        ripgrep: str | None = None,
        kernel: bool = True,
        step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.resolver = Resolver(os.fspath(root), kernel=kernel)
        self._locator = Locator(self.resolver, hides, protected)
        self._finder = Finder(self._locator, ripgrep)
        self._ground = Ground(self._locator, keeper, state_dir / "stage", limits or Limits(), step)

    def view(self, *, warm: bool) -> WorkspaceView:
        return WorkspaceView(self._locator, warm=warm)

    def reading(self, *, warm: bool = False) -> ReadingStage:
        return ReadingStage(self._locator, self._finder, warm=warm)

    def stage(self, plan: Plan) -> FileStage:
        """Hands for exactly what the plan declares."""
        return FileStage(self._ground, Declared.of(plan))

    def reverse(self, manifest: Mapping[str, object]) -> FileStage:
        """A stage already filled with the reversed changes. `Refused(CONFLICT)` where the world moved on."""
        return reversed_stage(self._ground, manifest)

    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return moved_on(self._ground, manifest)

    def settle(self, manifest: Mapping[str, object]) -> Settled:
        return settle(self._ground, manifest)
