"""What a statement really did, row by row, as the engine reports it: counts, keys, before- and after-images.

SQLite's preupdate hook (https://www.sqlite.org/c3ref/preupdate_blobwrite.html) speaks of every row that changes: by
cascades, by triggers, rows that REPLACE removes, tables without a row number and without a key. Rows of virtual tables
it does not see, only those of the tables beneath. One row may change several times in one statement: what counts is
how it was and how it is.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import apsw

from byleave.capability import Refused, Word
from byleave.effects import Effect, Target, Undo, Unit, Verb, digest, printable, rows, unknown
from byleave.hands.sql.lexer import fold
from byleave.hands.sql.sqlite.structure import Structure, Table

Value = None | int | float | str | bytes
Image = tuple[Value, ...]
Key = tuple[Value, ...]

#: Beyond these no images are kept, and the change cannot be undone.
MOST_ROWS = 50_000
MOST_BYTES = 64 * 1024 * 1024
#: Beyond this the statement is stopped: nobody means to change so many rows by one call of an agent.
STOP_AT = 200_000

#: JSON readers may round integers beyond this.
_EXACT = 2**53


def encode(value: Value) -> object:
    """A value as JSON that comes back the same: kind and bit for bit. Called for every value of every changed row."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -_EXACT < value < _EXACT else {"i": str(value)}
    if isinstance(value, float):
        return {"f": value.hex() if math.isfinite(value) else repr(value)}
    return {"b": base64.b64encode(value).decode()}


def decode(value: object) -> Value:
    """The inverse of `encode`. Raises ValueError for what it never wrote."""
    if value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    marked = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    match list(marked.items()):
        case [("i", str(text))]:
            return int(text)
        case [("f", str(text))]:
            return float(text) if text in ("inf", "-inf") else float.fromhex(text)
        case [("b", str(text))]:
            return base64.b64decode(text, validate=True)
        case _:
            raise ValueError("no value of a row")


def same(one: Image, other: Image) -> bool:
    """Equal in kind and value: `1` is not `1.0`, `0.0` is not `-0.0`."""
    if one != other or [*map(type, one)] != [*map(type, other)]:
        return False
    return 0.0 not in one or repr(one) == repr(other)


@dataclass(slots=True)
class Row:
    """One row followed through the change. `was` and `now` are its keys before and after, None where there is none."""

    table: Table
    was: Key | None
    before: Image | None
    now: Key | None = None
    after: Image | None = None

    @property
    def is_told(self) -> bool:
        """Whether the engine has told what the row was like and is like now, as far as it was and is there."""
        return (self.was is None) == (self.before is None) and (self.now is None) == (self.after is None)

    @property
    def verb(self) -> Verb | None:
        """None where in the end nothing has changed."""
        if self.was is None:
            return Verb.CREATE if self.now is not None else None
        if self.now is None:
            return Verb.DELETE
        unknown_images = self.before is None or self.after is None
        if unknown_images or self.was != self.now:
            return Verb.UPDATE
        return None if same(self.before or (), self.after or ()) else Verb.UPDATE


def _exact(image: Image | None, table: Table) -> Image | None:
    """The hook tells `1` for a decimal column's default of rows that are older than the column; reading says `1.0`."""
    reals = table.reals
    if image is None or not reals:
        return image
    return tuple(float(v) if at in reals and isinstance(v, int) else v for at, v in enumerate(image))


