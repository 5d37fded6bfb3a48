"""A SQLite database to try things on, and what it looks like from outside."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from byleave.capability import Parameters, Rows, Statement
from byleave.consider import step
from byleave.effects import Effect, Plan
from byleave.hands.sql import Databases
from byleave.hands.sql.sqlite.images import encode
from byleave.hands.stage import Stage


@dataclass
class MemoryKeeper:
    """Keeps images in memory."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def keep(self, content: bytes) -> str:
        address = hashlib.sha256(content).hexdigest()
        self.kept[address] = content
        return address

    def image(self, address: str) -> bytes:
        return self.kept[address]

    def seal(self, call: str, manifest: Mapping[str, object]) -> None:
        del call, manifest


@dataclass
class World:
    """One database `app` in a folder, with its hands."""

    folder: Path
    databases: Databases

    @property
    def path(self) -> Path:
        return self.folder / "app.db"

    def survey_change(self, sql: str, parameters: Parameters = None) -> Statement:
        return step(self.databases.view().change("app", sql, parameters))

    def survey_query(self, sql: str, parameters: Parameters = None) -> Statement:
        return step(self.databases.view().query("app", sql, parameters))

    def query(self, sql: str, parameters: Parameters = None, limit: int = 100, offset: int = 0) -> Rows:
        statement = self.survey_query(sql, parameters)
        return step(self.databases.reading().hands.rows(statement, limit, offset))

    def staged(self, sql: str, parameters: Parameters = None) -> Stage:
        """A stage in which the statement has run."""
        statement = self.survey_change(sql, parameters)
        stage = self.databases.stage(Plan(statement.effects, staged=True))
        step(stage.hands.run(statement))
        return stage

    def change(self, sql: str, parameters: Parameters = None) -> tuple[tuple[Effect, ...], Mapping[str, object] | None]:
        """The whole way: what was observed and the manifest, as it comes back from a file."""
        stage = self.staged(sql, parameters)
        observed, manifest = stage.observe(), stage.hold()
        stage.commit()
        return observed, None if manifest is None else json.loads(json.dumps(manifest))

    def undo(self, manifest: Mapping[str, object]) -> None:
        stage = self.databases.reverse(manifest)
        stage.hold()
        stage.commit()

    def run(self, sql: str) -> None:
        """As another program would, past the gate."""
        connection = apsw.Connection(str(self.path))
        try:
            connection.execute("pragma foreign_keys=on")
            connection.execute(sql).fetchall()
        finally:
            connection.close()

    def dump(self) -> dict[str, dict[str, object]]:
        """Every row of every table by its key, values told apart by kind and bit."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return dump(connection)
        finally:
            connection.close()

    def everything(self) -> tuple[object, ...]:
        """The folder's names, the file's bytes, the rows."""
        return sorted(os.listdir(self.folder)), self.path.read_bytes(), self.dump()


def dump(connection: apsw.Connection) -> dict[str, dict[str, object]]:
    tables = [
        (name, bool(without_rowid))
        for schema, name, sort, _, without_rowid, _ in connection.execute("pragma table_list").fetchall()
        if schema == "main" and sort == "table" and not name.startswith("sqlite_")
    ]
    found: dict[str, dict[str, object]] = {}
    for name, without_rowid in tables:
        info = connection.execute(f"pragma table_xinfo({name})").fetchall()
        columns = ", ".join(f'"{row[1]}"' for row in info if row[6] == 0)
        keys = (
            ", ".join(f'"{row[1]}"' for row in sorted(info, key=lambda r: r[5]) if row[5]) if without_rowid else "rowid"
        )
        count = keys.count(",") + 1
        found[name] = {
            json.dumps([encode(v) for v in row[:count]]): [encode(v) for v in row[count:]]
            for row in connection.execute(f"select {keys}, {columns} from {name}")
        }
    return found


def make_world(folder: Path, schema: str, *, prepare: Callable[[apsw.Connection], None] | None = None) -> World:
    connection = apsw.Connection(str(folder / "app.db"))
    connection.execute(schema).fetchall()
    if prepare is not None:
        prepare(connection)
    connection.close()
    databases = Databases.open(
        {"app": "sqlite:///app.db"},
        workspace=folder,
        forbidden=(),
        keeper=MemoryKeeper(),
        environ={},
    )
    return World(folder, databases)
