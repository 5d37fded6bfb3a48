"""The contract that a capability is written against. No I/O here.

A tool is three functions. `survey` looks, read-only, and freezes what it saw as facts. `plan` turns
arguments and facts into effects, and is pure: it can be asked without anything happening. `perform` acts,
only through the hands that the gate made for that plan, and only on what the survey opened. Nothing else is
within reach of a capability: no `open`, no `os`, no socket (a test of the architecture checks it).

A coroutine of a tool whose hands block (`awaits = False`) never suspends: the gate steps it on the event loop
from warm caches first, and from the start again in one worker thread when a hand says `WouldBlock`. So
`survey` must not have effects of its own, and may run twice.
"""

# long: it is one contract, read from top to bottom by whoever writes a capability; parts of it alone say nothing.

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from byleave.effects import Effect, Plan, Target


class Word(StrEnum):
    """The first word of every refusal: a closed list, part of the contract with the model."""

    DENIED = "denied"
    APPROVAL_PENDING = "approval_pending"
    APPROVAL_REFUSED = "approval_refused"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXHAUSTED = "budget_exhausted"
    HALTED = "halted"
    INVALID_ARGUMENTS = "invalid_arguments"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


class Refused(Exception):  # noqa: N818 (it is the answer no, not an error)
    """A no, in the contract's words. Raised by tools, views and hands; the gate records it and answers with it.

    `reason` is one line, lower case, without a full stop, the user's words in backticks; `hint` says what to do
    instead. Neither ever holds a secret, the content of a file or a control character from the input.
    """

    def __init__(self, word: Word, reason: str, hint: str = "", *, rule: str = "") -> None:
        super().__init__(reason)
        self.word = word
        self.reason = reason
        self.hint = hint
        self.rule = rule

    def __str__(self) -> str:
        rule = f"rule `{self.rule}`: " if self.rule else ""
        return f"{self.word}: {rule}{self.reason}" + (f"\nhint: {self.hint}" if self.hint else "")


class WouldBlock(Exception):  # noqa: N818 (a sign to the gate, not an error)
    """A warm view would have to wait for the disk: the gate does the whole thing again in a worker thread."""


