"""Every known way round, tried on a real database: the file, its folder and its rows are as they were."""

from __future__ import annotations

import time
from pathlib import Path

import apsw
import pytest

from byleave.capability import Refused
from byleave.hands.sql.sqlite import changing, engine
from sqlite_world import World, make_world
from vectors_sqlite import CHANGING, READING

SCHEMA = """
create table customers (id integer primary key autoincrement, name text unique);
create table orders (id integer primary key, customer int references customers (id) on delete cascade,
                     total real check (total is null or total >= 0), note);
create table later (id integer primary key, customer int references customers (id) deferrable initially deferred);
create table vault (secret);
create table trap (a);
create view reveals as select secret from vault;
create virtual table notes using fts5 (text);
create trigger spring after insert on trap begin select load_extension('x'); end;
insert into customers (name) values ('ann'), ('bob');
insert into orders (customer, total) values (1, 1), (1, 2), (2, 3);
insert into vault values ('in the vault');
insert into notes values ('a note');
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(engine, "SECONDS", 0.3)
    monkeypatch.setattr(changing, "SECONDS", 0.3)
    (tmp_path / "secret.txt").write_text("CANARY")
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("create table vault (secret); insert into vault values ('CANARY')")
    other.close()
    return make_world(tmp_path, SCHEMA)


#: What turns out to be plain reading. Everything else is refused.
ANSWERED = {
    "comment-executable-mysql",
    "comment-executable-mariadb",
    "recursive-rows",
    "schema-of-others",
    "shadow-table",
    "hidden-behind-view",
}


@pytest.mark.parametrize(("name", "sql"), [pytest.param(name, sql, id=name) for name, sql in READING.items()])
def test_a_reading_leaves_the_world_as_it_was_whatever_it_says(world: World, name: str, sql: str) -> None:
    before, begun = world.everything(), time.monotonic()
    try:
        said, answered = repr(world.query(sql, limit=5)), True
    except Refused as no:
        said, answered = str(no), False
    assert time.monotonic() - begun < 5
    assert world.everything() == before
    assert "CANARY" not in said
    assert answered is (name in ANSWERED), said


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in CHANGING.items()])
def test_a_change_that_is_no_plain_change_is_refused_and_changes_nothing(world: World, sql: str) -> None:
    before, begun = world.everything(), time.monotonic()
    with pytest.raises(Refused):
        world.staged(sql)
    assert time.monotonic() - begun < 5
    assert world.everything() == before


def test_there_are_enough_attempts() -> None:
    assert len(READING) >= 150
    assert len(CHANGING) >= 150
