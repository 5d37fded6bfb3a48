"""P7: a query changes nothing, and a change touches only what the policy names."""

from __future__ import annotations

import pytest

from shop import Shop, call, gate_over

NO_READS = [
    "DELETE FROM orders",
    "SELECT 1; DELETE FROM orders",
    "COMMIT; DROP TABLE orders",
    "WITH x AS (SELECT 1) DELETE FROM orders",
    "/* read */ DROP TABLE orders",
    "SELECT 1 -- \n; DROP TABLE orders",
    "EXPLAIN DELETE FROM orders",
    "ATTACH DATABASE '{root}/new.db' AS new",
    "VACUUM INTO '{root}/new.db'",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "SELECT load_extension('evil')",
    "SELECT writefile('{root}/new.db', 'x')",
    "CREATE TEMP TABLE t AS SELECT 1",
    "REPLACE INTO orders VALUES (1, 1, 'x')",
]

NOT_GRANTED = [
    "DELETE FROM tokens",
    "UPDATE tokens SET value = 'x'",
    "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (a)')",
    "DROP TABLE orders",
    "CREATE TABLE more (a)",
    "ALTER TABLE orders ADD COLUMN x",
    "CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM tokens; END",
    "PRAGMA foreign_keys = OFF",
    "DELETE FROM orders WHERE id = 1; DELETE FROM tokens",
    "ATTACH DATABASE '{root}/new.db' AS new",
    "BEGIN; DELETE FROM orders; COMMIT",
    "not sql at all",
]


@pytest.mark.anyio
@pytest.mark.parametrize("sql", NO_READS)
async def test_a_query_that_is_more_than_a_read_changes_nothing(shop: Shop, sql: str) -> None:
    before = shop.picture()
    async with gate_over(shop) as gate:
        answer = await call(gate, "sql_query", database="shop", sql=sql.format(root=shop.root))
        assert answer.is_error
    assert shop.picture() == before
    assert not (shop.root / "new.db").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("sql", NOT_GRANTED)
async def test_a_change_of_what_is_not_granted_changes_nothing(shop: Shop, sql: str) -> None:
    before = shop.picture()
    async with gate_over(shop) as gate:
        answer = await call(gate, "sql_change", database="shop", sql=sql.format(root=shop.root))
        assert answer.is_error
    assert shop.picture() == before
    assert not (shop.root / "new.db").exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT length(zeroblob(2000000000))",
        "SELECT hex(randomblob(500000000))",
    ],
)
async def test_a_query_without_end_is_ended(shop: Shop, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("byleave.hands.sql.sqlite.engine.SECONDS", 0.5)
    async with gate_over(shop) as gate:
        assert (await call(gate, "sql_query", database="shop", sql=sql)).is_error
        after = await call(gate, "sql_query", database="shop", sql="SELECT count(*) AS n FROM orders")
    assert "100" in after.text