class Change(Protocol):
    """What the hook is called with: `apsw.PreUpdate`, as far as it is needed here."""

    @property
    def connection(self) -> apsw.Connection: ...
    @property
    def table_name(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def rowid(self) -> int: ...
    @property
    def rowid_new(self) -> int: ...
    @property
    def old(self) -> Image | None: ...
    @property
    def new(self) -> Image | None: ...


@dataclass(slots=True)
class Recorder:
    """The hook, and what it has seen. `unsafe` says why the change cannot be undone, empty where it can; `full`
    that no more images are kept."""

    structure: Structure
    unsafe: str = ""
    events: int = 0
    size: int = 0
    full: bool = False
    virtual: set[str] = field(default_factory=set[str])
    changed: tuple[tuple[Verb, Row], ...] = ()  # every row that is different now; once the hook is off
    _tables: dict[str, Table | None] = field(default_factory=dict[str, Table | None])
    _live: dict[tuple[str, Key], Row] = field(default_factory=dict[tuple[str, Key], Row])
    _gone: dict[tuple[str, Key], Row] = field(default_factory=dict[tuple[str, Key], Row])

    def __call__(self, change: Change) -> None:
        self.events += 1
        if self.events > STOP_AT:
            change.connection.interrupt()
            return
        raw = change.table_name
        table = self._tables.get(raw) or self._tables.setdefault(raw, self.structure.tables.get(fold(raw)))
        if table is None:
            self.unsafe = "a table came up that was not there before"
            return
        name = table.folded
        if table.sort == "shadow" and (owner := self.structure.shadow_of(name)) is not None:
            self.virtual.add(owner)
            self.unsafe = f"`{printable(owner)}` is a virtual table, whose content is not kept row by row"
            return
        old, new = self._images(change, table)
        was, now = self._key(table, change.rowid, old), self._key(table, change.rowid_new, new)
        if self.full:
            old = new = None
        if change.op == "INSERT":
            row = self._gone.pop((name, now), Row(table, None, None))
        else:
            row = self._live.pop((name, was), Row(table, was, old))
        if change.op == "DELETE":
            row.now = row.after = None
            if row.was is not None:
                self._gone[name, row.was] = row
        else:
            row.now, row.after = now, new
            self._live[name, now] = row

    def _images(self, change: Change, table: Table) -> tuple[Image | None, Image | None]:
        if not table.stable:
            self.unsafe = f"the rows of `{printable(table.name)}` have no name that stays"
        if not self.structure.utf8:
            self.unsafe = "the database keeps its texts as UTF-16"
        if self.full and table.numbered:
            return None, None
        try:
            old, new = _exact(change.old, table), _exact(change.new, table)
        except UnicodeDecodeError:
            self.unsafe = f"a text in `{printable(table.name)}` is not UTF-8"
            return None, None
        except apsw.Error:
            self.unsafe = f"`{printable(table.name)}` has generated columns, whose rows the engine does not tell"
            return None, None
        for value in (*(old or ()), *(new or ())):
            self.size += len(value) if isinstance(value, (str, bytes)) else 8
        if self.events > MOST_ROWS or self.size > MOST_BYTES:
            self.full = True
            self.unsafe = f"it changes more than is kept ({MOST_ROWS:,} rows, {MOST_BYTES // 1024 // 1024} MB)"
        return old, new

    def _key(self, table: Table, rowid: int, image: Image | None) -> Key:
        if table.numbered:
            return (rowid,)
        if image is None:
            return (self.events,)  # each counted by itself: nothing can be followed here
        return tuple(image[at] for at in table.key)

    def conclude(self) -> None:
        """The statement has run: what it comes to, row by row."""
        rows = (*self._gone.values(), *self._live.values())
        self.changed = tuple((verb, row) for row in rows if (verb := row.verb) is not None)

    def effects(self, database: str, traits: Mapping[str, frozenset[str]]) -> tuple[Effect, ...]:
        """Exact counts by table and verb. `content` binds the rows: the keys of what is updated and deleted."""
        keys: dict[tuple[str, Verb], list[list[object]]] = {}
        for verb, row in self.changed:
            key = row.was if row.was is not None else row.now
            keys.setdefault((row.table.folded, verb), []).append([encode(v) for v in key or ()])
        undo = Undo.NONE if self.unsafe else Undo.SNAPSHOT
        counted = [
            Effect(
                verb,
                Target.sql(database, name),
                rows(len(found)),
                undo,
                content=None if verb is Verb.CREATE else digest(sorted(found, key=repr)),
                traits=traits.get(name, frozenset()),
            )
            for (name, verb), found in sorted(keys.items())
        ]
        hidden = [
            Effect(
                Verb.UPDATE,
                Target.sql(database, name),
                unknown(Unit.ROWS),
                Undo.NONE,
                traits=traits.get(name, frozenset()),
            )
            for name in sorted(self.virtual)
        ]
        return (*counted, *hidden)

    def too_many(self) -> Refused | None:
        if self.events <= STOP_AT:
            return None
        return Refused(
            Word.DENIED,
            f"the statement changes more than {STOP_AT:,} rows",
            "nothing was changed. narrow the condition, or ask a person to run it",
            rule="sql.too-many-rows",
        )


# --- shown to a person -----------------------------------------------------------------------------------------------


def sample(recorder: Recorder, most: int = 5) -> tuple[str, ...]:
    """A few rows before and after, a line each."""
    return tuple(_line(verb, row) for verb, row in recorder.changed[:most])


def _line(verb: Verb, row: Row) -> str:
    key = ", ".join(shown(v) for v in (row.was if row.was is not None else row.now) or ())
    head = f"{verb} {printable(row.table.name)} {key}"
    names = [column.name for column in row.table.columns]
    if row.before is None and row.after is None:
        return head
    if row.before is not None and row.after is not None:
        pairs = [
            f"{printable(name)}: {shown(old)} -> {shown(new)}"
            for name, old, new in zip(names, row.before, row.after, strict=False)
            if not same((old,), (new,))
        ]
    else:
        image = row.before if row.before is not None else row.after
        pairs = [f"{printable(name)}: {shown(value)}" for name, value in zip(names, image or (), strict=False)]
    return f"{head}: {', '.join(pairs)}"[:300]


def shown(value: Value, most: int = 60) -> str:
    """A value on a line, for a person: nothing in it can write on a terminal."""
    match value:
        case None:
            return "null"
        case bytes():
            return f"{len(value)} bytes"
        case str():
            return repr(printable(value[:most]) + ("..." if len(value) > most else ""))
        case int() | float():
            return str(value)
