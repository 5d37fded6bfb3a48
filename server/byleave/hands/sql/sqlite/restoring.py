"""Putting rows back as they were, and telling from the rows whether a change counts.

Undoing is comparing first: every row must still be what the change left behind, or nothing is touched. Then all rows
of the change are taken away and all rows from before are put in, with triggers and foreign key actions switched off
(they fired when the change was made; what they did is among the rows), so that no order of rows matters. Foreign keys
are checked afterwards: undoing may not leave a row that refers to nothing where none was before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.hands.sql.sqlite.changing import Opens, Transaction, shape_of
from byleave.hands.sql.sqlite.connection import Connection
from byleave.hands.sql.sqlite.images import Image, Key, Row, decode, same, shown
from byleave.hands.sql.sqlite.structure import Structure, Table, quoted
from byleave.hands.stage import Keeper, Settled

Manifest = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Images:
    """The rows of a manifest, and where they belong."""

    rows: tuple[Row, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple({row.table.name: row.table for row in self.rows}.values())


def read_images(manifest: Manifest, keeper: Keeper, structure: Structure) -> Images:
    """The images, for comparing. Raises `Refused` where their tables were made anew since."""
    kept = manifest.get("tables")
    shapes: Mapping[str, object] = cast("Mapping[str, object]", kept) if isinstance(kept, Mapping) else {}
    found: list[Row] = []
    for name, was, before, now, after in json.loads(keeper.image(str(manifest["images"]))):
        table = structure.tables.get(name)
        if table is None or shapes.get(name) != shape_of(table.made, table.stored):
            raise Refused(
                Word.CONFLICT,
                f"the table `{printable(name)}` was changed since",
                "write the values back with `sql_change`",
            )
        found.append(Row(table, _values(was), _values(before), _values(now), _values(after)))
    return Images(tuple(found))


def _values(found: list[object] | None) -> Image | None:
    return None if found is None else tuple(decode(v) for v in found)


class Restoring(Transaction):
    """A stage that is already filled: the images of a manifest, put back."""

    def __init__(self, engine: Opens, keeper: Keeper, manifest: Manifest) -> None:
        super().__init__(engine, keeper)
        try:
            self._restore(manifest, keeper)
        except BaseException:
            self.discard()
            raise

    def _restore(self, manifest: Manifest, keeper: Keeper) -> None:
        if unsafe := str(manifest.get("unsafe") or ""):
            hint = "write the values back with `sql_change`"
            raise Refused(Word.FAILED, f"this change cannot be undone: {unsafe}", hint)
        connection, structure = self.begin(restoring=True)
        images = read_images(manifest, keeper, structure)
        if moved := moved_rows(connection, images, most=1):
            raise Refused(
                Word.CONFLICT, f"{moved[0]} has changed since", "nothing was changed. undo the later calls first"
            )
        broken = _broken(connection, images, structure)
        self.watched(connection, structure, lambda: _put_back(connection, images))
        if now_broken := _broken(connection, images, structure) - broken:
            child = min(now_broken)[0]
            raise Refused(
                Word.CONFLICT,
                f"rows of `{printable(child)}` refer to what undoing would remove",
                "nothing was changed. undo the later calls first",
            )


def _put_back(connection: Connection, images: Images) -> None:
    for row in images.rows:
        if row.now is not None:
            where, keys = _where(row.table, row.now)
            connection.own(f"delete from main.{quoted(row.table.name)} where {where}", keys)  # noqa: S608 (quoted)
    for row in images.rows:
        if row.was is not None and row.before is not None:
            names, values = list(row.table.stored), list(row.before)
            if row.table.rowid is not None:
                names.insert(0, row.table.rowid)
                values.insert(0, row.was[0])
            columns, marks = ", ".join(quoted(name) for name in names), ", ".join("?" * len(values))
            connection.own(f"insert into main.{quoted(row.table.name)} ({columns}) values ({marks})", values)  # noqa: S608 (quoted)


def _where(table: Table, key: Key) -> tuple[str, Key]:
    names = [table.rowid] if table.rowid is not None else [table.columns[at].name for at in table.key]
    return " and ".join(f"{quoted(name)} is ?" for name in names), key


def _found(connection: Connection, table: Table, key: Key) -> Image | None:
    where, keys = _where(table, key)
    columns = ", ".join(quoted(name) for name in table.stored)
    found = connection.own(f"select {columns} from main.{quoted(table.name)} where {where}", keys)  # noqa: S608 (quoted)
    # A key may be found by a collation under which it is another: `a` and `A`.
    if not found or (not table.numbered and not same(tuple(found[0][at] for at in _places(table)), key)):
        return None
    return found[0]


def _places(table: Table) -> tuple[int, ...]:
    """Where the key's columns stand among the stored ones."""
    return tuple(table.stored.index(table.columns[at].name) for at in table.key)


def _is(connection: Connection, table: Table, key: Key | None, image: Image | None, other: Key | None) -> bool:
    """Whether the row is there as the image says; for no image, that nothing lies at its `other` key."""
    if key is None or image is None:
        return other is None or _found(connection, table, other) is None
    found = _found(connection, table, key)
    return found is not None and same(found, image)


def moved_rows(connection: Connection, images: Images, most: int = 20) -> tuple[str, ...]:
    """Rows that are not what the change left behind, in words."""
    # A place that another row of the same change has taken is not someone else's doing.
    taken = {(row.table.name, row.now) for row in images.rows if row.now is not None}
    moved: list[str] = []
    for row in images.rows:
        free = row.was if (row.table.name, row.was) not in taken else None
        if not _is(connection, row.table, row.now, row.after, free):
            moved.append(
                f"row `{', '.join(shown(v) for v in row.now or row.was or ())}` of `{printable(row.table.name)}`"
            )
            if len(moved) == most:
                break
    return tuple(moved)


def settle(connection: Connection, images: Images) -> Settled:
    """A transaction counts whole or not at all: one row that is plainly in one state decides, none or both is doubt."""
    taken = {(row.table.name, row.now) for row in images.rows if row.now is not None}
    held = {(row.table.name, row.was) for row in images.rows if row.was is not None}
    counted = uncounted = False
    for row in images.rows:
        counted |= _is(
            connection, row.table, row.now, row.after, row.was if (row.table.name, row.was) not in taken else None
        )
        uncounted |= _is(
            connection, row.table, row.was, row.before, row.now if (row.table.name, row.now) not in held else None
        )
    if counted == uncounted:
        return Settled.UNKNOWN
    return Settled.COMMITTED if counted else Settled.DISCARDED


def _broken(connection: Connection, images: Images, structure: Structure) -> set[tuple[str, str]]:
    """Rows that refer to nothing: of the tables concerned, and of those that refer to them."""
    names = {table.name for table in images.tables}
    broken: set[tuple[str, str]] = set()
    for table in structure.tables.values():
        if table.sort != "table":
            continue
        parents = {str(row[2]) for row in connection.own(f"pragma main.foreign_key_list({quoted(table.name)})")}
        if parents and (table.name in names or parents & names):
            for row in connection.own(f"pragma main.foreign_key_check({quoted(table.name)})"):
                broken.add((table.name, repr(row[1:])))
    return broken
