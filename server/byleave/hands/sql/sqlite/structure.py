"""The structure of a database: its tables, their columns and keys, and how a row of each is found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from byleave.capability import Refused, Rows, Word
from byleave.effects import digest, printable
from byleave.hands.sql.lexer import fold
from byleave.hands.sql.sqlite.connection import Connection

#: Counting rows stops here: more are told as `> 100000`.
MOST_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """`hidden` as in `PRAGMA table_xinfo`: 0 plain, 1 of a virtual table, 2 generated on reading, 3 and stored."""

    name: str
    type: str
    required: bool
    default: str | None
    key: int  # its place in the primary key, from 1; 0 outside
    hidden: int


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `sort` is table, view, virtual or shadow. `rowid` is a name for the row's number, or None."""

    name: str
    sort: str
    columns: tuple[Column, ...]
    rowid: str | None
    numbered: bool  # rows have a number, whether or not a name for it is free
    made: str  # a digest of the statement that made it
    reals: frozenset[int]  # columns whose whole numbers are decimals all the same (datatype3.html, 3.1)
    stored: tuple[str, ...]  # the columns that an INSERT may give: the rest follows from them
    key: tuple[int, ...]  # where the primary key's columns stand, in the key's order
    folded: str  # the name as it is compared
    stable: bool  # each row has a name that stays: its number, or the key of a table without numbers


@dataclass(frozen=True, slots=True)
class Structure:
    """All tables by folded name. `version` as `Connection.version`."""

    version: str
    tables: Mapping[str, Table]
    utf8: bool
    modules: frozenset[str]  # names under which virtual tables stand without having been made

    def shadow_of(self, name: str) -> str | None:
        """The virtual table that keeps its content in this one."""
        table = self.tables.get(name)
        if table is None or table.sort != "shadow":
            return None
        owners = [t for t in self.tables if self.tables[t].sort == "virtual" and name.startswith(t + "_")]
        return max(owners, key=len, default=None)


def _is_real(declared: str) -> bool:
    earlier = any(part in declared for part in ("INT", "CHAR", "CLOB", "TEXT", "BLOB"))
    return not earlier and any(part in declared for part in ("REAL", "FLOA", "DOUB"))


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def read_structure(connection: Connection, version: str) -> Structure:
    """All of it, as it is now. A statement of our own for each table: kept by version."""
    made = {
        fold(name): digest(sql)
        for name, sql in connection.own("select name, sql from main.sqlite_schema where type in ('table', 'view')")
    }
    tables: dict[str, Table] = {}
    for _, name, sort, _, without_rowid, _ in connection.own("pragma main.table_list"):
        folded = fold(name)
        if folded in ("sqlite_schema", "sqlite_temp_schema"):
            continue
        columns = tuple(
            Column(column, kind, bool(required), default, key, hidden)
            for _, column, kind, required, default, key, hidden in connection.own(
                "select cid, name, type, \"notnull\", dflt_value, pk, hidden from pragma_table_xinfo(?, 'main')",
                (name,),
            )
        )
        tables[folded] = _table(name, sort, columns, made.get(folded, ""), numbered=not without_rowid)
    encoding = str(connection.own("pragma encoding")[0][0])
    modules = frozenset(fold(str(name)) for (name,) in connection.own("pragma module_list"))
    return Structure(version, tables, encoding == "UTF-8", modules)


def _table(name: str, sort: str, columns: tuple[Column, ...], made: str, *, numbered: bool) -> Table:
    taken = {fold(column.name) for column in columns}
    free = next((rowid for rowid in ("rowid", "_rowid_", "oid") if rowid not in taken), None)
    rowid = free if numbered and sort != "view" else None
    key = tuple(at for _, at in sorted((column.key, at) for at, column in enumerate(columns) if column.key))
    return Table(
        name=name,
        sort=sort,
        columns=columns,
        rowid=rowid,
        numbered=numbered,
        made=made,
        reals=frozenset(at for at, column in enumerate(columns) if _is_real(column.type.upper())),
        stored=tuple(column.name for column in columns if column.hidden == 0),
        key=key,
        folded=fold(name),
        stable=sort == "table" and (rowid is not None if numbered else bool(key)),
    )


