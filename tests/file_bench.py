"""A workspace with its tools, without a gate: survey, plan, perform, observe, hold, commit, as the gate does it."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from byleave.capability import Refused, Tool
from byleave.effects import Effect
from byleave.hands.files import Limits, Workspace
from byleave.hands.stage import Stage
from byleave.snapshots.keep import Snapshots
from byleave_capabilities import TOOLS as ALL

TOOLS: dict[str, Tool[Any, Any, Any]] = {tool.name: tool for tool in ALL if tool.capability == "files"}
HIDDEN = (".env", "secrets", "*.pem")
_UNSEEN = frozenset({"hidden", "hidden-alias", "outside"})


class DeniedForTest(Exception):  # noqa: N818
    """What the judge would deny by these traits."""


def hides(path: str) -> bool:
    return any(fnmatch.fnmatch(part.casefold(), pattern) for part in path.split("/") for pattern in HIDDEN)


@dataclass
class Seeing:
    files: object
    sql: object = None
    gate: object = None


@dataclass
class Done:
    """One call, as it went."""

    text: str
    planned: tuple[Effect, ...]
    observed: tuple[Effect, ...]
    manifest: Mapping[str, object] | None


class FileBench:
    """A root to work in, a state directory beside it, and the tools over both."""

    def __init__(self, base: Path, **more: Any) -> None:
        self.root = base / "work"
        self.state = base / "state"
        self.root.mkdir(exist_ok=True)
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.keeper = Snapshots(self.state)
        self.workspace = Workspace(self.root, hides=hides, keeper=self.keeper, state_dir=self.state, **more)
        self._count = 0

    def staged(self, name: str, *, warm: bool = False, **arguments: Any) -> tuple[Stage, Done]:
        """Everything up to `observe`. Raises `DeniedForTest` where the judge would deny what the survey found."""
        tool = TOOLS[name]
        args = tool.arguments.model_validate(arguments)
        facts = run(tool.survey(args, cast("Any", Seeing(self.workspace.view(warm=warm)))))
        plan = tool.plan(args, facts)
        if any(effect.traits & _UNSEEN for effect in plan.effects):
            raise DeniedForTest(plan.effects)
        stage: Stage = self.workspace.reading(warm=warm) if plan.only_looks else self.workspace.stage(plan)
        result = run(tool.perform(args, facts, stage.hands))
        return stage, Done(result.text, plan.effects, stage.observe(), None)

    def call(self, name: str, **arguments: Any) -> Done:
        stage, done = self.staged(name, **arguments)
        return Done(done.text, done.planned, done.observed, self.count(stage))

    def count(self, stage: Stage) -> Mapping[str, object] | None:
        """Hold, seal and commit."""
        manifest = stage.hold()
        if manifest is None:
            stage.discard()
            return None
        self._count += 1
        self.keeper.seal(f"call-{self._count}", manifest)
        stage.commit()
        return self.keeper.manifest(f"call-{self._count}")

    def undo(self, manifest: Mapping[str, object] | None) -> Mapping[str, object] | None:
        assert manifest is not None
        return self.count(self.workspace.reverse(manifest))

    def refused(self, name: str, **arguments: Any) -> Refused:
        before = picture(self.root)
        try:
            self.call(name, **arguments)
        except Refused as no:
            assert picture(self.root) == before, "a refused call changed something"
            return no
        raise AssertionError("it was not refused")

    def denied(self, name: str, **arguments: Any) -> None:
        before = picture(self.root)
        try:
            self.call(name, **arguments)
        except DeniedForTest:
            assert picture(self.root) == before
            return
        raise AssertionError("it was not denied")


def run(coroutine: Any) -> Any:
    """A coroutine that never suspends, to its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it suspended")


def picture(root: Path, *, times: bool = True) -> dict[str, tuple[object, ...]]:
    """Everything below `root`: kind, mode, bytes or link, time in ns (not of folders: a name made in one moves it)."""
    out: dict[str, tuple[object, ...]] = {}
    top = os.fsencode(root)
    for folder, folders, names in os.walk(top):
        for name in folders + names:
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            mode = stat.S_IMODE(seen.st_mode)
            key = os.path.relpath(path, top).decode("utf-8", "surrogateescape")
            if stat.S_ISLNK(seen.st_mode):
                out[key] = ("link", os.readlink(path), seen.st_mtime_ns if times else 0)
            elif stat.S_ISDIR(seen.st_mode):
                out[key] = ("folder", mode)
            elif stat.S_ISREG(seen.st_mode):
                with open(path, "rb") as file:
                    out[key] = ("file", mode, file.read(), seen.st_mtime_ns if times else 0)
            else:
                out[key] = ("special",)
    return out


Step = Callable[[str], None]
__all__ = ["DeniedForTest", "Done", "FileBench", "Limits", "picture", "run"]
