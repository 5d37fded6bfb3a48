"""What a decision about SQL costs, and what measuring a change costs.

    python bench/sql.py [--statements 2000]

Decisions are about statements never seen before: read, parsed, prepared by the engine. sqlglot's bare parse of the same
statements runs in between, so that both meet the same noise. Changes are compared with the bare statement.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import sqlglot

from byleave.consider import step
from byleave.effects import Plan
from byleave.hands.sql import Databases
from byleave.hands.sql.guard import classify

TABLES = {
    "customers": ["id", "name", "city", "vip"],
    "orders": ["id", "customer", "total", "note"],
    "items": ["id", "order_id", "sku", "n"],
}
SCHEMA = "; ".join(f"create table {t} ({', '.join(c)}, primary key (id))" for t, c in TABLES.items())


class Memory:
    """Keeps before-images in memory, so that no disk is measured."""

    def keep(self, content: bytes) -> str:
        return str(len(content))

    def image(self, address: str) -> bytes:
        return address.encode()

    def seal(self, call: str, manifest: object) -> None:
        pass


def never_seen(chance: random.Random, at: int) -> tuple[str, bool]:
    """A statement as agents write them, and whether it changes rows."""
    table = chance.choice(list(TABLES))
    one, two = chance.sample(TABLES[table], 2)
    number, word = chance.randrange(10**9) + at, f"w{chance.randrange(10**9)}"
    reads = [
        f"select {one}, {two} from {table} where {one} = {number}",
        f"select count(*) as {word} from {table} where {two} like '{word}%' group by {one} having count(*) > {number}",
        f"select c.name, sum(o.total) from customers c join orders o on o.customer = c.id where o.id > {number}",
        f"with {word} as (select {one} as x from {table} where {two} in ({number}, {at})) select * from {word} limit 5",
        f"select {one}, row_number() over (partition by {two} order by {one}) from {table} where {one} < {number}",
    ]
    changes = [
        f"update {table} set {two} = '{word}' where {one} = {number}",
        f"delete from {table} where {one} = {number} and {two} is not null",
        f"insert into {table} ({one}, {two}) values ({number}, '{word}')",
    ]
    texts = [(sql, False) for sql in reads] + [(sql, True) for sql in changes]
    return chance.choice(texts)


def decide(databases: Databases, statements: list[tuple[str, bool]]) -> None:
    view = databases.view()
    decided, bare, cached = [], [], []
    for sql, changes in statements:
        begun = time.perf_counter()
        step(view.change("app", sql, None) if changes else view.query("app", sql, None))
        decided.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        sqlglot.parse(sql, read="sqlite")
        bare.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        classify(sql)
        cached.append(time.perf_counter() - begun)
    for name, times in (
        ("decision, never seen", decided),
        ("sqlglot's bare parse", bare),
        ("classified, seen before", cached),
    ):
        times.sort()
        print(
            f"{name:26} {len(times) / sum(times):8,.0f} a second   median {statistics.median(times) * 1e3:7.3f} ms"
            f"   p99 {times[int(len(times) * 0.99)] * 1e3:7.3f} ms"
        )


def measure(databases: Databases, path: Path, count: int) -> None:
    sql = f"update orders set total = total + 1, note = 'changed' where id <= {count}"

    def bare() -> None:
        connection = apsw.Connection(str(path))
        connection.execute("begin immediate").fetchall()
        connection.execute(sql).fetchall()
        connection.execute("rollback").fetchall()
        connection.close()

    def staged() -> None:
        statement = step(databases.view().change("app", sql, None))
        stage = databases.stage(Plan(statement.effects, staged=True))
        step(stage.hands.run(statement))
        stage.observe()
        stage.hold()
        stage.discard()

    once: dict[Callable[[], None], list[float]] = {bare: [], staged: []}
    for _ in range(9):
        for act, times in once.items():
            begun = time.perf_counter()
            act()
            times.append(time.perf_counter() - begun)
    plain, whole = (statistics.median(once[act]) * 1e3 for act in (bare, staged))
    print(f"update of {count:6,} rows   bare {plain:7.2f} ms   staged {whole:7.2f} ms   {whole / plain:5.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--statements", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.db"
        connection = apsw.Connection(str(path))
        connection.execute(SCHEMA).fetchall()
        connection.execute("begin").fetchall()
        connection.executemany(
            "insert into orders values (?, ?, ?, ?)", ((i, i % 100, 1.5, "note") for i in range(1, 10_001))
        )
        connection.execute("commit").fetchall()
        connection.close()
        databases = Databases.open(
            {"app": "sqlite:///app.db"}, workspace=Path(folder), forbidden=(), keeper=Memory(), environ={}
        )
        decide(databases, [never_seen(chance, at) for at in range(options.statements)])
        for count in (1, 1_000, 10_000):
            measure(databases, path, count)
        databases.close()


if __name__ == "__main__":
    main()
