"""Changing: what is declared, what is measured, what holds while nobody has decided yet."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from byleave.capability import Refused, Word
from byleave.consider import step
from byleave.effects import Effect, Plan, Target, Undo, Unit, Verb, rows, unknown
from byleave.hands.sql.sqlite import changing, engine, images
from sqlite_world import World, make_world

SCHEMA = """
create table customers (id integer primary key, name text unique);
create table orders (id integer primary key, customer int references customers (id) on delete cascade, total real);
create table log (id integer primary key, said text);
create table tags (name text primary key, n int) without rowid;
create table plain (a, b);
create table settings (k text unique on conflict replace, v);
create table taken (rowid, oid, _rowid_);
create table made (a int, twice int generated always as (a * 2) virtual);
create view busy as select * from customers;
create virtual table notes using fts5 (text);
create trigger tell after delete on orders begin insert into log (said) values ('gone ' || old.id); end;
create trigger index_it after insert on plain when new.a = 'index' begin insert into notes values (new.b); end;
insert into customers values (1, 'ann'), (2, 'bob'), (3, 'cy');
insert into orders values (1, 1, 1), (2, 1, 2), (3, 2, 3);
insert into tags values ('a', 1), ('b', 2);
insert into plain values (1, 1), (1, 1), (2, 2);
insert into settings values ('x', 1), ('y', 2);
insert into taken values (1, 2, 3), (4, 5, 6);
insert into made (a) values (1), (2);
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, SCHEMA)


def said(effects: tuple[Effect, ...]) -> dict[str, str]:
    """Effects in words: `delete orders` to its extent and undo, with what is remarkable about it."""
    return {
        f"{e.verb} {e.target.name.removeprefix('app/')}": " ".join([str(e.extent), e.undo, *sorted(e.traits)])
        for e in effects
        if e.verb is not Verb.READ
    }


def counted(most: int) -> str:
    """Inserts so many rows."""
    numbers = f"recursive c(n) as (values (1) union all select n + 1 from c where n < {most})"
    return f"insert into plain (a) with {numbers} select n from c"


@pytest.mark.parametrize(
    ("sql", "declared", "observed"),
    [
        pytest.param(
            "update customers set name = 'x' where id = 1",
            {"update customers": "unknown rows snapshot"},
            {"update customers": "1 row snapshot"},
            id="one-row",
        ),
        pytest.param(
            "delete from customers where id = 1",
            {
                "delete customers": "unknown rows snapshot",
                "delete orders": "unknown rows snapshot indirect",
                "create log": "unknown rows snapshot indirect",
            },
            {
                "delete customers": "1 row snapshot",
                "delete orders": "2 rows snapshot indirect",
                "create log": "2 rows snapshot indirect",
            },
            id="cascade-and-its-trigger",
        ),
        pytest.param(
            "delete from plain",
            {"delete plain": "unknown rows snapshot no-where"},
            {"delete plain": "3 rows snapshot no-where"},
            id="whole-table",
        ),
        pytest.param(
            "insert or replace into customers values (1, 'bob')",
            {
                "create customers": "unknown rows snapshot",
                "update customers": "unknown rows snapshot",
                "delete customers": "unknown rows snapshot",
                "delete orders": "unknown rows snapshot indirect",
                "create log": "unknown rows snapshot indirect",
            },
            {
                "update customers": "1 row snapshot",
                "delete customers": "1 row snapshot",
                "delete orders": "3 rows snapshot indirect",
                "create log": "3 rows snapshot indirect",
            },
            id="replace-takes-others-with-it",
        ),
        pytest.param(
            "insert into tags values ('a', 5), ('c', 6) on conflict (name) do update set n = excluded.n",
            {"create tags": "unknown rows snapshot", "update tags": "unknown rows snapshot"},
            {"create tags": "1 row snapshot", "update tags": "1 row snapshot"},
            id="upsert",
        ),
        pytest.param(
            "insert into settings values ('x', 9)",
            {"create settings": "unknown rows snapshot"},
            {"create settings": "1 row snapshot", "delete settings": "1 row snapshot"},
            id="a-table-that-replaces-by-itself",
        ),
        pytest.param(
            "update tags set n = n", {"update tags": "unknown rows snapshot no-where"}, {}, id="nothing-differs"
        ),
        pytest.param("delete from tags where 0", {"delete tags": "unknown rows snapshot"}, {}, id="nothing-matches"),
        pytest.param(
            "delete from taken",
            {"delete taken": "unknown rows none no-where"},
            {"delete taken": "2 rows none no-where"},
            id="no-stable-key",
        ),
        pytest.param(
            "update made set a = 7 where a = 1",
            {"update made": "unknown rows snapshot"},
            {"update made": "1 row none"},
            id="generated-column",
        ),
        pytest.param(
            "insert into notes values ('hello')",
            {"create notes": "unknown rows none"},
            {"update notes": "unknown rows none"},
            id="virtual-table",
        ),
        pytest.param(
            "insert into plain values ('index', 'me')",
            {"create plain": "unknown rows snapshot", "create notes": "unknown rows none indirect"},
            {"create plain": "1 row none", "update notes": "unknown rows none indirect"},
            id="virtual-table-by-a-trigger",
        ),
        pytest.param(
            "with c as (select 2 as id) delete from orders where customer in (select id from c)",
            {"delete orders": "unknown rows snapshot", "create log": "unknown rows snapshot indirect"},
            {"delete orders": "1 row snapshot", "create log": "1 row snapshot indirect"},
            id="with",
        ),
    ],
)
def test_what_a_change_declares_and_what_it_did(
    world: World, sql: str, declared: dict[str, str], observed: dict[str, str]
) -> None:
    statement = world.survey_change(sql)
    assert said(statement.effects) == declared
    assert all(effect.waits for effect in statement.effects if effect.verb is not Verb.READ)
    stage = world.staged(sql)
    assert said(stage.observe()) == observed
    assert not any(effect.waits for effect in stage.observe())
    stage.discard()


