"""Databases: reading that the engine itself keeps from changing, and changes measured before they count."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from pydantic import Field

from byleave.capability import LOOKS, Arguments, Hints, Result, Rows, SqlHands, SqlReading, Statement, Tool, View
from byleave.effects import Plan, printable, rows

Scalar = None | bool | int | float | str

#: A page of an answer, and how wide a cell may be in the text. `data` carries the same rows for programs.
PAGE = 100
MOST = 1000
CELL = 80


class QueryArguments(Arguments):
    database: str = Field(
        min_length=1, max_length=64, description="The name that the policy gives it, as `gate_status` lists"
    )
    sql: str = Field(min_length=1, max_length=65_536, description="One statement; values as `?` or `:name`")
    params: list[Scalar] | dict[str, Scalar] | None = Field(
        default=None, description="A list for `?`, an object for `:name`"
    )
    limit: int = Field(default=PAGE, ge=1, le=MOST, description="Rows in the answer")


class Query(Tool[QueryArguments, Statement, SqlReading]):
    """Read rows with one SELECT (or VALUES, WITH, EXPLAIN QUERY PLAN). With `describe` as the sql: all tables with
    columns, keys and row counts; with `describe TABLE`: one table's columns, types, keys and references. Nothing can be
    changed here."""

    name = "sql_query"
    title = "Query a database"
    capability = "sql"
    hints = LOOKS

    async def survey(self, args: QueryArguments, view: View) -> Statement:
        return await view.sql.query(args.database, args.sql, args.params)

    def plan(self, args: QueryArguments, facts: Statement) -> Plan:
        del args
        return Plan(facts.effects)

    async def perform(self, args: QueryArguments, facts: Statement, hands: SqlReading) -> Result:
        found = await hands.rows(facts, args.limit, 0)
        data = {
            "columns": list(found.columns),
            "rows": [[_plain(value) for value in row] for row in found.rows],
            "more": found.more,
        }
        return Result(_answer(args, found), data)


class ChangeArguments(Arguments):
    database: str = Field(
        min_length=1, max_length=64, description="The name that the policy gives it, as `gate_status` lists"
    )
    sql: str = Field(
        min_length=1, max_length=65_536, description="One INSERT, UPDATE or DELETE; values as `?` or `:name`"
    )
    params: list[Scalar] | dict[str, Scalar] | None = Field(
        default=None, description="A list for `?`, an object for `:name`"
    )


class Change(Tool[ChangeArguments, Statement, SqlHands]):
    """Change rows with one INSERT, UPDATE or DELETE. It runs in a transaction, the rows it really changes are counted,
    cascades and triggers included, and only then is it decided whether it counts. The rows as they were are kept, so
    that `gate_undo` can put them back. The structure (CREATE, ALTER, DROP) is not changed here."""

    name = "sql_change"
    title = "Change rows"
    capability = "sql"
    hints = Hints(read_only=False, destructive=True, idempotent=False)

    async def survey(self, args: ChangeArguments, view: View) -> Statement:
        return await view.sql.change(args.database, args.sql, args.params)

    def plan(self, args: ChangeArguments, facts: Statement) -> Plan:
        del args
        return Plan(facts.effects, staged=True)

    async def perform(self, args: ChangeArguments, facts: Statement, hands: SqlHands) -> Result:
        del args
        counts = await hands.run(facts)
        lines = [_counted(counts), *facts.sample.lines]
        return Result("\n".join(lines), {"rows_changed": dict(counts)})

    def preview(self, args: ChangeArguments, facts: Statement) -> str:
        return "\n".join([printable(" ".join(args.sql.split()))[:300], *facts.sample.lines])


def _counted(counts: Mapping[str, int]) -> str:
    if not counts:
        return "no row changed"
    return "changed " + ", ".join(f"{_many(n)} of {printable(table)}" for table, n in counts.items())


def _many(n: int) -> str:
    """A virtual table does not tell how many."""
    return str(rows(n)) if n else "rows"


# --- rows as text ----------------------------------------------------------------------------------------------------


def _answer(args: QueryArguments, found: Rows) -> str:
    lines = [_table(found.columns, found.rows)] if found.columns else []
    count = str(rows(len(found.rows)))
    if found.more:
        count += ", and there are more" + _next_page(args, len(found.rows))
    lines.append(f"({count})" + (f" {found.note}" if found.note else ""))
    return "\n".join(lines)


def _next_page(args: QueryArguments, shown: int) -> str:
    """The exact statement that goes on from here."""
    text = args.sql.strip().rstrip(";").rstrip()
    first = re.match(r"\s*(\w+)", text)
    if first is None or first.group(1).lower() not in ("select", "with", "values"):
        return ""
    paged = re.fullmatch(r"(?s)(.*?)\s+limit\s+(\d+)\s+offset\s+(\d+)", text, re.IGNORECASE)
    if paged is not None:
        text, shown = paged.group(1), shown + int(paged.group(3))
    elif re.search(r"\blimit\b", text, re.IGNORECASE):
        return f": ask for more with `limit`, up to {MOST}"
    tail = f"limit {args.limit} offset {shown}"
    return (
        f": go on with the sql `{printable(' '.join(text.split()))} {tail}`" if len(text) < 500 else f": add `{tail}`"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns side by side, as wide as their widest cell: numbers to the right."""
    head = [printable(name)[:CELL] for name in columns]
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[at]) for line in (head, *cells)) for at in range(len(head))]
    right = [
        bool(rows) and all(isinstance(row[at], (int, float)) or row[at] is None for row in rows)
        for at in range(len(head))
    ]

    def line(parts: Sequence[str]) -> str:
        return "  ".join(p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True)).rstrip()

    return "\n".join([line(head), "  ".join("-" * w for w in widths), *(line(row) for row in cells)])


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value[:16].hex()}'" + (f" ({len(value):,} bytes)" if len(value) > 16 else "")
    if isinstance(value, str) and len(value) > CELL:
        return printable(value[:CELL]) + f"... ({len(value):,} characters)"
    return printable(str(value))


def _plain(value: object) -> object:
    """A value as JSON: blobs as `x'..'`, whole numbers that JSON readers round as text."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
