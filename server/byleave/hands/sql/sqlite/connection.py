"""One connection to one file, made safe before its first statement: switches, limits, deadline and authorizer.

The authorizer (https://www.sqlite.org/c3ref/set_authorizer.html) is the wall: the engine asks it about every table,
column, function and pragma that a statement, its triggers, views and cascades touch, by their real names. It denies by
default.
`mode=ro` and `query_only` alone would let `ATTACH` and `VACUUM INTO` write new files.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import apsw

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.hands.sql.functions import FUNCTIONS, MOST_SLOW_LENGTH, PRAGMAS
from byleave.hands.sql.lexer import fold
from byleave.hands.sql.sqlite.place import Identity, Place
from byleave.hands.sql.sqlite.words import in_words

#: The longest value in a statement of the agent; our own put back whatever was there.
MOST_LENGTH = 1_000_000
#: All values of one row together may be so long: of a wide one each less than MOST_LENGTH.
MOST_ROW = 32 * 1024 * 1024
#: Memory of the engine, of all connections together: what is sorted or compared for DISTINCT lies there, not on disk.
MOST_MEMORY = 512 * 1024 * 1024
LIMITS: Mapping[int, int] = {
    apsw.SQLITE_LIMIT_SQL_LENGTH: 64 * 1024,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 500,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: 1000,
}
SWITCHES: Mapping[int, int] = {
    apsw.SQLITE_DBCONFIG_DQS_DML: 0,
    apsw.SQLITE_DBCONFIG_DQS_DDL: 0,
    apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_DEFENSIVE: 1,
    apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FKEY: 1,
}

#: Between two looks at the clock: this many instructions of SQLite's machine. Measured: 0.05 s on 2 million rows.
TICKS = 1000
SLOW_TICKS = 20

Bindings = Any  # what apsw binds: its own type names buffers that type checkers do not know

_WRITES = {apsw.SQLITE_INSERT: "insert", apsw.SQLITE_UPDATE: "update", apsw.SQLITE_DELETE: "delete"}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that the engine says a statement does to a table. `within` is the trigger or view that does it."""

    verb: str  # read, insert, update, delete
    table: str
    within: str | None


@dataclass(slots=True)
class Warden:
    """The authorizer of one connection. Statements of our own pass while `own` is set, the agent's are asked about.

    `acts` collects what the engine says, `refused` the first thing that was not allowed, in words.
    """

    allows: Callable[[Act], bool] = lambda act: act.verb == "read"
    own: bool = True
    acts: dict[Act, None] = field(default_factory=dict[Act, None])
    refused: str = ""

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, within: str | None
    ) -> int:
        if self.own or self._passes(action, fold(first or ""), second, database, within):
            return int(apsw.SQLITE_OK)
        return int(apsw.SQLITE_DENY)

    def _passes(  # noqa: PLR0911 (a table of actions)
        self, action: int, first: str, second: str | None, database: str | None, within: str | None
    ) -> bool:
        if action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE):
            return True
        if action == apsw.SQLITE_FUNCTION:
            return self._or_say(fold(second or "") in FUNCTIONS, f"the function `{printable(second or '')[:40]}`")
        if action == apsw.SQLITE_PRAGMA:
            # Full text search asks for `data_version` by itself.
            return self._or_say(
                first in PRAGMAS or (first == "data_version" and second is None), f"`pragma {printable(first)[:40]}`"
            )
        if database not in (None, "main"):
            return self._or_say(False, f"the database `{printable(database or '')[:40]}`")
        if action == apsw.SQLITE_READ:
            return self._ask(Act("read", first, within))
        if action in _WRITES:
            return self._ask(Act(_WRITES[action], first, within))
        return self._or_say(False, "something other than reading and changing rows")

    def _ask(self, act: Act) -> bool:
        allowed = self.allows(act)
        if allowed:
            self.acts[act] = None
        by = f" by `{printable(act.within)[:40]}`" if act.within else ""
        return self._or_say(allowed, f"{act.verb} of `{printable(act.table)[:60]}`{by}")

    def _or_say(self, allowed: bool, what: str) -> bool:
        if not allowed and not self.refused:
            self.refused = what
        return allowed