def test_a_change_declares_what_it_reads(world: World) -> None:
    statement = world.survey_change(
        "update orders set total = (select max(n) from tags) where customer in (select id from busy)"
    )
    read = {e.target.name for e in statement.effects if e.verb is Verb.READ}
    assert read == {"app/orders", "app/tags", "app/busy", "app/customers"}


def test_before_commit_nobody_sees_it_and_after_discard_nothing_was(world: World) -> None:
    before = world.everything()
    stage = world.staged("delete from customers")
    assert world.query("select count(*) from customers").rows == ((3,),)
    stage.hold()
    stage.discard()
    stage.discard()
    assert world.everything() == before


def test_committed_it_counts_and_the_answer_is_the_rows_by_table(world: World) -> None:
    statement = world.survey_change("delete from customers where id = ?", [1])
    stage = world.databases.stage(Plan(statement.effects, staged=True))
    assert step(stage.hands.run(statement)) == {"customers": 1, "log": 2, "orders": 2}
    assert statement.sample.lines == (
        "delete customers 1: id: 1, name: 'ann'",
        "delete orders 1: id: 1, customer: 1, total: 1.0",
        "delete orders 2: id: 2, customer: 1, total: 2.0",
        "create log 1: id: 1, said: 'gone 1'",
        "create log 2: id: 2, said: 'gone 2'",
    )
    stage.commit()
    assert world.query("select count(*) from orders").rows == ((1,),)


def test_released_it_is_gone_and_has_to_be_run_again(world: World) -> None:
    before = world.everything()
    stage = world.staged("delete from plain")
    assert stage.release() is False
    world.run("insert into log (said) values ('others go on')")
    with pytest.raises(Refused) as caught:
        stage.commit()
    assert caught.value.word is Word.CONFLICT
    assert world.dump()["plain"] == before[2]["plain"]


def test_the_content_binds_the_rows_and_not_only_their_number(world: World) -> None:
    first = world.staged("delete from orders where total = 1")
    again = first.observe()
    first.discard()
    second = world.staged("delete from orders where total = 2")
    different = second.observe()
    second.discard()
    third = world.staged("delete from orders where total = 1")
    same = third.observe()
    third.discard()
    assert same == again
    assert different[1].extent == again[1].extent
    assert different[1].content != again[1].content


def test_a_stage_runs_only_what_was_declared(world: World) -> None:
    before = world.everything()
    declared = world.survey_change("delete from plain where a = 2")
    other = world.survey_change("delete from customers")
    stage = world.databases.stage(Plan(declared.effects, staged=True))
    with pytest.raises(Refused) as caught:
        step(stage.hands.run(other))
    assert caught.value.word is Word.DENIED
    assert world.everything() == before


