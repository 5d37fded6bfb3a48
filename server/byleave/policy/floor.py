"""The floor: what no policy, preset, approval or break-glass lifts. Pure.

Names of what is protected compare folded and by whole components; the workspace, which grants, compares exactly. A
change to a folder counts as a change to what lies in it, so a protected thing cannot be taken away with its parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from byleave.effects import LOOKING, Effect, Scheme, Verb
from byleave.policy.decision import Reason, Verdict
from byleave.policy.hiding import Hiding
from byleave.policy.names import fold_path, lies_in


@dataclass(frozen=True, slots=True)
class Ground:
    """What the installation stands on: canonical absolute paths as text (links resolved), "" where there is none.

    `protected` are the backups; `databases` the files of the configured databases; `client_files` the configurations of
    clients that start this gate; `hidden` the patterns of `[workspace] hidden`.
    """

    workspace: str
    state_dir: str
    home: str
    policy_files: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    client_files: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


#: What SQLite keeps beside a database (https://sqlite.org/tempfiles.html): whoever writes one, writes the database.
BESIDE_A_DATABASE = ("", "-wal", "-shm", "-journal")

#: Where the machine keeps what controls it. `/dev/shm` is memory that anyone may use.
MACHINE = (
    *("/etc", "/proc", "/sys", "/dev", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib"),
    *("/private/etc", "/system", "/library"),
)
MEMORY = "/dev/shm"  # noqa: S108 (compared with, never written to)


def _no(rule: str, because: str, hint: str) -> Reason:
    return Reason(rule, Verdict.DENY, because, hint)


_HIDDEN_TRAITS = frozenset({"hidden", "hidden-alias"})

BACKUPS = _no(
    "backups.protected",
    "backups are out of reach of every tool",
    "work on files of the workspace that are no backup; ask a person for anything in a backup",
)
STATE = _no(
    "floor.state-directory",
    "the gate's log, snapshots and trust are out of reach of every tool",
    "`gate_status` tells what is in force; a person reads the log with `byleave log show`",
)
POLICY = _no(
    "floor.policy",
    "the policy is written by a person, never through the gate",
    "say which rule is in the way and what it should be; a person edits the policy and runs `byleave trust`",
)
DATABASE = _no(
    "floor.database-file",
    "the files of a configured database are reached through sql tools only",
    "read it with `sql_query` and change it with `sql_change`",
)
CLIENT = _no(
    "floor.client-configuration",
    "this client configuration starts the gate",
    "say what the entry should be; a person edits the file",
)
MACHINE_FILES = _no(
    "floor.machine",
    "the machine's own control files are out of reach of every tool",
    "keep to files of the workspace; a person changes the machine",
)
HOME = _no(
    "floor.home",
    "the workspace holds the home directory, which is out of reach of every tool",
    "a person starts the gate with a project's folder as its workspace",
)
OUTSIDE = _no(
    "workspace.outside",
    "the path lands outside the workspace",
    "use a path relative to the workspace; ask a person to copy in what is missing",
)
OTHER_USER = _no(
    "floor.other-user",
    "the file belongs to another user",
    "copy its content into a new file of your own, or ask a person",
)
HIDDEN = _no(
    "workspace.hidden",
    "the policy hides this file, so for every tool it is not there",
    "use a name that is not hidden, such as `.env.example`; a person fills in secrets",
)

#: Every refusal of the floor, in the order in which they are looked for.
REFUSALS = (BACKUPS, STATE, DATABASE, POLICY, CLIENT, MACHINE_FILES, HOME, OUTSIDE, OTHER_USER, HIDDEN)


class Places:
    """Some protected files and folders, made ready for asking whether a name touches them."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are absolute paths; empty ones are left out."""
        self.names = tuple(fold_path(name).rstrip("/") for name in names if name.rstrip("/"))
        self._in = re.compile("(?:" + "|".join(map(re.escape, self.names)) + ")(?:/|$)" if self.names else "(?!)")
        self._above = frozenset(above for name in self.names for above in _above(name))

    def touched_by(self, name: str, *, takes: bool) -> bool:
        """Whether the folded `name` is one of these, lies in one, or (where a verb `takes` what is there) holds one."""
        return self._in.match(name) is not None or (takes and name in self._above)


