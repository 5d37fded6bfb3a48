"""Reading: what is shown, how much of it, from which file."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from byleave.capability import Refused, Rows, Word
from byleave.effects import Effect, Precision, Target, Undo, Verb, rows
from byleave.hands.sql import Databases
from byleave.hands.sql.sqlite import connection, engine
from byleave.hands.sql.sqlite.connection import Connection
from byleave.hands.sql.sqlite.place import place_of
from sqlite_world import MemoryKeeper, World, make_world
from vectors_sqlite import READING

SCHEMA = """
create table customers (id integer primary key, name text not null unique, vip int default 0);
create table orders (id integer primary key, customer int references customers (id) on delete cascade, total real);
create index by_customer on orders (customer, total);
create view best as select name from customers where vip;
create table pairs (a, b, primary key (b, a)) without rowid;
create virtual table notes using fts5 (text);
create trigger t after delete on orders begin delete from pairs; end;
insert into customers values (1, 'ann', 1), (2, 'bob', 0);
insert into orders values (1, 1, 1.5), (2, 1, null), (3, 2, 3);
insert into notes values ('hello world');
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, SCHEMA)


def reads(*tables: str) -> tuple[Effect, ...]:
    at_most = rows(1000, Precision.AT_MOST)
    return tuple(Effect(Verb.READ, Target.sql("app", table), at_most, Undo.TRIVIAL) for table in tables)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        pytest.param("select * from customers", ["customers"], id="table"),
        pytest.param("select count(*) from main.ORDERS", ["orders"], id="no-column"),
        pytest.param("select * from best", ["best", "customers"], id="view-and-what-it-reads"),
        pytest.param("with c as (select * from orders) select * from c", ["orders"], id="cte"),
        pytest.param("select * from notes where notes match 'hello'", ["notes"], id="full-text"),
        pytest.param("select name from sqlite_master", ["sqlite_schema"], id="schema"),
        pytest.param("pragma table_info(orders)", ["sqlite_schema"], id="pragma"),
        pytest.param("describe", ["sqlite_schema"], id="describe"),
        pytest.param("select value from json_each('[1]')", ["*"], id="no-table"),
        pytest.param("explain query plan select * from orders", ["orders"], id="explain"),
    ],
)
def test_a_reading_declares_every_table_that_it_reads(world: World, sql: str, tables: list[str]) -> None:
    statement = world.survey_query(sql)
    assert sorted(statement.effects, key=str) == sorted(reads(*tables), key=str)
    assert not statement.changes


def test_rows_come_as_they_are(world: World) -> None:
    found = world.query("select 1, 2.5, 'a', x'00ff', null, -9223372036854775808, 9e999")
    assert found.rows == ((1, 2.5, "a", b"\x00\xff", None, -(2**63), float("inf")),)


def test_a_page_ends_at_the_limit_and_says_that_there_is_more(world: World) -> None:
    all_of_them = "select id from orders order by id"
    assert world.query(all_of_them, limit=2) == Rows(("id",), ((1,), (2,)), more=True)
    assert world.query(all_of_them, limit=2, offset=2) == Rows(("id",), ((3,),), more=False)
    assert world.query(all_of_them, limit=3) == Rows(("id",), ((1,), (2,), (3,)), more=False)


def test_a_page_ends_at_its_bytes(world: World) -> None:
    found = world.query("select hex(zeroblob(50000)) from orders, orders")
    assert (len(found.rows), found.more) == (2, True)
    assert "256 kB" in found.note


def test_no_rows_have_their_columns(world: World) -> None:
    assert world.query("select id, total from orders where 0") == Rows(("id", "total"), (), more=False)


def test_parameters_by_place_and_by_name(world: World) -> None:
    assert world.query("select id from orders where customer = ? and id > ?", [1, 1]).rows == ((2,),)
    assert world.query("select id from orders where id = :which", {"which": 3}).rows == ((3,),)
    assert world.query("select id from orders where id = :which", {":which": 3}).rows == ((3,),)


