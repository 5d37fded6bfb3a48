"""Putting rows back: exactly, whole, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byleave.capability import Refused, Word
from byleave.effects import Undo
from byleave.hands.sql.sqlite.images import Value, decode, encode, same
from sqlite_world import World, make_world

SCHEMA = """
create table people (id integer primary key, name text unique, photo);
create table pets (id integer primary key, owner int references people (id) on delete set null on update cascade);
create table log (said);
create trigger t after update on people begin insert into log values (old.name || ' is ' || new.name); end;
insert into people values (1, 'ann', x'00ff'), (2, 'bob', null), (3, 'cy', 9e999);
insert into pets values (1, 1), (2, 1), (3, 2);
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, SCHEMA)


def done(world: World, sql: str) -> dict[str, object]:
    _, manifest = world.change(sql)
    assert manifest is not None
    return dict(manifest)


@given(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.binary()))
def test_a_value_comes_back_as_it_was(value: Value) -> None:
    assert same((decode(json.loads(json.dumps(encode(value)))),), (value,))


@pytest.mark.parametrize("odd", [True, [1], {"f": "x"}, {"i": "1", "b": ""}, {"b": "*"}, {}])
def test_what_was_never_written_is_not_read(odd: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(odd)


@pytest.mark.parametrize(
    "sql",
    [
        "update people set id = id + 10, name = upper(name)",
        "update people set name = case id when 1 then 'tmp' else name end",
        "delete from people",
        "insert into people (name) values ('dee')",
        "update pets set owner = null",
        "delete from pets where id < 3",
    ],
)
def test_undone_it_is_as_before_and_undone_again_as_after(world: World, sql: str) -> None:
    before = world.dump()
    manifest = done(world, sql)
    after = world.dump()
    stage = world.databases.reverse(manifest)
    assert all(effect.undo is Undo.SNAPSHOT for effect in stage.observe())
    again = stage.hold()
    stage.commit()
    assert world.dump() == before
    assert again is not None
    world.undo(json.loads(json.dumps(again)))
    assert world.dump() == after


def test_a_row_that_someone_has_changed_since_is_named_and_nothing_is_touched(world: World) -> None:
    manifest = done(world, "update people set name = name || '!'")
    world.run("update people set photo = 'new' where id = 2")
    before = world.everything()
    assert world.databases.moved_on(manifest) == ("row `2` of `people`",)
    with pytest.raises(Refused) as caught:
        world.databases.reverse(manifest)
    assert (caught.value.word, "row `2` of `people`" in caught.value.reason) == (Word.CONFLICT, True)
    assert world.everything() == before


@pytest.mark.parametrize(
    ("change", "meanwhile"),
    [
        pytest.param("delete from pets where id = 1", "insert into pets values (1, null)", id="place-taken"),
        pytest.param("insert into pets values (9, 1)", "delete from pets where id = 9", id="created-one-gone"),
        pytest.param("insert into people values (9, 'eve', 1)", "insert into pets values (9, 9)", id="referred-to"),
        pytest.param(
            "delete from people where id = 3", "insert into people values (4, 'cy', 1)", id="unique-value-taken"
        ),
        pytest.param("update people set photo = 1", "update people set photo = 1.0 where id = 1", id="of-another-kind"),
        pytest.param("delete from pets", "alter table pets add column x", id="table-changed"),
        pytest.param("delete from log", "drop table log", id="table-gone"),
    ],
)
def test_where_the_world_has_moved_on_nothing_is_undone(world: World, change: str, meanwhile: str) -> None:
    world.run("insert into log values ('x')")
    manifest = done(world, change)
    world.run(meanwhile)
    before = world.everything()
    with pytest.raises(Refused) as caught:
        world.undo(manifest)
    assert caught.value.word in (Word.CONFLICT, Word.FAILED)
    assert world.everything() == before


def test_triggers_and_cascades_do_not_fire_again(world: World) -> None:
    manifest = done(world, "update people set name = 'x' where id = 1")
    world.undo(manifest)
    assert world.dump()["log"] == {}
    assert len(world.dump()["pets"]) == 3


def test_a_change_that_nobody_committed_is_discarded_and_a_committed_one_counts(world: World) -> None:
    stage = world.staged("delete from people where id = 1")
    manifest = stage.hold()
    assert manifest is not None
    stage.discard()
    assert world.databases.settle(manifest) == "discarded"
    assert world.databases.settle(done(world, "delete from people where id = 1")) == "committed"


def test_what_matches_neither_is_unknown(world: World) -> None:
    manifest = done(world, "update pets set owner = 3 where id = 1")
    world.run("update pets set owner = 2 where id = 1")
    assert world.databases.settle(manifest) == "unknown"


def test_a_manifest_of_a_database_that_is_gone_is_unknown(world: World) -> None:
    manifest = done(world, "delete from people")
    world.path.unlink()
    assert world.databases.settle(manifest) == "unknown"
    with pytest.raises(Refused) as caught:
        world.databases.reverse(manifest)
    assert caught.value.word is Word.NOT_FOUND


def test_a_database_that_was_broken_before_does_not_keep_from_undoing(world: World) -> None:
    world.run("pragma foreign_keys=off; insert into pets values (8, 77)")
    before = world.dump()
    world.undo(done(world, "update pets set owner = null where id = 1"))
    assert world.dump() == before


def test_a_value_longer_than_a_statement_may_hold_comes_back(tmp_path: Path) -> None:
    world = make_world(tmp_path, "create table t (a, b); insert into t values ('x', zeroblob(5000000)), ('y', 1)")
    before = world.dump()
    manifest = done(world, "delete from t where a = 'x'")
    assert world.databases.settle(manifest) == "committed"
    world.undo(manifest)
    assert world.dump() == before


@pytest.mark.parametrize(
    ("schema", "sql", "why"),
    [
        pytest.param(
            "create table t (a); insert into t values (cast(x'ff' as text))",
            "delete from t",
            "not UTF-8",
            id="not-utf8",
        ),
        pytest.param(
            "pragma encoding='UTF-16'; create table t (a); insert into t values ('x')",
            "delete from t",
            "UTF-16",
            id="utf16",
        ),
    ],
)
def test_what_cannot_be_kept_exactly_is_not_promised(tmp_path: Path, schema: str, sql: str, why: str) -> None:
    world = make_world(tmp_path, schema)
    observed, manifest = world.change(sql)
    assert [(e.extent.amount, e.undo) for e in observed] == [(1, Undo.NONE)]
    assert manifest is not None
    assert world.dump()["t"] == {}
    with pytest.raises(Refused, match=why):
        world.databases.reverse(manifest)
