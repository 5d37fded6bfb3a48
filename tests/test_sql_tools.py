"""The two tools: what a model reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from byleave.capability import Result
from byleave.consider import step
from byleave.effects import Plan
from byleave.hands.sql import Databases
from byleave.workbench import Seeing
from byleave_capabilities.sql import Change, ChangeArguments, Query, QueryArguments
from sqlite_world import World, make_world

SCHEMA = """
create table orders (id integer primary key, note text, total real, data blob);
insert into orders values (1, 'first', 9.5, null),
  (2, 'line' || char(10) || char(27) || '[31mred', null, x'00ff'), (3, null, 3, zeroblob(20));
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, SCHEMA)


def seeing(databases: Databases) -> Seeing:
    return Seeing(None, databases.view(), None)  # type: ignore[arg-type] # sql tools look at nothing else


def query(world: World, sql: str, **more: object) -> Result:
    tool, args = Query(), QueryArguments.model_validate({"database": "app", "sql": sql, **more})
    statement = step(tool.survey(args, seeing(world.databases)))
    return step(tool.perform(args, statement, world.databases.reading().hands))


def test_rows_are_a_table_that_cannot_write_on_a_terminal(world: World) -> None:
    assert query(world, "select * from orders").text.split("\n") == [
        r"id  note               total  data",
        r"--  -----------------  -----  ----------------------------------------------",
        r" 1  first                9.5  NULL",
        r" 2  line\n\x1b[31mred   NULL  x'00ff'",
        r" 3  NULL                 3.0  x'00000000000000000000000000000000' (20 bytes)",
        r"(3 rows)",
    ]


def test_data_carries_the_rows_for_programs(world: World) -> None:
    assert query(world, "select id, data, 9007199254740993, 9e999 from orders where id = 2").data == {
        "columns": ["id", "data", "9007199254740993", "9e999"],
        "rows": [[2, "x'00ff'", "9007199254740993", "inf"]],
        "more": False,
    }


def test_a_long_cell_is_cut_in_the_text_and_whole_in_the_data(world: World) -> None:
    found = query(world, "select :text as t", params={"text": "x" * 500})
    assert "x" * 80 + "... (500 characters)" in found.text
    assert found.data is not None
    assert found.data["rows"] == [["x" * 500]]


def test_where_there_is_more_the_exact_next_statement_is_told(world: World) -> None:
    first = query(world, "select id from orders order by id;", limit=1)
    assert first.text.endswith(
        "(1 row, and there are more: go on with the sql `select id from orders order by id limit 1 offset 1`)"
    )
    second = query(world, "select id from orders order by id limit 1 offset 1", limit=1)
    assert second.data is not None
    assert second.data["rows"] == [[2]]


def test_a_statement_with_its_own_limit_is_told_to_ask_for_more(world: World) -> None:
    assert "ask for more with `limit`" in query(world, "select id from orders limit 3", limit=1).text


def test_describe_is_a_table_like_any_other(world: World) -> None:
    assert "orders" in query(world, "describe").text
    assert "primary key (1)" in query(world, "describe orders").text


def test_no_rows_are_told(world: World) -> None:
    assert query(world, "select id from orders where 0").text == "id\n--\n(0 rows)"


def test_a_change_tells_its_rows_and_the_preview_shows_them(world: World) -> None:
    tool, args = Change(), ChangeArguments(database="app", sql="update orders set total = ? where id < 3", params=[1.0])
    statement = step(tool.survey(args, seeing(world.databases)))
    plan = tool.plan(args, statement)
    assert plan.staged
    stage = world.databases.stage(plan)
    result = step(tool.perform(args, statement, stage.hands))
    stage.discard()
    assert result == Result(
        "changed 2 rows of orders\nupdate orders 1: total: 9.5 -> 1.0\nupdate orders 2: total: null -> 1.0",
        {"rows_changed": {"orders": 2}},
    )
    assert tool.preview(args, statement).split("\n") == [
        "update orders set total = ? where id < 3",
        "update orders 1: total: 9.5 -> 1.0",
        "update orders 2: total: null -> 1.0",
    ]


def test_a_change_of_no_row_is_told(world: World) -> None:
    tool, args = Change(), ChangeArguments(database="app", sql="delete from orders where 0")
    statement = step(tool.survey(args, seeing(world.databases)))
    stage = world.databases.stage(Plan(statement.effects, staged=True))
    assert step(tool.perform(args, statement, stage.hands)).text == "no row changed"
    stage.discard()


@pytest.mark.parametrize(
    "arguments",
    [
        {"database": "app"},
        {"database": "app", "sql": ""},
        {"database": "app", "sql": "select 1", "offset": 5},
        {"database": "app", "sql": "select 1", "limit": 0},
        {"database": "app", "sql": "select 1", "limit": 1001},
        {"database": "app", "sql": "select 1", "limit": "5"},
        {"database": "app", "sql": "select 1", "params": [[1]]},
        {"database": "app", "sql": "select 1", "params": "x"},
    ],
)
def test_other_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QueryArguments.model_validate(arguments)


def test_descriptions_keep_to_their_length() -> None:
    assert all(0 < len(" ".join((tool.__doc__ or "").split())) <= 450 for tool in (Query, Change))
