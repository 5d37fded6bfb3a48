"""The parts of a gate that decide, without those that act or record: `byleave check`, and what every gate stands on."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from byleave.capability import Refused, Tool
from byleave.consider import INTERNAL, Considered, consider, find, refused_line, step, validate
from byleave.effects import Effect, printable
from byleave.hands.files import Workspace
from byleave.hands.sql import Databases
from byleave.hands.stage import Keeper
from byleave.own import Nobody
from byleave.policy.floor import MACHINE, MEMORY, Places
from byleave.policy.load import Loaded, PolicyError, load
from byleave.policy.names import fold_path, lies_in
from byleave.snapshots.keep import Nowhere
from byleave.store.opening import default_state_dir
from byleave.workbench import Workbench
from byleave_capabilities import TOOLS

log = logging.getLogger("byleave")


class Exit(IntEnum):
    """Why a gate could not be opened, as the command line's exit code."""

    WORKSPACE = 3
    POLICY = 4
    STORE = 5


class CannotOpen(Exception):  # noqa: N818 (what it says is the sentence that a person reads)
    """A gate that cannot be opened safely is not opened. `hint` says what to do, `code` is the exit code."""

    def __init__(self, message: str, hint: str, code: Exit) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True)
class Checker:
    """Steps 1 and 3 to 5 over a workspace: a policy, the tools that it grants, and hands to look with."""

    policy: Loaded
    tools: Mapping[str, Tool[Any, Any, Any]]
    workbench: Workbench

    def check(self, tool: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """The decision as the command line prints it. Never raises: what cannot be decided is a refusal."""
        try:
            return self.consider(tool, arguments).as_json()
        except Refused as no:
            return refused_line(no)
        except Exception:
            log.exception("checking %s", printable(tool))
            return refused_line(INTERNAL)

    def consider(self, tool: str, arguments: Mapping[str, object]) -> Considered:
        """The same as it is. Raises `Refused`."""
        found = find(self.tools, tool)
        args = validate(found, arguments)
        return step(consider(found, args, self.workbench.view(Nobody(), warm=False), self.policy.book))

    def effects(self, tool: str, arguments: Mapping[str, object]) -> Sequence[Effect]:
        """What a call would do, for the examples of a policy's rules. Raises ValueError where that cannot be told."""
        try:
            return self.consider(tool, arguments).plan.effects
        except Refused as no:
            raise ValueError(no.reason) from no


@contextmanager
def open_checker(
    *,
    workspace: Path,
    policy: str | None = None,
    state_dir: Path | None = None,
    keeper: Keeper | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Generator[Checker]:
    """A checker over `workspace`, under the policy that a gate would have there. Raises `CannotOpen` in words.

    With a `keeper` for before-images its workbench can make stages that commit; a gate gives one, a check does not.
    """
    root = sensible(workspace)
    place = state_dir or default_state_dir(environ)
    try:
        loaded = load(policy, workspace=root, state_dir=place)
    except PolicyError as error:
        raise CannotOpen(str(error), error.hint, Exit.POLICY) from error
    with checker_of(loaded, root=root, state_dir=place, keeper=keeper or Nowhere(), environ=environ) as checker:
        yield checker


@contextmanager
def checker_of(
    loaded: Loaded, *, root: Path, state_dir: Path, keeper: Keeper, environ: Mapping[str, str]
) -> Generator[Checker]:
    """A checker under this very policy, trusted or not, its call examples proved. Raises `CannotOpen` in words."""
    sql = Databases.open(
        {name: database.url for name, database in loaded.policy.databases.items()},
        workspace=root,
        forbidden=(str(state_dir),),
        keeper=keeper,
        environ=environ,
    )
    try:
        loaded = loaded.with_databases(sql.files)
        ground = loaded.book.ground
        files = Workspace(
            root,
            hides=loaded.book.floor.hides,
            keeper=keeper,
            state_dir=state_dir,
            protected=lambda: (*ground.databases, *ground.policy_files),
            ripgrep=ripgrep(root, environ),
        )
        tools = {tool.name: tool for tool in granted(loaded)}
        checker = Checker(loaded, tools, Workbench(files, sql))
        try:
            loaded.prove(checker.effects)
        except PolicyError as error:
            raise CannotOpen(str(error), error.hint, Exit.POLICY) from error
        yield checker
    finally:
        sql.close()


def granted(loaded: Loaded) -> tuple[Tool[Any, Any, Any], ...]:
    """The tools of the capabilities that this policy grants: a tool that could only refuse is not listed."""
    none = set[str]() if loaded.policy.databases else {"sql"}
    return tuple(tool for tool in TOOLS if tool.capability not in none)


def sensible(workspace: Path) -> Path:
    """The workspace's real path. Raises `CannotOpen` for what would make the gate guard too much, or nothing."""
    named = printable(str(workspace))
    say = "name the project's folder: `byleave serve --workspace /path/to/project`"
    try:
        root = workspace.expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        raise CannotOpen(f"the workspace `{named}` does not exist", say, Exit.WORKSPACE) from None
    if not root.is_dir():
        raise CannotOpen(f"the workspace `{named}` is no folder", say, Exit.WORKSPACE)
    home = Path.home().resolve()
    if root == Path(root.anchor) or root == home or root in home.parents:
        what = "the whole disk" if root == Path(root.anchor) else "a home directory"
        raise CannotOpen(f"the workspace `{named}` is {what}, or holds one: too much to guard", say, Exit.WORKSPACE)
    if Places(MACHINE).touched_by(fold_path(str(root)), takes=True) and not lies_in(str(root), MEMORY):
        message = f"the workspace `{named}` is the machine's own, which the floor keeps out of reach of every tool"
        raise CannotOpen(message, say, Exit.WORKSPACE)
    return root


def ripgrep(root: Path, environ: Mapping[str, str]) -> str | None:
    """A ripgrep that no agent could have put there: beside our interpreter, or on PATH outside the workspace."""
    beside = str(Path(sys.executable).parent)
    for folder in (beside, *environ.get("PATH", "").split(os.pathsep)):
        found = shutil.which("rg", path=folder) if os.path.isabs(folder) else None
        if found is not None and root not in Path(found).resolve().parents:
            return found
    return None