class Floor:
    """A ground made ready for judging many effects."""

    def __init__(self, ground: Ground) -> None:
        """Raises ValueError where a pattern of `hidden` is none."""
        self.ground = ground
        self.hiding = Hiding(ground.hidden)
        self._depth = ground.workspace.rstrip("/").count("/") + 1
        files = [name + beside for name in ground.databases for beside in BESIDE_A_DATABASE]
        home = [ground.home] if ground.home and lies_in(ground.home, ground.workspace) else []
        # Reached by no verb at all; then by none that changes something.
        closed = (
            (BACKUPS, Places(ground.protected)),
            (STATE, Places([ground.state_dir])),
            (DATABASE, Places(files)),
            (MACHINE_FILES, Places(MACHINE)),
            (HOME, Places(home)),
        )
        self._closed: tuple[tuple[Reason, Places], ...] = closed
        self._kept: tuple[tuple[Reason, Places], ...] = (
            *closed,
            (POLICY, Places(ground.policy_files)),
            (CLIENT, Places(ground.client_files)),
        )
        self._barred = Places([*ground.protected, ground.state_dir, *files])
        # One look settles nearly every effect: is it near any of these at all?
        self._any = Places(name for _, places in self._kept for name in places.names)

    def refusal(self, effect: Effect, folded: str) -> Reason | None:
        """The first refusal that speaks about `effect`, whose target's folded name is `folded`; None for no file."""
        if effect.target.scheme is not Scheme.FILE:
            return None
        changes = effect.verb not in LOOKING
        # What is there can be lost with the folder it lies in; making a folder above it loses nothing.
        takes = changes and effect.verb is not Verb.CREATE
        if self._any.touched_by(folded, takes=takes):
            for reason, places in self._kept if changes else self._closed:
                if places.touched_by(folded, takes=takes) and not (reason is MACHINE_FILES and lies_in(folded, MEMORY)):
                    return reason
        return self._about(effect, changes=changes)

    def _about(self, effect: Effect, *, changes: bool) -> Reason | None:
        """What the workspace and the survey's traits say."""
        name, traits = effect.target.name, effect.traits
        if "outside" in traits or not lies_in(name, self.ground.workspace):
            return OUTSIDE
        if changes and "other-user" in traits:
            return OTHER_USER
        if not traits.isdisjoint(_HIDDEN_TRAITS) or self.hiding.hides(self.inside(name)):
            return HIDDEN
        return None

    def conceals(self, effect: Effect) -> bool:
        """Whether what the effect is about is not there for a tool, so that no answer may name it."""
        if effect.target.scheme is not Scheme.FILE:
            return False
        return not effect.traits.isdisjoint(_HIDDEN_TRAITS) or self.hiding.hides(self.inside(effect.target.name))

    def inside(self, name: str) -> str:
        """A name in the workspace, relative to it ("" for the workspace itself); a folded one has the same parts."""
        return name.split("/", self._depth)[-1] if name.count("/") >= self._depth else ""

    def bars(self, name: str) -> bool:
        """Whether no tool may even look at this canonical absolute path: what a search or a listing passes over."""
        if self._barred.touched_by(fold_path(name), takes=False) or not lies_in(name, self.ground.workspace):
            return True
        return self.hiding.hides(self.inside(name))

    def hides(self, path: str) -> bool:
        """The same for a path relative to the workspace: hidden files, and what else of it no tool may look at, such as
        backups and databases. So a search from above does not show what reading would be refused."""
        return self.bars(f"{self.ground.workspace.rstrip('/')}/{path}")


@lru_cache(maxsize=8)
def _ready(ground: Ground) -> Floor:
    return Floor(ground)


def floor(ground: Ground, effect: Effect) -> Reason | None:
    """Whether the floor refuses `effect`, and why."""
    return _ready(ground).refusal(effect, fold_path(effect.target.name))


def _above(name: str) -> Iterator[str]:
    """Every folder that holds `name`, the root included."""
    while name:
        name = name.rpartition("/")[0]
        yield name or "/"