def test_what_a_statement_does_beyond_its_declaration_is_stopped_by_the_engine(world: World) -> None:
    """The classification is taken to have missed the cascade: the authorizer does not let it through."""
    before = world.everything()
    statement = world.survey_change("delete from customers where id = 1")
    less = tuple(e for e in statement.effects if e.target != Target.sql("app", "orders"))
    forged = type(statement)(**{f: getattr(statement, f) for f in statement.__slots__} | {"effects": less})
    stage = world.databases.stage(Plan(less, staged=True))
    with pytest.raises(Refused) as caught:
        step(stage.hands.run(forged))
    assert (caught.value.word, caught.value.rule) == (Word.DENIED, "sql.beyond")
    assert world.everything() == before


def test_a_structure_changed_meanwhile_is_a_conflict(world: World) -> None:
    statement = world.survey_change("delete from plain")
    world.run("create trigger evil after delete on plain begin delete from customers; end")
    stage = world.databases.stage(Plan(statement.effects, staged=True))
    with pytest.raises(Refused) as caught:
        step(stage.hands.run(statement))
    assert caught.value.word is Word.CONFLICT
    assert world.query("select count(*) from plain").rows == ((3,),)


def test_a_file_replaced_while_the_stage_is_open_is_left_alone(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_world(tmp_path / "other", SCHEMA)
    stage = world.staged("delete from plain")
    stage.hold()
    os.replace(other.path, world.path)
    with pytest.raises(Refused) as caught:
        stage.commit()
    assert caught.value.word is Word.CONFLICT
    assert len(world.dump()["plain"]) == 3


def test_another_writer_is_waited_for_and_then_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 100)
    other = apsw.Connection(str(world.path))
    other.execute("begin immediate")
    with pytest.raises(Refused) as caught:
        world.staged("delete from plain")
    other.close()
    assert (caught.value.word, "locked" in caught.value.reason) == (Word.CONFLICT, True)
    assert len(world.dump()["plain"]) == 3


def test_a_reader_that_does_not_end_makes_the_commit_fail_with_nothing_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 100)
    reader = apsw.Connection(str(world.path))
    reading = reader.execute("select * from customers")
    next(reading)
    stage = world.staged("delete from plain")
    stage.hold()
    with pytest.raises(Refused) as caught:
        stage.commit()
    reader.close(True)
    assert caught.value.word is Word.CONFLICT
    assert len(world.dump()["plain"]) == 3


def test_far_too_many_rows_are_stopped_on_the_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "STOP_AT", 1000)
    before = world.everything()
    with pytest.raises(Refused) as caught:
        world.staged(counted(5000))
    assert (caught.value.word, caught.value.rule) == (Word.DENIED, "sql.too-many-rows")
    assert world.everything() == before


def test_more_than_is_kept_is_counted_exactly_and_cannot_be_undone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_ROWS", 100)
    stage = world.staged(counted(250))
    assert stage.observe() == (Effect(Verb.CREATE, Target.sql("app", "plain"), rows(250), Undo.NONE),)
    manifest = stage.hold()
    stage.commit()
    assert manifest is not None
    assert world.databases.settle(manifest) == "committed"
    with pytest.raises(Refused, match="cannot be undone"):
        world.databases.reverse(manifest)


def test_a_statement_that_takes_too_long_is_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "SECONDS", 0.2)
    before = world.everything()
    endless = "recursive c(n) as (values (1) union all select n + 1 from c)"
    with pytest.raises(Refused) as caught:
        world.staged(f"update plain set a = (with {endless} select count(*) from c)")
    assert caught.value.word is Word.TIMED_OUT
    assert world.everything() == before


def test_the_unknown_extent_of_a_virtual_table_is_never_taken_for_few(world: World) -> None:
    stage = world.staged("insert into notes values ('x')")
    assert stage.observe()[0].extent == unknown(Unit.ROWS)
    stage.discard()


def test_a_stage_over_nothing_or_over_two_databases_is_refused(world: World) -> None:
    effect = Effect(Verb.DELETE, Target.sql("other", "x"), unknown(Unit.ROWS), Undo.NONE, waits=True)
    with pytest.raises(Refused):
        world.databases.stage(Plan((), staged=True))
    with pytest.raises(Refused):
        world.databases.stage(Plan((effect, *world.survey_change("delete from plain").effects), staged=True))
