"""P6: what counts was measured."""

from __future__ import annotations

import sqlite3

import pytest

from shop import Shop, call, gate_over

MORE_THAN_ALLOWED = [
    "DELETE FROM orders",
    "DELETE FROM orders WHERE true",
    "DELETE FROM orders WHERE 1 = 1",
    "DELETE FROM orders WHERE id > 0 AND id < 10000",
    "UPDATE orders SET state = 'gone' WHERE id IN (SELECT id FROM orders)",
]


@pytest.mark.anyio
@pytest.mark.parametrize("sql", MORE_THAN_ALLOWED)
async def test_a_change_of_more_rows_than_allowed_is_rolled_back(shop: Shop, sql: str) -> None:
    before = shop.picture()
    async with gate_over(shop) as gate:
        answer = await call(gate, "sql_change", database="shop", sql=sql)
        assert answer.is_error
        assert shop.rows("orders") == 100
    assert shop.picture() == before


@pytest.mark.anyio
async def test_rows_that_a_trigger_takes_along_are_counted(shop: Shop) -> None:
    connection = sqlite3.connect(shop.database)
    connection.executescript(
        "CREATE TRIGGER gone AFTER DELETE ON customers BEGIN DELETE FROM orders WHERE id <= 60; END"
    )
    connection.close()
    async with gate_over(shop) as gate:
        answer = await call(gate, "sql_change", database="shop", sql="DELETE FROM customers WHERE id = 1")
        assert answer.is_error
    assert (shop.rows("customers"), shop.rows("orders")) == (10, 100)


@pytest.mark.anyio
async def test_a_change_within_the_bound_counts_and_says_how_many(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        answer = await call(gate, "sql_change", database="shop", sql="DELETE FROM orders WHERE id <= 7")
        assert not answer.is_error, answer.text
        assert "7" in answer.text
    assert shop.rows("orders") == 93


@pytest.mark.anyio
async def test_more_files_than_allowed_stay(shop: Shop) -> None:
    many = shop.project / "many"
    many.mkdir()
    for number in range(201):
        (many / f"{number}.txt").write_text("x")
    async with gate_over(shop) as gate:
        answer = await call(gate, "files_remove", path="many", recursive=True)
        assert answer.is_error
    assert len(list(many.iterdir())) == 201
