"""SQLite: one configured database. The third reader of a statement (the engine itself), reading, changing, undoing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import apsw

from byleave.capability import Parameters, Refused, Rows, Sample, Statement, Word
from byleave.effects import Effect, Plan, Precision, Target, Undo, Unit, Verb, printable, rows, unknown
from byleave.hands.sql.functions import PRAGMAS, TABLE_FUNCTIONS
from byleave.hands.sql.guard import Kind, Shape, classify
from byleave.hands.sql.lexer import fold
from byleave.hands.sql.sqlite.changing import Changing
from byleave.hands.sql.sqlite.connection import Act, Connection
from byleave.hands.sql.sqlite.place import Place
from byleave.hands.sql.sqlite.restoring import Restoring, moved_rows, read_images, settle
from byleave.hands.sql.sqlite.structure import Structure, describe, no_such_table, read_structure
from byleave.hands.stage import Keeper, Settled, Stage

#: A page of an answer: rows, bytes, seconds.
MOST_ROWS = 1000
MOST_BYTES = 256 * 1024
MOST_ROW_BYTES = 4 * 1024 * 1024  # of the first row, which is shown even where it fills more than a page
SECONDS = 20.0
#: How long another program's lock is waited for.
BUSY_MS = 5000
IDLE = 4

SCHEMA = "sqlite_schema"
_VERBS = {"insert": Verb.CREATE, "update": Verb.UPDATE, "delete": Verb.DELETE}


class Sqlite:
    """One database file. Reading connections are kept open between calls; a write connection lives for one stage."""

    def __init__(self, place: Place, keeper: Keeper | None) -> None:
        self.name = place.database
        self.files = place.files
        self._place = place
        self._keeper = keeper
        self._idle: list[Connection] = []
        self._structure: Structure | None = None
        self._lock = threading.Lock()

    # --- connections -------------------------------------------------------------------------------------------------

    @contextmanager
    def reader(self) -> Generator[Connection]:
        """A reading connection to the file that lies there now."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None and not _usable(connection):
            connection.close()
            connection = None
        connection = connection or self._open_reader()
        try:
            yield connection
        finally:
            with self._lock:
                if keep := len(self._idle) < IDLE:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def _open_reader(self) -> Connection:
        connection = Connection(self._place, writing=False, busy_ms=BUSY_MS)
        if connection.finds_leftovers:
            # Someone has died in the middle of a transaction: opening for writing rolls it back, as for anyone else.
            connection.close()
            writer = Connection(self._place, writing=True, busy_ms=BUSY_MS)
            writer.own("pragma schema_version")
            writer.close()
            connection = Connection(self._place, writing=False, busy_ms=BUSY_MS)
        return connection

    def writer(self, *, restoring: bool = False) -> Connection:
        connection = Connection(self._place, writing=True, busy_ms=BUSY_MS)
        if restoring:
            # Every effect of triggers and foreign key actions is among the images: they must not happen twice.
            connection.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
            connection.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
            connection.own("pragma ignore_check_constraints=1")
        return connection

    def structure(self, connection: Connection) -> Structure:
        version = connection.version
        known = self._structure
        if known is None or known.version != version:
            known = self._structure = read_structure(connection, version)
        return known

    def close(self) -> None:
        """Close what is idle. Never raises."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # --- surveying ---------------------------------------------------------------------------------------------------

    def survey(self, sql: str, parameters: Parameters, *, change: bool) -> Statement:
        """Classify a statement by its text, by the structure, and by the engine, which all have to agree."""
        shape = classify(sql)
        if change and not shape.kind.changes:
            raise Refused(
                Word.DENIED, "this statement changes nothing", "use `sql_query` for reading", rule="sql.no-change"
            )
        if shape.kind.changes and not change:
            raise Refused(
                Word.DENIED, f"`{shape.kind}` changes rows", "use `sql_change` for that", rule="sql.query-changes"
            )
        bindings = _bindings(parameters)
        with self.reader() as connection:
            structure = self.structure(connection)
            if shape.kind is Kind.DESCRIBE:
                if shape.target is not None and shape.target not in structure.tables:
                    raise no_such_table(structure, shape.target)
                effects: tuple[Effect, ...] = (self._reads(SCHEMA),)
            else:
                effects = self._effects(connection, structure, shape, sql, bindings)
        return Statement(self.name, sql, bindings, effects, shape.kind.changes, structure.version, Sample())

    def _effects(
        self, connection: Connection, structure: Structure, shape: Shape, sql: str, bindings: object
    ) -> tuple[Effect, ...]:
        if shape.target is not None:
            _refuse_internal(structure, shape.target)
        if hidden := shape.ctes & (structure.modules | structure.tables.keys()):
            raise Refused(
                Word.DENIED,
                f"`with {printable(min(hidden))}` hides a table of that name",
                "give it a name of its own",
                rule="sql.odd-text",
            )
        acts = connection.asks(sql, bindings, _readable(structure, shape))
        _agree(structure, shape, acts)
        reads = {_plain_name(structure, a.table) for a in acts if a.verb == "read"} - shape.ctes - TABLE_FUNCTIONS
        if any(name.startswith("pragma_") for name in shape.tables):
            reads.add(SCHEMA)
        writes: dict[tuple[Verb, str], bool] = {}
        for act in acts:
            if act.verb in _VERBS and structure.shadow_of(act.table) is None:
                direct = act.table == shape.target and act.within is None
                key = (_VERBS[act.verb], act.table)
                writes[key] = writes.get(key, False) or direct
        if shape.target is not None and shape.replaces:
            writes |= {(verb, shape.target): True for verb in (Verb.UPDATE, Verb.DELETE)}
        changed = tuple(
            self._writes(structure, verb, table, shape, direct=direct) for (verb, table), direct in writes.items()
        )
        looked = tuple(self._reads(name) for name in sorted(reads) if name)
        if not changed and not looked:
            looked = (self._reads("*"),)  # `select 1`: of the database, though of no table
        return changed + looked

    def _reads(self, table: str) -> Effect:
        return Effect(Verb.READ, Target.sql(self.name, table), rows(MOST_ROWS, Precision.AT_MOST), Undo.TRIVIAL)

    def _writes(self, structure: Structure, verb: Verb, table: str, shape: Shape, *, direct: bool) -> Effect:
        found = structure.tables.get(table)
        undo = Undo.SNAPSHOT if found is not None and found.stable else Undo.NONE
        traits = {"no-where"} if direct and shape.unbounded else set[str]()
        if not direct:
            traits.add("indirect")
        target = Target.sql(self.name, table)
        return Effect(verb, target, unknown(Unit.ROWS), undo, waits=True, traits=frozenset(traits))

    # --- reading -----------------------------------------------------------------------------------------------------

    def rows(self, statement: Statement, limit: int, offset: int) -> Rows:
        """A page of a statement that was surveyed."""
        shape = classify(statement.sql)
        if shape.kind.changes:
            raise Refused(Word.DENIED, "these hands only read", "use `sql_change`", rule="sql.query-changes")
        with self.reader() as connection:
            structure = self.structure(connection)
            if structure.version != statement.schema:
                raise Refused(
                    Word.CONFLICT,
                    f"database `{printable(self.name)}`: its structure has changed meanwhile",
                    "repeat the call",
                )
            if shape.kind is Kind.DESCRIBE:
                return describe(connection, structure, shape.target)
            return _page(connection, statement, _readable(structure, shape), min(limit, MOST_ROWS), offset)

    # --- changing and undoing ----------------------------------------------------------------------------------------

    def stage(self, plan: Plan) -> Stage:
        return Changing(self, self._kept(), plan)

    def reverse(self, manifest: Mapping[str, object]) -> Stage:
        return Restoring(self, self._kept(), manifest)

    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]:
        with self.reader() as connection:
            return moved_rows(connection, read_images(manifest, self._kept(), self.structure(connection)))

    def settle(self, manifest: Mapping[str, object]) -> Settled:
        try:
            with self.reader() as connection:
                return settle(connection, read_images(manifest, self._kept(), self.structure(connection)))
        except Refused:
            return Settled.UNKNOWN

    def _kept(self) -> Keeper:
        if self._keeper is None:
            raise Refused(Word.FAILED, "there is no place for before-images", "open the gate, not only its checker")
        return self._keeper


def _usable(connection: Connection) -> bool:
    try:
        connection.check_place()
    except Refused:
        return False
    return not connection.finds_leftovers


def _readable(structure: Structure, shape: Shape) -> Callable[[Act], bool]:
    """What a statement may touch when it is surveyed or read: tables of the structure, and what it has named itself."""
    own = shape.ctes | TABLE_FUNCTIONS | {"sqlite_master", SCHEMA, ""} | {"pragma_" + name for name in PRAGMAS}

    def allows(act: Act) -> bool:
        if act.verb != "read":
            return shape.kind.changes
        return act.table in structure.tables or act.table in own

    return allows


def _refuse_internal(structure: Structure, name: str) -> None:
    """A change names a table that is there, and that is not the engine's own."""
    table = structure.tables.get(name)
    if name.startswith("sqlite_") or (table is not None and table.sort == "shadow"):
        reason = f"`{printable(name)[:60]}` belongs to the engine itself"
        raise Refused(Word.DENIED, reason, "change the table that it serves", rule="sql.internal")
    if table is None:
        raise no_such_table(structure, name)