class Arguments(BaseModel):
    """Base of every tool's arguments: unknown fields are refused, values are not coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True)
class Result:
    """What a performed call tells the model. `text` is the whole of it; `data` repeats it for programs where a
    table is worth having (then it becomes MCP's `structuredContent`)."""

    text: str
    data: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """MCP's four tool annotations. All are always sent: clients read a missing one as the worst case."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool = False


LOOKS = Hints(read_only=True, destructive=False, idempotent=True)

A = TypeVar("A", bound=Arguments)
F = TypeVar("F")
H = TypeVar("H")


class Tool(ABC, Generic[A, F, H]):
    """One MCP tool: `Tool[ItsArguments, ItsFacts, ItsHands]`. The docstring is the description the model reads
    (at most 450 characters). An instance holds nothing: one serves every call."""

    name: ClassVar[str]
    title: ClassVar[str]
    capability: ClassVar[str]
    hints: ClassVar[Hints]
    awaits: ClassVar[bool] = False
    arguments: ClassVar[type[Arguments]]
    hands: ClassVar[type[Any]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Tool:
                cls.arguments, _, cls.hands = get_args(base)

    @abstractmethod
    async def survey(self, args: A, view: View) -> F:
        """Look, and freeze what was seen. Raises `Refused` for what cannot be looked at."""

    @abstractmethod
    def plan(self, args: A, facts: F) -> Plan:
        """Say what would happen. Pure: equal arguments and facts, equal plan. Raises `Refused`."""

    @abstractmethod
    async def perform(self, args: A, facts: F, hands: H) -> Result:
        """Do it, with these hands only. What they were not declared for, they refuse."""

    def preview(self, args: A, facts: F) -> str:
        """A diff or a sample for the person who is asked. Called only when someone is; at most 20 lines are shown."""
        del args, facts
        return ""


# --- files -----------------------------------------------------------------------------------------------------


class Sort(StrEnum):
    """What lies at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special"  # device, socket, pipe
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Located:
    """A path, resolved once beneath the workspace and held open from then on.

    `path` is relative to the workspace, POSIX form, as it lands (links resolved); `target` is the same place as an
    absolute name. `identity` is (device, inode, size, mtime in ns), None when absent. `handle` belongs to the view
    that made it (an open folder and a name in it); hands act on the handle and never resolve the path again.
    `traits` are what a name cannot show: `hidden` (the policy hides it), `hidden-alias` (another name of a hidden
    file), `outside` (it lands outside the workspace; nothing was opened), `readonly`.
    """

    path: str
    target: Target
    sort: Sort
    size: int = 0
    mode: int = 0
    identity: tuple[int, int, int, int] | None = None
    traits: frozenset[str] = field(default_factory=frozenset[str])
    handle: object = None

    @property
    def exists(self) -> bool:
        return self.sort is not Sort.ABSENT


@dataclass(frozen=True, slots=True)
class Listed:
    """One name in a folder's listing."""

    name: str
    sort: Sort
    size: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything below a folder, the folder itself included, for a recursive removal or move.

    `files` counts files and links, `folders` folders. `complete` is False when the look was cut short by its bound
    (then the stage counts). `below` holds every path (without a handle), the folder first, so that rules can judge each
    one; `traits` is the union over them.
    """

    files: int
    folders: int
    complete: bool
    below: tuple[Located, ...]
    traits: frozenset[str]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for. `pattern` is a regular expression over lines (None: names only); `glob` narrows the names."""

    pattern: str | None
    glob: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class Match:
    """One hit: `line` and `text` are None where only the name was asked for."""

    path: str
    line: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. `more`: the limit, the time or an unreadable file cut it short (`note` says which)."""

    matches: tuple[Match, ...]
    more: bool
    note: str = ""


class FileView(Protocol):
    """Read-only looking at the workspace.

    Every path is resolved beneath the workspace root, race-free: no `..` out, no absolute path elsewhere, no magic
    link, no mount crossing into `/proc`. Links are followed and judged where they land; one that lands outside gives a
    `Located` with the trait `outside` and nothing opened. Raises `Refused(INVALID_ARGUMENTS)` for a path that is
    no path (NUL, empty, over 4,096 bytes).
    """

    async def locate(self, path: str, *, follow: bool = True) -> Located:
        """Resolve. With `follow=False` a link as the last part is the thing itself (removing, moving)."""
        ...

    async def content(self, at: Located, limit: int) -> bytes:
        """The whole content of a regular file, or `Refused(FAILED)` where it is larger than `limit` bytes."""
        ...

    async def tree(self, at: Located, limit: int = 20_000) -> Tree:
        """Walk a folder, at most `limit` names and 500 ms."""
        ...


class FileReading(Protocol):
    """Hands that only look: what they show is what the survey opened."""

    async def content(self, at: Located, offset: int, limit: int) -> bytes:
        """Up to `limit` bytes from byte `offset` of a regular file."""
        ...

    async def entries(self, at: Located, limit: int) -> tuple[Sequence[Listed], bool]:
        """A folder's listing in order of name, hidden names left out; and whether there are more."""
        ...

    async def search(self, at: Located, search: Search) -> Found:
        """Look through the files below `at`; hidden files, ignored files (.gitignore) and binaries are passed over."""
        ...


class FileHands(Protocol):
    """Hands that change the workspace, inside a stage: nothing is seen by others until the gate commits."""

    async def write(self, at: Located, content: bytes) -> None:
        """Create or replace a file; parents are made. Mode, owner and extended attributes are kept as they were."""
        ...

    async def move(self, source: Located, target: Located) -> None:
        """Rename. A target that exists is replaced only where the plan declared it."""
        ...

    async def remove(self, at: Located, *, recursive: bool) -> None:
        """Take away a file, a link, an empty folder, or with `recursive` a whole folder."""
        ...


# --- sql -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sample:
    """A few changed rows, before and after, a line each: put there by the hands that ran the statement, before empty.
    Only for showing to a person; nothing is judged by it."""

    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, classified against one database as it is now. What is executed is exactly `sql`.

    `effects` are what the text declares; those of a change wait for the stage, which counts rows, cascades and
    triggers. `schema` is a digest of the database's structure: a statement surveyed against another one is a conflict.
    """

    database: str
    sql: str
    parameters: tuple[object, ...] | Mapping[str, object]
    effects: tuple[Effect, ...]
    changes: bool
    schema: str
    sample: Sample = field(default_factory=Sample, compare=False)


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of an answer: `more` when there are further rows, `note` when bytes or time cut it short."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    more: bool
    note: str = ""


Parameters = Sequence[object] | Mapping[str, object] | None


class SqlView(Protocol):
    """Classifying a statement. Raises `Refused(DENIED)` with the rule and what would pass, `Refused(NOT_FOUND)`
    for a database that the policy does not name, `Refused(INVALID_ARGUMENTS)` for what does not parse."""

    async def query(self, database: str, sql: str, parameters: Parameters) -> Statement: ...

    async def change(self, database: str, sql: str, parameters: Parameters) -> Statement: ...


class SqlReading(Protocol):
    """Hands that only read rows, enforced by the engine itself."""

    async def rows(self, statement: Statement, limit: int, offset: int) -> Rows: ...


class SqlHands(Protocol):
    """Hands that change rows inside one transaction, which the gate commits or rolls back."""

    async def run(self, statement: Statement) -> Mapping[str, int]:
        """Run it; rows really changed, by table, cascades and triggers included."""
        ...


# --- the gate's own --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot: what undoing one receipt would restore. `moved_on` names what has changed since."""

    receipt: str
    tool: str
    effects: tuple[Effect, ...]
    moved_on: tuple[str, ...]
    handle: object = None


class GateView(Protocol):
    """What the gate tells about itself."""

    async def status(self) -> str:
        """Policy in words, what is left of each budget, pending approvals, the sandbox's tier."""
        ...

    async def kept(self, receipt: str | None) -> Kept:
        """The snapshot of `receipt`, or of this session's last undoable call. `Refused(NOT_FOUND)`: there is none."""
        ...


class StatusHands(Protocol):
    """Hands that only tell."""

    async def status(self) -> str: ...


class UndoHands(Protocol):
    """Hands that put before-images back, inside a stage."""

    async def restore(self, kept: Kept) -> None:
        """Restore all of it, or `Refused(CONFLICT)` where the world has moved on: never overwritten."""
        ...


class View(Protocol):
    """Everything a survey may look at."""

    @property
    def files(self) -> FileView: ...
    @property
    def sql(self) -> SqlView: ...
    @property
    def gate(self) -> GateView: ...