class Connection:
    """An open database with its warden. Used by one thread at a time. Raises `Refused`, no error of the engine."""

    def __init__(self, place: Place, *, writing: bool, busy_ms: int = 5000) -> None:
        self.place = place
        self.identity: Identity = place.look()
        self.warden = Warden()
        self._moved = ctypes.c_int(0)
        mode, flags = ("rw", apsw.SQLITE_OPEN_READWRITE) if writing else ("ro", apsw.SQLITE_OPEN_READONLY)
        apsw.hard_heap_limit(MOST_MEMORY)
        flags |= apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW
        with self._words():
            # No statement cache: a cached statement would not be asked about again.
            self.raw = apsw.Connection(f"file:{quote(place.path)}?mode={mode}", flags=flags, statementcachesize=0)
        try:
            self._prepare(writing, busy_ms)
        except BaseException:
            self.close()
            raise

    def _prepare(self, writing: bool, busy_ms: int) -> None:
        with self._words():
            for switch, value in SWITCHES.items():
                self.raw.config(switch, value)
            for limit, most in LIMITS.items():
                self.raw.limit(limit, most)
            self.raw.set_busy_timeout(busy_ms)
            self.raw.authorizer = self.warden
        self.check_place()
        self.own("pragma temp_store=memory")
        self.own("pragma mmap_size=0")
        if not writing:
            self.own("pragma query_only=1")

    def check_place(self) -> None:
        """Raises `Refused(CONFLICT)` where the name leads to another file than the one that is open."""
        with self._words():
            self.raw.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(self._moved))
        if self._moved.value or self.place.look() != self.identity:
            raise Refused(
                Word.CONFLICT,
                f"database `{printable(self.place.database)}`: its file was replaced meanwhile",
                "nothing was done. look again, then repeat the call",
            )

    @property
    def finds_leftovers(self) -> bool:
        """Whether a writer has died here and left a journal, which a reading connection must not roll back."""
        cursor: Any = self.raw.cursor()
        try:
            list(cursor.execute("pragma schema_version"))
        except apsw.ReadOnlyError:
            return True
        except apsw.Error:
            return False  # told in words by the next statement
        return False

    @property
    def version(self) -> str:
        """Which structure of which file: changes with every change of the structure."""
        return f"{self.identity}:{self.own('pragma schema_version')[0][0]}"

    def own(self, sql: str, bindings: Bindings = None) -> list[tuple[Any, ...]]:
        """One of our own statements, whole."""
        with self._words():
            cursor: Any = self.raw.cursor()
            cursor.execute(sql, bindings)
            return list(cursor)

    def asks(self, sql: str, bindings: Bindings, allows: Callable[[Act], bool]) -> tuple[Act, ...]:
        """What the engine says that a statement touches, in order. It is prepared, never run."""

        def stop(*_: object) -> bool:
            return False

        cursor: Any = self.raw.cursor()
        cursor.exec_trace = stop
        try:
            with self._agent(allows, seconds=2.0), suppress(apsw.ExecTraceAbort):
                cursor.execute(sql, bindings)
            return tuple(self.warden.acts)
        finally:
            cursor.close(True)

    @contextmanager
    def running(
        self, sql: str, bindings: Bindings, allows: Callable[[Act], bool], seconds: float, *, slow: bool = False
    ) -> Generator[Running]:
        """Run the agent's statement. Exactly one: a second one in the text would stop it. `slow`: as its shape says."""
        running = Running(self.raw.cursor())
        running.cursor.exec_trace = running.begins
        try:
            with self._agent(allows, seconds, slow=slow):
                running.cursor.execute(sql, bindings)
                yield running
        finally:
            # A statement that is not ended keeps its lock.
            running.cursor.close(True)

    @contextmanager
    def _agent(self, allows: Callable[[Act], bool], seconds: float, *, slow: bool = False) -> Generator[None]:
        """The agent's statement is authorized and timed; also what the engine prepares on its behalf while it runs."""
        warden = self.warden
        warden.allows, warden.own, warden.refused = allows, False, ""
        warden.acts.clear()
        until = time.monotonic() + seconds
        whole = self.raw.limit(apsw.SQLITE_LIMIT_LENGTH, MOST_SLOW_LENGTH if slow else MOST_LENGTH)
        self.raw.set_progress_handler(lambda: time.monotonic() > until, SLOW_TICKS if slow else TICKS)
        try:
            with self._words():
                yield
        finally:
            warden.own = True
            self.raw.limit(apsw.SQLITE_LIMIT_LENGTH, whole)
            self.raw.set_progress_handler(None)

    @contextmanager
    def _words(self) -> Generator[None]:
        try:
            yield
        except (apsw.Error, ValueError, OverflowError, KeyError, TypeError) as error:
            raise in_words(error, self.place.database, self.warden.refused if not self.warden.own else "") from None

    def close(self) -> None:
        """Never raises."""
        self.raw.close(True)


@dataclass(slots=True)
class Running:
    """A statement under way."""

    cursor: Any  # an `apsw.Cursor`
    columns: tuple[str, ...] = ()
    begun: int = 0

    def begins(self, cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        """Called by the engine before each statement of the text."""
        del sql, bindings
        self.begun += 1
        self.columns = tuple(str(column[0]) for column in cursor.get_description())
        most = MOST_ROW // max(1, len(self.columns))
        if most < cursor.connection.limit(apsw.SQLITE_LIMIT_LENGTH):
            cursor.connection.limit(apsw.SQLITE_LIMIT_LENGTH, most)
        return self.begun == 1
