"""Changing rows in one transaction that does not count yet, and putting rows back in another.

1 BEGIN IMMEDIATE                    others may read; a writer that is there is waited for, a few seconds
2 same file, same structure          as surveyed, else a conflict
3 the statement                      the authorizer lets through what was declared; the hook follows every row
4 deferred foreign keys              looked at here, not only at COMMIT
5 COMMIT or ROLLBACK                 the gate's choice
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Protocol

import apsw

from byleave.capability import Refused, Statement, Word
from byleave.effects import LOOKING, Effect, Plan, Verb, digest, printable
from byleave.hands.sql.functions import TABLE_FUNCTIONS
from byleave.hands.sql.guard import classify
from byleave.hands.sql.sqlite.connection import Act, Connection
from byleave.hands.sql.sqlite.images import Image, Recorder, Row, encode, sample
from byleave.hands.sql.sqlite.structure import Structure
from byleave.hands.stage import Keeper, Order

#: One statement of a change, at most this many seconds.
SECONDS = 30.0

#: Rows by which recovery can tell whether a change counted.
ENOUGH = 100

_VERBS = {"insert": Verb.CREATE, "update": Verb.UPDATE, "delete": Verb.DELETE, "read": Verb.READ}


class Opens(Protocol):
    """Makes write connections, and knows the structure by version."""

    @property
    def name(self) -> str: ...
    def writer(self, *, restoring: bool = False) -> Connection: ...
    def structure(self, connection: Connection) -> Structure: ...


class Transaction:
    """A stage over one database: rows changed in a transaction, measured, and kept before they count."""

    order = Order.TRANSACTION

    def __init__(self, engine: Opens, keeper: Keeper) -> None:
        self._engine = engine
        self._keeper = keeper
        self._connection: Connection | None = None
        self._recorder: Recorder | None = None
        self._observed: tuple[Effect, ...] | None = None
        self._traits: Mapping[str, frozenset[str]] = {}

    @property
    def hands(self) -> object:
        return self

    def begin(self, *, restoring: bool = False) -> tuple[Connection, Structure]:
        """Open, lock, and be sure what was opened."""
        if self._connection is not None:
            raise Refused(Word.FAILED, "one change at a time", "send each statement in a call of its own")
        self._connection = connection = self._engine.writer(restoring=restoring)
        connection.own("begin immediate")
        connection.check_place()
        return connection, self._engine.structure(connection)

    def watched(self, connection: Connection, structure: Structure, act: Callable[[], None]) -> Recorder:
        """Run `act` with the hook on, and make sure that it may be committed at all."""
        recorder = self._recorder = Recorder(structure)
        connection.raw.preupdate_hook(recorder)
        try:
            act()
        except Refused as no:
            raise recorder.too_many() or no from None
        finally:
            connection.raw.preupdate_hook(None)
        recorder.conclude()
        if recorder.events and connection.raw.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise Refused(
                Word.FAILED,
                f"database `{printable(self._engine.name)}`: rows would refer to rows that are not there",
                "nothing was changed. `describe TABLE` shows the foreign keys; change or delete those rows first",
            )
        return recorder

    def observe(self) -> tuple[Effect, ...]:
        if self._observed is None and self._recorder is not None:
            self._observed = self._recorder.effects(self._engine.name, self._traits)
        return self._observed or ()

    def hold(self) -> Mapping[str, object] | None:
        recorder, connection = self._recorder, self._connection
        if recorder is None or connection is None:
            return None
        changed = [row for _, row in recorder.changed]
        if not changed and not recorder.virtual:
            return None
        # What cannot be undone keeps a few rows all the same: recovery tells by them whether it counted.
        told = changed if not recorder.unsafe else [row for row in changed if row.is_told][:ENOUGH]
        images = [_row_json(row) for row in told]
        content = json.dumps(images, ensure_ascii=True, separators=(",", ":")).encode()
        tables = {row.table.folded: row.table for row in changed}
        return {
            "kind": "sql",
            "engine": "sqlite",
            "database": self._engine.name,
            "file": str(connection.identity),
            "tables": {name: shape_of(table.made, table.stored) for name, table in sorted(tables.items())},
            "rows": len(changed),
            "images": self._keeper.keep(content),
            "unsafe": recorder.unsafe,
        }

    def commit(self) -> None:
        connection = self._connection
        if connection is None:
            raise Refused(Word.CONFLICT, "the transaction is gone", "nothing was changed. repeat the call")
        try:
            connection.check_place()
            connection.own("commit")
        finally:
            self.discard()

    def discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if connection.raw.in_transaction:
                connection.own("rollback")
        except (Refused, apsw.Error):
            # Closing rolls back what is left; the file is as it was either way.
            pass
        finally:
            connection.close()

    def release(self) -> bool:
        self.discard()
        return False


def shape_of(made: str, stored: tuple[str, ...]) -> str:
    """What an image of a table depends on: images go back only into a table of the same making."""
    return digest(made, list(stored))


def _row_json(row: Row) -> list[object]:
    return [row.table.folded, _values(row.was), _stored(row, row.before), _values(row.now), _stored(row, row.after)]


def _stored(row: Row, image: Image | None) -> object:
    """Without generated columns: they follow from the others."""
    columns = row.table.columns
    if image is None or len(row.table.stored) == len(columns):
        return _values(image)
    return [encode(v) for v, column in zip(image, columns, strict=True) if column.hidden == 0]


def _values(image: Image | None) -> object:
    return None if image is None else [encode(v) for v in image]


class Changing(Transaction):
    """Hands for one statement that changes rows."""

    def __init__(self, engine: Opens, keeper: Keeper, plan: Plan) -> None:
        super().__init__(engine, keeper)
        self._plan = plan

    async def run(self, statement: Statement) -> Mapping[str, int]:
        if not statement.changes or not set(statement.effects) <= set(self._plan.effects):
            raise Refused(Word.DENIED, "the statement is not the one that was declared", rule="sql.beyond")
        try:
            return self._run(statement)
        except BaseException:
            self.discard()
            raise

    def _run(self, statement: Statement) -> Mapping[str, int]:
        connection, structure = self.begin()
        if connection.version != statement.schema:
            raise Refused(
                Word.CONFLICT,
                f"database `{printable(self._engine.name)}`: its structure has changed meanwhile",
                "nothing was changed. look again with `describe`, then repeat the call",
            )
        self._traits = {e.target.name.partition("/")[2]: e.traits for e in statement.effects if e.verb not in LOOKING}
        shape = classify(statement.sql)
        allows = declared(statement.effects, structure, shape.ctes)

        def act() -> None:
            with connection.running(statement.sql, statement.parameters, allows, SECONDS, slow=shape.slow) as running:
                for _ in running.cursor:
                    pass

        recorder = self.watched(connection, structure, act)
        statement.sample.lines = sample(recorder)
        counts: dict[str, int] = {}
        for effect in self.observe():
            name = effect.target.name.partition("/")[2]
            counts[name] = counts.get(name, 0) + (effect.extent.amount or 0)
        return counts


def declared(effects: tuple[Effect, ...], structure: Structure, ctes: frozenset[str]) -> Callable[[Act], bool]:
    """What the authorizer lets through: declared verbs on declared tables, and what virtual tables do beneath."""
    leave = {(e.verb, e.target.name.partition("/")[2]) for e in effects}
    own = ctes | TABLE_FUNCTIONS | {""}
    written = {table for verb, table in leave if verb not in LOOKING}

    def allows(act: Act) -> bool:
        if (owner := structure.shadow_of(act.table)) is not None:
            return owner in written or (act.verb == "read" and (Verb.READ, owner) in leave)
        if (_VERBS[act.verb], act.table) in leave:
            return True
        return act.verb == "read" and (act.table in written or act.table in own)

    return allows
