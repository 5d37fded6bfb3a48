"""What one statement is, judged from its text alone: the first of three readers that have to agree.

    1 lex       our own strict reader (`lexer.py`)
    2 parse     sqlglot (`parsing.py`), whose tokens must cover the same characters; one statement, made of what is
                listed (`nodes.py`)
    3 prepare   the engine itself, under an authorizer that refuses everything not listed (`sqlite/`)

sqlglot is never the boundary: it only makes the refusal come earlier and in words.
INVARIANT: what is executed is exactly the text that was classified here; nothing is ever rendered again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.simplify import simplify

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.hands.sql.functions import PRAGMAS
from byleave.hands.sql.lexer import SQLITE, Mark, Token, denied, fold, lex
from byleave.hands.sql.nodes import number, refuse_unlisted
from byleave.hands.sql.parsing import parse


class Kind(StrEnum):
    """What the statement as a whole is."""

    READ = "read"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    DESCRIBE = "describe"  # our own: the structure, for people and models

    @property
    def changes(self) -> bool:
        return self in (Kind.INSERT, Kind.UPDATE, Kind.DELETE)


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement as its text reads. Names are folded. `target` is the table that is changed, or the one to describe.

    `tables` are all names that stand where a table does, those of common table expressions (`ctes`) included.
    `replaces` and `updates` are what an INSERT may do to rows that are there already. `unbounded`: no condition, or one
    that is always true. `slow`: one call of a function in it may take long.
    """

    kind: Kind
    target: str | None = None
    tables: frozenset[str] = field(default_factory=frozenset[str])
    ctes: frozenset[str] = field(default_factory=frozenset[str])
    replaces: bool = False
    updates: bool = False
    unbounded: bool = False
    explains: bool = False
    slow: bool = False


@lru_cache(maxsize=4096)
def classify(sql: str) -> Shape:
    """Read one SQLite statement. Pure. Raises `Refused` with the rule that it breaks and what would pass."""
    tokens = lex(sql, SQLITE)
    words = [t.folded if t.mark is Mark.WORD else t.text for t in tokens[:4]]
    if words[:3] == ["explain", "query", "plan"]:
        return _explained(sql, tokens)
    if (own := _own_form(sql, tokens, words)) is not None:
        return own
    _refuse_by_word(words)
    tree = parse(sql, tokens)
    slow = refuse_unlisted(tree)
    return replace(_shape(tree), slow=slow)


def _explained(sql: str, tokens: Sequence[Token]) -> Shape:
    """`EXPLAIN QUERY PLAN`: what it explains must be a read itself. The blanks keep every position as it was."""
    if len(tokens) < 4:
        raise Refused(Word.INVALID_ARGUMENTS, "`explain query plan` explains nothing", "write the query after it")
    start = tokens[3].start
    inner = classify(re.sub(r"[^\n]", " ", sql[:start]) + sql[start:])
    if inner.kind is not Kind.READ or inner.explains:
        raise denied("sql.explain", "only a query can be explained", "explain the `select` with the same condition")
    return replace(inner, explains=True)


def _own_form(sql: str, tokens: Sequence[Token], words: Sequence[str]) -> Shape | None:
    """`describe`, `describe TABLE`, `show tables` and the `PRAGMA` forms that only read the structure."""
    match words:
        case ["describe" | "desc"] | ["show", "tables"] | ["show", "databases"]:
            return Shape(Kind.DESCRIBE)
        case ["describe" | "desc", _] | ["describe" | "desc", "main", ".", _] if len(tokens) in (2, 4):
            return Shape(Kind.DESCRIBE, _name(tokens[-1]))
        case ["pragma", *_]:
            return _pragma(sql, tokens)
        case _:
            return None


def _pragma(sql: str, tokens: Sequence[Token]) -> Shape:
    rest = list(tokens[1:])
    if [t.folded for t in rest[:2]] == ["main", "."]:
        rest = rest[2:]
    signs = [t.text for t in rest[1:] if t.mark is Mark.SIGN]
    plain = len(rest) == 1 or (
        len(rest) == 4 and signs == ["(", ")"] and rest[2].mark in (Mark.WORD, Mark.QUOTED, Mark.STRING)
    )
    if not rest or not plain or rest[0].folded not in PRAGMAS:
        forms = ", ".join(f"`pragma {name}`" for name in sorted(PRAGMAS))
        raise denied(
            "sql.pragma", "this `pragma` is not one that only reads the structure", f"use `describe`, or one of {forms}"
        )
    return Shape(Kind.READ, None, frozenset({"pragma_" + rest[0].folded}))