@pytest.mark.parametrize("parameters", [[], [1, 2], {"x": 1}, [2**63], ["\ud800"], ["x" * 300_000], [[1]]])
def test_parameters_that_do_not_fit_are_told(world: World, parameters: list[object]) -> None:
    with pytest.raises(Refused) as caught:
        world.query("select * from orders where id = ?", parameters)
    assert caught.value.word is Word.INVALID_ARGUMENTS


def test_describe_lists_tables_and_describe_of_one_its_columns(world: World) -> None:
    assert world.query("describe").rows == (
        ("best", "view", "", "", "name TEXT"),
        ("customers", "table", "2", "id", "id INTEGER, name TEXT, vip INT"),
        ("notes", "virtual", "", "", "text"),
        ("orders", "table", "3", "id", "id INTEGER, customer INT, total REAL"),
        ("pairs", "table", "0", "b, a", "a, b"),
    )
    described = world.query("describe orders")
    assert described.columns == ("column", "type", "null", "default", "key", "refers")
    assert described.rows == (
        ("id", "INTEGER", "no", None, "primary key (1)", ""),
        (
            "customer",
            "INT",
            "yes",
            None,
            "",
            "references customers(id) on delete cascade; indexed with customer, total",
        ),
        ("total", "REAL", "yes", None, "", ""),
    )
    assert described.note == "triggers: t"


def test_an_unknown_table_is_answered_with_those_there_are(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.query("describe order")
    assert caught.value.word is Word.NOT_FOUND
    assert "`orders`" in caught.value.hint


def test_reading_a_wal_database_that_another_program_writes(world: World) -> None:
    world.run("pragma journal_mode=wal")
    other = apsw.Connection(str(world.path))
    other.execute("begin immediate; insert into orders values (9, 1, 1)")
    assert world.query("select count(*) from orders").rows == ((3,),)
    other.execute("commit")
    assert world.query("select count(*) from orders").rows == ((4,),)
    other.close()


def test_a_text_that_is_not_utf8_is_told_and_not_guessed(world: World) -> None:
    world.run("insert into pairs values (cast(x'ff' as text), 1)")
    with pytest.raises(Refused, match="not UTF-8"):
        world.query("select * from pairs")
    assert world.query("select hex(a) from pairs").rows == (("FF",),)


def test_a_changed_structure_between_looking_and_reading_is_a_conflict(world: World) -> None:
    statement = world.survey_query("select * from orders")
    world.run("alter table orders add column note")
    with pytest.raises(Refused) as caught:
        world.databases.engine("app").rows(statement, 10, 0)
    assert caught.value.word is Word.CONFLICT


# --- the engine's own walls, with no guard before them ----------------------------------------------------------------

#: What the text alone must stop: one call of a function cannot be interrupted.
GUARDED = {"instr-of-columns", "instr-quadratic", "trim-quadratic"}


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in READING.items() if name not in GUARDED])
def test_the_engine_alone_keeps_the_world_as_it_is(world: World, sql: str) -> None:
    (world.folder / "secret.txt").write_text("CANARY")
    before = world.everything()
    connection = Connection(place_of("app", "sqlite:///app.db", workspace=world.folder, forbidden=()), writing=False)
    said = ""
    try:
        with connection.running(sql, None, lambda act: act.verb == "read", 0.3) as running:
            said = repr([row for row, _ in zip(running.cursor, range(5), strict=False)])
    except Refused as no:
        said = str(no)
    finally:
        connection.close()
    assert world.everything() == before
    assert "CANARY" not in said


def test_a_statement_that_fills_the_memory_is_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_MEMORY", 40 * 1024 * 1024)
    endless = "with recursive c(n, s) as (select 1, '' union select n + 1, hex(randomblob(100000)) from c)"
    with pytest.raises(Refused, match="needs too much memory"):
        world.query(f"{endless} select count(*) from c")
    assert world.query("select count(*) from orders").rows == ((3,),)