def _agree(structure: Structure, shape: Shape, acts: tuple[Act, ...]) -> None:
    """What the engine reads at first hand must be among the names that the text shows; views speak for their tables.

    A change also reads and writes what triggers and foreign keys ask for: those become effects of their own.
    """
    if shape.kind.changes:
        return
    named = {_plain_name(structure, name) for name in shape.tables} | TABLE_FUNCTIONS | shape.ctes | {""}
    views = {name for name, table in structure.tables.items() if table.sort == "view"}
    for act in acts:
        if _plain_name(structure, act.table) not in named and fold(act.within or "") not in views:
            reason = f"the engine reads `{printable(act.table)[:60]}`, which the text does not name"
            raise Refused(Word.DENIED, reason, "name the table plainly", rule="sql.beyond")


def _plain_name(structure: Structure, name: str) -> str:
    """The name under which a table is judged: a virtual table answers for what lies beneath it."""
    if name in ("sqlite_master", SCHEMA) or name.startswith("pragma_"):
        return SCHEMA
    return structure.shadow_of(name) or name


def _page(connection: Connection, statement: Statement, allows: Callable[[Act], bool], limit: int, offset: int) -> Rows:
    found: list[tuple[object, ...]] = []
    size, more, note = 0, False, ""
    slow = classify(statement.sql).slow
    with connection.running(statement.sql, statement.parameters, allows, SECONDS, slow=slow) as running:
        for at, row in enumerate(running.cursor):
            if at < offset:
                continue
            if len(found) == limit:
                more = True
                break
            size += sum(len(v) if isinstance(v, (str, bytes)) else 8 for v in row)
            if size > MOST_ROW_BYTES and not found:
                where = f"database `{printable(statement.database)}`"
                raise Refused(Word.FAILED, f"{where}: a row of more than 4 MB", "name the columns that you need")
            if size > MOST_BYTES and found:
                more, note = True, f"cut at {MOST_BYTES // 1024} kB: name the columns that you need"
                break
            found.append(tuple(row))
    return Rows(running.columns, tuple(found), more, note)


def _bindings(parameters: Parameters) -> tuple[object, ...] | Mapping[str, object]:
    """Parameters as the engine takes them: plain values only."""
    values = list(parameters.values()) if isinstance(parameters, Mapping) else list(parameters or ())
    for value in values:
        plain = value is None or isinstance(value, (bool, int, float, str, bytes))
        too_long = isinstance(value, (str, bytes)) and len(value) > MOST_BYTES
        if not plain or too_long or (isinstance(value, int) and not -(2**63) <= value < 2**63):
            hint = "texts up to 256 kB, whole numbers of 64 bits, decimals, true, false, null"
            raise Refused(Word.INVALID_ARGUMENTS, "`params` holds a value that a database does not take", hint)
    if isinstance(parameters, Mapping):
        return {str(name).lstrip(":@$"): value for name, value in parameters.items()}
    return tuple(values)