def _refuse_by_word(words: Sequence[str]) -> None:
    """The clear answers: what kind of statement it is, in the words of whoever wrote it."""
    first = words[0]
    named = f"`{printable(first)[:20]}`"
    if first in ("create", "alter", "drop", "truncate", "reindex", "rename"):
        hint = "nothing was done. propose a migration: write it as a file in the project, for a pull request"
        raise denied("sql.ddl", f"{named} changes the structure of the database", hint)
    if first in ("begin", "commit", "end", "rollback", "savepoint", "release", "start"):
        raise denied(
            "sql.transaction",
            f"{named}: the gate keeps the transactions",
            "send the change itself: it is one transaction",
        )
    if first in ("attach", "detach", "vacuum", "analyze", "load"):
        raise denied("sql.reach", f"{named} reaches beyond the rows of this database", "ask a person to do it")
    if first == "explain":
        raise denied("sql.explain", "`explain` shows byte code", "use `explain query plan`")
    if first == "replace":
        raise denied("sql.unlisted", "`replace into` is short for `insert or replace into`", "write it out")
    if words[:2] == ["update", "or"]:
        raise denied(
            "sql.unlisted", "`update or` hides what happens to other rows", "leave it out, or delete those rows first"
        )
    if first not in ("select", "values", "with", "insert", "update", "delete"):
        raise denied(
            "sql.unlisted", f"a statement that begins with {named}", "use select, insert, update, delete or `describe`"
        )


def _shape(tree: exp.Expr) -> Shape:
    tables = frozenset(_table_names(tree.find_all(exp.Table)))
    ctes = frozenset(fold(cte.alias) for cte in tree.find_all(exp.CTE))
    if isinstance(tree, exp.Insert):
        return _insert(tree, tables, ctes)
    if isinstance(tree, (exp.Update, exp.Delete)):
        kind = Kind.UPDATE if isinstance(tree, exp.Update) else Kind.DELETE
        if not isinstance(tree.this, exp.Table):
            raise denied("sql.unlisted", "a change of more than one table", "change one table in each call")
        where = tree.args.get("where")
        return Shape(kind, fold(tree.this.name), tables, ctes, unbounded=where is None or _always(where.this))
    return Shape(Kind.READ, None, tables, ctes)


def _table_names(tables: Iterable[exp.Expr]) -> Iterator[str]:
    for table in tables:
        yield fold(table.this.name if isinstance(table.this, exp.Func) else table.name)


def _insert(tree: exp.Expr, tables: frozenset[str], ctes: frozenset[str]) -> Shape:
    into = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(into, exp.Table) or tree.args.get("overwrite") or tree.args.get("partition"):
        raise denied("sql.unlisted", "this form of `insert`", "write `insert into TABLE (COLUMNS) ...`")
    conflict = tree.args.get("conflict")
    updates = conflict is not None and bool(conflict.expressions)
    replaces = str(tree.args.get("alternative") or "").upper() == "REPLACE"
    return Shape(Kind.INSERT, fold(into.name), tables, ctes, replaces=replaces, updates=updates)


def _always(condition: exp.Expr) -> bool:
    """Whether a condition holds for every row, as far as the text shows: `1`, `a = a`, `a or true`. Only a trait
    follows from it: what a change really did is counted anyway."""
    if sum(1 for _ in condition.walk()) > 200:
        return False
    try:
        plain = simplify(condition.copy().transform(_same_on_both_sides), dialect="sqlite")
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError):
        return False
    while isinstance(plain, exp.Paren):
        plain = plain.this
    if isinstance(plain, exp.Boolean):
        return bool(plain.this)
    return isinstance(plain, exp.Literal) and not plain.is_string and number(plain.name) != 0


def _same_on_both_sides(node: exp.Expr) -> exp.Expr:
    if isinstance(node, (exp.EQ, exp.Is, exp.NullSafeEQ, exp.GTE, exp.LTE)) and node.left == node.right:
        return exp.true()
    if isinstance(node, exp.Like) and isinstance(node.expression, exp.Literal) and set(node.expression.name) == {"%"}:
        return exp.true()
    if isinstance(node, exp.Not) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        return exp.true() if number(node.this.name) == 0 else exp.false()
    if isinstance(node, exp.Glob) and isinstance(node.expression, exp.Literal) and set(node.expression.name) == {"*"}:
        return exp.true()
    return node


def _name(token: Token) -> str:
    if token.mark is Mark.WORD:
        return token.folded
    if token.mark in (Mark.QUOTED, Mark.STRING):
        quote = token.text[-1]
        return fold(token.text[1:-1].replace(quote * 2, quote))
    raise Refused(Word.INVALID_ARGUMENTS, "`describe` takes the name of a table", "`describe` alone lists them")