def test_a_row_wider_than_an_answer_may_be_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="a row of more than 4 MB"):
        world.query("select s, s, s, s, s from (select hex(zeroblob(499999)) s)")
    assert len(world.query("select s from (select hex(zeroblob(499999)) s)").rows) == 1


# --- which file -------------------------------------------------------------------------------------------------------


def databases(folder: Path, url: str, *forbidden: Path) -> Databases:
    return Databases.open(
        {"app": url}, workspace=folder, forbidden=tuple(map(str, forbidden)), keeper=MemoryKeeper(), environ={}
    )


def ask(found: Databases) -> Rows:
    return World(Path(), found).query("select count(*) from orders")


def test_a_missing_file_is_never_created(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        ask(databases(tmp_path, "sqlite:///new.db"))
    assert caught.value.word is Word.NOT_FOUND
    assert os.listdir(tmp_path) == []


def test_absolute_relative_and_odd_names_are_the_file_they_say(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c?d#e"
    folder.mkdir()
    make_world(folder, SCHEMA)
    assert ask(databases(tmp_path, "sqlite:///a b%2520c%3Fd%23e/app.db")).rows == ((3,),)
    assert ask(databases(Path("/"), f"sqlite:///{tmp_path}/a b%2520c%3Fd%23e/app.db")).rows == ((3,),)
    assert os.listdir(tmp_path) == ["a b%20c?d#e"]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://host/app.db", "sqlite:///app.db?mode=rwc", "oracle:///x"]
)
def test_a_url_that_names_no_file_is_a_trouble_of_that_database_alone(tmp_path: Path, url: str) -> None:
    make_world(tmp_path, SCHEMA)
    found = Databases.open(
        {"odd": url, "app": "sqlite:///app.db"}, workspace=tmp_path, forbidden=(), keeper=MemoryKeeper(), environ={}
    )
    assert list(found.troubles) == ["odd"]
    assert ask(found).rows == ((3,),)


def test_the_gates_own_files_are_no_database(tmp_path: Path) -> None:
    make_world(tmp_path, SCHEMA)
    with pytest.raises(Refused) as caught:
        ask(databases(tmp_path, "sqlite:///app.db", tmp_path))
    assert (caught.value.word, caught.value.rule) == (Word.DENIED, "sql.own-files")


def test_a_link_put_in_the_place_of_the_file_leads_nowhere(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_world(tmp_path / "other", "create table orders (secret); insert into orders values ('CANARY')")
    assert world.query("select count(*) from orders").rows == ((3,),)
    world.path.rename(tmp_path / "kept.db")
    world.path.symlink_to(other.path)
    with pytest.raises(Refused) as caught:
        world.query("select * from orders")
    assert caught.value.word is Word.CONFLICT


def test_a_replaced_file_is_read_anew_and_never_the_old_one(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_world(tmp_path / "other", "create table orders (id); insert into orders values (77)")
    assert world.query("select count(*) from orders").rows == ((3,),)
    statement = world.survey_query("select id from orders")
    os.replace(other.path, world.path)
    with pytest.raises(Refused) as caught:
        world.databases.engine("app").rows(statement, 10, 0)
    assert caught.value.word is Word.CONFLICT
    assert world.query("select id from orders").rows == ((77,),)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(Refused) as caught:
        ask(databases(tmp_path, "sqlite:///app.db"))
    assert caught.value.word is Word.FAILED


def test_a_locked_database_answers_within_its_deadline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 100)
    other = apsw.Connection(str(world.path))
    other.execute("begin exclusive")
    with pytest.raises(Refused) as caught:
        world.query("select * from orders")
    other.close()
    assert caught.value.word is Word.CONFLICT
    assert "locked" in caught.value.reason
