"""What a statement is, by its text."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from byleave.capability import Refused, Word
from byleave.hands.sql.guard import Kind, Shape, classify

ORDINARY = {
    "columns": "select a, t.b as c, t.* from t where a = 1 and not b is null or c <> 2",
    "operators": "select -a, ~b, a + b - c * d / e % f, a || b, a & b | c, a << 1 >> 2, a == b, a != b, a <= b from t",
    "in-between-like": "select * from t where a in (1, 2) and b between 1 and 2 and c like 'x%' escape '!'",
    "null-safe": "select a is b, a is not b, a is distinct from b, a isnull, b notnull from t",
    "case-cast": "select case a when 1 then 2 else 3 end, cast(b as text), cast(c as decimal(10, 2)) from t",
    "group": "select a, count(*), count(distinct b), sum(c) filter (where c > 1) from t group by a having count(*) > 1",
    "order": "select a from t order by a collate nocase desc nulls last limit 10 offset 5",
    "joins": "select * from t join u on t.a = u.a left join v using (b) cross join w natural join x",
    "subqueries": "select (select max(a) from u), b from (select b from t) as q where exists (select 1 from v)",
    "row-values": "select * from t where (a, b) in (values (1, 2), (3, 4))",
    "cte": "with recursive c(n) as (values (1) union all select n + 1 from c where n < 5) select * from c",
    "set-operations": "select a from t union select b from u except select c from v intersect select d from w",
    "windows": "select row_number() over (partition by a order by b), sum(c) over w from t window w as (order by d)",
    "json": "select a -> '$.b', a ->> 'c', json_extract(a, '$.x'), j.value from t, json_each(t.a) as j",
    "times": "select date('now', '-1 day'), strftime('%Y', a), julianday(b), current_timestamp from t",
    "texts": "select lower(a), substr(b, 1, 2), replace(c, 'x', 'y'), trim(d), instr(e, 'z'), printf('%d', f) from t",
    "maths": "select round(a, 2), abs(b), pow(c, 2), ceil(d), max(e, f), min(g) from t",
    "match": "select highlight(notes, 0, '<', '>') from notes where notes match 'word' order by rank",
    "parameters": "select * from t where a = ? and b = ? and c = :name and d = @other and e = $third",
    "named-from": 'select 1 as "from", 2 as [order], 3 as `select`',
    "values": "values (1, 'a'), (2, 'b')",
    "schema": "select name, sql from sqlite_schema where type = 'table'",
    "schema-old-name": "select count(*) from main.sqlite_master",
    "pragma-function": "select * from pragma_table_info('t')",
    "pragma": "pragma table_info(t)",
    "pragma-main": "pragma main.index_list('t')",
    "pragma-bare": "pragma table_list",
    "explain": "explain query plan select * from t where a = 1",
    "random": "select * from t order by random() limit 1",
    "indexed": "select * from t indexed by i where a = 1",
    "rowid": "select rowid, * from t",
    "upper": "SELECT A FROM T WHERE B IS NOT NULL;",
}


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in ORDINARY.items()])
def test_ordinary_reading_is_reading(sql: str) -> None:
    assert classify(sql).kind is Kind.READ


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        pytest.param("select 1", Shape(Kind.READ), id="no-table"),
        pytest.param("select * from T, main.u", Shape(Kind.READ, tables=frozenset({"t", "u"})), id="tables-folded"),
        pytest.param(
            "with c as (select 1) select * from c, t",
            Shape(Kind.READ, tables=frozenset({"c", "t"}), ctes=frozenset({"c"})),
            id="cte",
        ),
        pytest.param("describe", Shape(Kind.DESCRIBE), id="describe"),
        pytest.param("DESC Orders;", Shape(Kind.DESCRIBE, "orders"), id="describe-table"),
        pytest.param('describe main."Order Lines"', Shape(Kind.DESCRIBE, "order lines"), id="describe-quoted"),
        pytest.param("show tables", Shape(Kind.DESCRIBE), id="show-tables"),
        pytest.param("insert into t (a) values (1)", Shape(Kind.INSERT, "t", frozenset({"t"})), id="insert"),
        pytest.param(
            "insert or replace into t values (1)",
            Shape(Kind.INSERT, "t", frozenset({"t"}), replaces=True),
            id="insert-or-replace",
        ),
        pytest.param(
            "insert into t (a) values (1) on conflict (a) do update set b = 2",
            Shape(Kind.INSERT, "t", frozenset({"t"}), updates=True),
            id="upsert",
        ),
        pytest.param("update t set a = 1 where b = 2", Shape(Kind.UPDATE, "t", frozenset({"t"})), id="update"),
        pytest.param(
            "update t set a = u.a from u where u.b = t.b",
            Shape(Kind.UPDATE, "t", frozenset({"t", "u"})),
            id="update-from",
        ),
        pytest.param(
            "with c as (select 1 as x) delete from main.t where a in (select x from c)",
            Shape(Kind.DELETE, "t", frozenset({"t", "c"}), frozenset({"c"})),
            id="delete-with",
        ),
    ],
)
def test_the_shape_of_a_statement(sql: str, shape: Shape) -> None:
    assert classify(sql) == shape


@pytest.mark.parametrize(
    "where",
    [
        "",
        "where 1",
        "where true",
        "where 1 = 1",
        "where a = a",
        "where a is a",
        "where (a = a)",
        "where a like '%'",
        "where a = 2 or 1 = 1",
        "where b = 3 or a = a",
        "where not 0",
        "where 'x' = 'x'",
        "where 2 > 1",
    ],
)
def test_no_condition_and_one_that_is_always_true_are_the_same(where: str) -> None:
    assert classify(f"delete from t {where}").unbounded
    assert classify(f"update t set b = 1 {where}").unbounded


@pytest.mark.parametrize(
    "where", ["where a = 1", "where a = b", "where 0", "where a like 'x%'", "where a = a and b = 2", "where a"]
)
def test_a_condition_that_may_fail_bounds(where: str) -> None:
    assert not classify(f"delete from t {where}").unbounded


@pytest.mark.parametrize(
    ("sql", "rule", "hint"),
    [
        pytest.param("drop table t", "sql.ddl", "migration", id="ddl-points-to-migrations"),
        pytest.param("begin", "sql.transaction", "one transaction", id="transactions-are-the-gates"),
        pytest.param("replace into t values (1)", "sql.unlisted", "write it out", id="replace-says-what-would-pass"),
        pytest.param("select sleep(1)", "sql.function", "built-in", id="function"),
        pytest.param("select * from other.t", "sql.reach", "name the table alone", id="other-database"),
        pytest.param("pragma journal_mode = off", "sql.pragma", "describe", id="pragma"),
        pytest.param("explain select 1", "sql.explain", "query plan", id="explain"),
        pytest.param("select 1; select 2", "sql.one-statement", "one statement", id="two"),
        pytest.param("select instr(a, hex(b)) from t", "sql.function", "literal", id="quadratic"),
    ],
)
def test_a_refusal_names_its_rule_and_what_would_pass(sql: str, rule: str, hint: str) -> None:
    with pytest.raises(Refused) as caught:
        classify(sql)
    assert (caught.value.word, caught.value.rule) == (Word.DENIED, rule)
    assert hint in caught.value.hint


def test_what_does_not_parse_is_told_with_its_place() -> None:
    with pytest.raises(Refused) as caught:
        classify("select a\nfrom t whre b = 1")
    assert caught.value.word is Word.INVALID_ARGUMENTS
    assert "line 2" in caught.value.reason


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("select " + ", ".join(["date(" * 10 + "'now'" + ")" * 10] * 400), id="exponential"),
        pytest.param("select " + ", ".join(["struct(" * 10 + "a" + ")" * 10] * 300), id="exponential-struct"),
        pytest.param(
            "select " + ", ".join(["cast(a as " + "decimal(" * 9 + "1" + ")" * 9 + ")" for _ in range(300)]), id="cast"
        ),
        pytest.param("insert into t values " + "(1), " * 10_000 + "(1)", id="many-rows"),
        pytest.param("select " + "1," * 32_000 + "1", id="many-columns"),
        pytest.param("select * from t where " + "a = a or " * 5_000 + "1", id="many-conditions"),
        pytest.param(
            "delete from t where " + "(a = a and b = b) or " * 2_500 + "1", id="condition-too-long-to-simplify"
        ),
        pytest.param("select '" + "x" * 60_000 + "'", id="long-string"),
        pytest.param("select " + "x" * 60_000, id="long-name"),
        pytest.param("select 1 --" + "-" * 60_000, id="long-comment"),
        pytest.param("select '" + "''" * 30_000, id="open-string"),
        pytest.param("/*" + "*" * 60_000, id="open-comment"),
        pytest.param("select 1" + " union select 1" * 4_000, id="many-unions"),
    ],
)
def test_no_statement_takes_long_to_read(sql: str) -> None:
    begun = time.monotonic()
    with suppress(Refused):
        classify(sql)
    assert time.monotonic() - begun < 2.5


def test_a_refused_statement_stays_refused_and_an_allowed_one_is_not_mixed_up() -> None:
    assert classify("select a from t") == classify("select a from t")
    for _ in range(2):
        with pytest.raises(Refused):
            classify("select a from t; delete from t")
