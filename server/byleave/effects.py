"""The words: what a call would do, or did. No I/O here, and nothing of ours is imported.

An effect is one sentence: verb, target, extent, undo. Everything that judges, shows, records or
counts speaks in these words, so that a policy, a log line and a person's approval cannot mean
different things.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Verb(StrEnum):
    """What is done to the target. Closed: an unknown verb is refused, never guessed."""

    READ = "read"
    SEARCH = "search"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CHMOD = "chmod"
    EXECUTE = "execute"
    CONNECT = "connect"
    SEND = "send"
    PUBLISH = "publish"
    DEFINE = "define"
    GRANT = "grant"
    INSTALL = "install"
    RESTORE = "restore"


#: Verbs that change nothing: one record, no intent before them.
LOOKING = frozenset({Verb.READ, Verb.SEARCH})


class Undo(StrEnum):
    """How the effect can be taken back."""

    SNAPSHOT = "snapshot"  # we keep the before-image
    TRIVIAL = "trivial"  # nothing is lost
    NONE = "none"


class Unit(StrEnum):
    """What an extent counts."""

    FILES = "files"
    ROWS = "rows"
    BYTES = "bytes"
    COMMITS = "commits"


class Precision(StrEnum):
    """How far an extent's number can be believed."""

    EXACT = "exact"
    AT_MOST = "at_most"
    ESTIMATE = "estimate"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of the target: a count of `unit`, and how sure it is. `amount` is None only when unknown."""

    unit: Unit
    amount: int | None
    precision: Precision = Precision.EXACT

    def __post_init__(self) -> None:
        if (self.amount is None) != (self.precision is Precision.UNKNOWN):
            raise ValueError("an extent has an amount exactly when its precision is not `unknown`")
        if self.amount is not None and self.amount < 0:
            raise ValueError("an extent cannot be negative")

    def __str__(self) -> str:
        if self.amount is None:
            return f"unknown {self.unit}"
        noun = self.unit.value[:-1] if self.amount == 1 else self.unit.value
        sign = {Precision.AT_MOST: "at most ", Precision.ESTIMATE: "about "}.get(self.precision, "")
        return f"{sign}{self.amount:,} {noun}"

    def exceeds(self, bound: int) -> bool:
        """Whether this may be more than `bound`; an unknown extent always may."""
        return self.amount is None or self.amount > bound


def files(amount: int, precision: Precision = Precision.EXACT) -> Extent:
    return Extent(Unit.FILES, amount, precision)


def rows(amount: int, precision: Precision = Precision.EXACT) -> Extent:
    return Extent(Unit.ROWS, amount, precision)


def unknown(unit: Unit) -> Extent:
    return Extent(unit, None, Precision.UNKNOWN)


class Scheme(StrEnum):
    """The kind of thing a target is; the word before its first colon."""

    FILE = "file"
    SQL = "sql"
    GIT = "git"
    PKG = "pkg"
    HTTPS = "https"
    PROGRAM = "program"
    GATE = "gate"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing in the world, by a canonical name.

    `file:///abs/path` is where a path lands after every link is resolved; `sql:app/public.orders`;
    `git:origin/main`; `pkg:pypi/requests@2.32` (a purl); `gate:status`.
    """

    scheme: Scheme
    name: str

    def __str__(self) -> str:
        slashes = "//" if self.scheme in (Scheme.FILE, Scheme.HTTPS) else ""
        return f"{self.scheme}:{slashes}{self.name}"

    @classmethod
    def file(cls, path: str) -> Target:
        """An absolute, canonical path (POSIX form). Undecodable bytes travel as surrogate escapes."""
        if not path.startswith("/"):
            raise ValueError("a file target is an absolute path")
        return cls(Scheme.FILE, path)

    @classmethod
    def sql(cls, database: str, table: str = "*") -> Target:
        return cls(Scheme.SQL, f"{database}/{table}")


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a call would do, or did.

    `waits` marks an effect that a stage confines and will measure before it counts: the judge
    looks at it again then. `content` is a digest of what will be there afterwards and `before` of what
    is there now; both enter the approval digest, so that leave holds for exactly these bytes.
    `traits` are facts of the survey that no name shows (`binary`, `hardlink-to-hidden`, ...).
    """

    verb: Verb
    target: Target
    extent: Extent
    undo: Undo
    waits: bool = False
    before: str | None = None
    content: str | None = None
    traits: frozenset[str] = field(default_factory=frozenset[str])

    def __str__(self) -> str:
        return f"{self.verb} {self.target} ({self.extent}, undo {self.undo})"

    def as_json(self) -> dict[str, object]:
        """The effect as the log, the CLI and `_meta` carry it."""
        out: dict[str, object] = {
            "verb": self.verb.value,
            "target": printable(str(self.target)),
            "extent": {
                "unit": self.extent.unit.value,
                "amount": self.extent.amount,
                "precision": self.extent.precision.value,
            },
            "undo": self.undo.value,
            "waits": self.waits,
        }
        if self.before is not None:
            out["before"] = self.before
        if self.content is not None:
            out["content"] = self.content
        if self.traits:
            out["traits"] = sorted(self.traits)
        return out


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call declares before it acts. Pure function of arguments and facts.

    `staged` promises that the tool's hands hold every act in a stage until commit; only then may an effect
    wait. A plan without effects is refused: a tool that cannot say what it does may not do it.
    `preview` renders a diff or sample for a person. It is a callable, because files are read for it only
    when someone is asked.
    """

    effects: tuple[Effect, ...]
    staged: bool = False

    @property
    def only_looks(self) -> bool:
        return bool(self.effects) and all(e.verb in LOOKING for e in self.effects)


def printable(text: str) -> str:
    """Text with control, bidi and undecodable characters escaped, so that a name cannot write on a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def digest(*parts: object) -> str:
    """SHA-256 over the JSON of `parts` (sorted keys, ASCII): equal parts, equal digest, across processes."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(effects: Iterable[Effect]) -> str:
    """The digest that an approval binds: order does not matter, every word of every effect does.

    `waits` is left out: it says when an effect is judged, not what it is.
    """
    return digest(sorted(json.dumps({**e.as_json(), "waits": False}, sort_keys=True) for e in effects))


def within(observed: Iterable[Effect], allowed: Iterable[Effect]) -> bool:
    """Whether what was observed is no more than what was allowed: verb by verb, target by target.

    A waiting effect allows nothing by itself: what it stood for is judged anew.
    """
    leave = {(e.verb, e.target): e for e in allowed if not e.waits}
    for effect in observed:
        granted = leave.get((effect.verb, effect.target))
        if granted is None or effect.traits - granted.traits:
            return False
        if granted.extent.amount is None or effect.extent.exceeds(granted.extent.amount):
            return False
        if granted.content is not None and effect.content != granted.content:
            return False
        if granted.undo is not Undo.NONE and effect.undo is Undo.NONE:
            return False
    return True