# --- for people and models -------------------------------------------------------------------------------------------


def describe(connection: Connection, structure: Structure, table: str | None) -> Rows:
    """All tables with their size, or one table's columns, keys and indexes."""
    if table is None:
        return _all_tables(connection, structure)
    found = structure.tables.get(table)
    if found is None:
        raise no_such_table(structure, table)
    return _one_table(connection, found)


def no_such_table(structure: Structure, table: str) -> Refused:
    """With the names that there are: the next call can be right."""
    names = sorted(t.name for t in structure.tables.values() if t.sort in ("table", "view", "virtual"))
    listed = ", ".join(f"`{printable(name)[:40]}`" for name in names[:20]) + (" and more" if len(names) > 20 else "")
    return Refused(
        Word.NOT_FOUND,
        f"no table `{printable(table)[:60]}`",
        f"there are {listed or 'no tables'}. `describe TABLE` shows one",
    )


def _all_tables(connection: Connection, structure: Structure) -> Rows:
    rows: list[tuple[object, ...]] = []
    for table in sorted(structure.tables.values(), key=lambda t: t.name):
        if table.sort == "shadow" or table.name.startswith("sqlite_"):
            continue
        key = ", ".join(table.columns[at].name for at in table.key)
        rows.append(
            (
                table.name,
                table.sort,
                _count(connection, table),
                key,
                ", ".join(_column_words(c) for c in table.columns if c.hidden != 1),
            )
        )
    return Rows(("table", "kind", "rows", "key", "columns"), tuple(rows), more=False)


def _count(connection: Connection, table: Table) -> str:
    if table.sort != "table":
        return ""
    sql = f"select count(*) from (select 1 from main.{quoted(table.name)} limit {MOST_COUNTED + 1})"  # noqa: S608 (quoted)
    (counted,) = connection.own(sql)[0]
    return f"> {MOST_COUNTED}" if counted > MOST_COUNTED else str(counted)


def _column_words(column: Column) -> str:
    return f"{column.name} {column.type}".strip()


def _never_null(table: Table, column: Column) -> bool:
    """Keys of tables without a row number, and the column that is the row number."""
    alone = len(table.key) == 1 and column.type.upper() == "INTEGER"
    return bool(column.key) and (table.rowid is None or alone)


def _one_table(connection: Connection, table: Table) -> Rows:
    references: dict[str, list[str]] = {}
    for number, _, parent, column, to, on_update, on_delete, _ in connection.own(
        f"pragma main.foreign_key_list({quoted(table.name)})"
    ):
        del number
        acts = [
            f"on {when} {act.lower()}"
            for when, act in (("update", on_update), ("delete", on_delete))
            if act != "NO ACTION"
        ]
        words = f"references {parent}({to or 'its key'})" + "".join(f" {act}" for act in acts)
        references.setdefault(fold(column), []).append(words)
    for _, index, unique, _, partial in connection.own(f"pragma main.index_list({quoted(table.name)})"):
        names = [str(row[2] or "an expression") for row in connection.own(f"pragma main.index_info({quoted(index)})")]
        words = (
            ("unique" if unique else "indexed")
            + (f" with {', '.join(names)}" if len(names) > 1 else "")
            + (" in part" * partial)
        )
        if names:
            references.setdefault(fold(names[0]), []).append(words)
    rows = tuple(
        (
            column.name,
            column.type,
            "no" if column.required or _never_null(table, column) else "yes",
            column.default,
            f"primary key ({column.key})" if column.key else ("generated" if column.hidden in (2, 3) else ""),
            "; ".join(dict.fromkeys(references.get(fold(column.name), ()))),
        )
        for column in table.columns
        if column.hidden != 1
    )
    note = ""
    triggers = connection.own(
        "select name from main.sqlite_schema where type = 'trigger' and lower(tbl_name) = ?", (fold(table.name),)
    )
    if triggers:
        note = "triggers: " + ", ".join(printable(str(name)) for (name,) in triggers)
    return Rows(("column", "type", "null", "default", "key", "refers"), rows, more=False, note=note)
