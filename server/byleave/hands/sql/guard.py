"""What one statement is, judged from its text alone: the first of three readers that have to agree.

    1 lex       our own strict reader (`lexer.py`)
    2 parse     sqlglot, whose tokens must cover the same characters; one statement, listed root, nodes and functions
    3 prepare   the engine itself, under an authorizer that refuses everything not listed (`sqlite/`)

sqlglot is never the boundary: it only makes the refusal come earlier and in words. It parses some nested texts in
exponential time, so its steps are counted and bounded; what a parse costs is a function of the text, not of the clock.
INVARIANT: what is executed is exactly the text that was classified here; nothing is ever rendered again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp, parser
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.optimizer.simplify import simplify
from sqlglot.tokenizer_core import Token as TheirToken

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.hands.sql.functions import (
    CHANGE_NODES,
    FUNCTION_NODES,
    FUNCTIONS,
    MOST_BLOB_BYTES,
    MOST_SET_CHARACTERS,
    PLAIN_NEEDLE,
    PRAGMAS,
    QUERY_NODES,
    SHORT_SET,
    SIZED,
    TABLE_FUNCTIONS,
)
from byleave.hands.sql.lexer import SQLITE, Mark, Token, fold, lex, place

# It repeats the statement in its warnings, and a statement may hold a secret.
logging.getLogger("sqlglot").disabled = True


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
    that is always true.
    """

    kind: Kind
    target: str | None = None
    tables: frozenset[str] = field(default_factory=frozenset[str])
    ctes: frozenset[str] = field(default_factory=frozenset[str])
    replaces: bool = False
    updates: bool = False
    unbounded: bool = False
    explains: bool = False


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
    tree = _parse(sql, tokens)
    _refuse_unlisted(tree)
    return _shape(tree)


def _explained(sql: str, tokens: Sequence[Token]) -> Shape:
    """`EXPLAIN QUERY PLAN`: what it explains must be a read itself. The blanks keep every position as it was."""
    if len(tokens) < 4:
        raise Refused(Word.INVALID_ARGUMENTS, "`explain query plan` explains nothing", "write the query after it")
    start = tokens[3].start
    inner = classify(re.sub(r"[^\n]", " ", sql[:start]) + sql[start:])
    if inner.kind is not Kind.READ or inner.explains:
        raise _not_allowed(
            "sql.explain", "only a query can be explained", "explain the `select` with the same condition"
        )
    return Shape(Kind.READ, None, inner.tables, inner.ctes, explains=True)


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
        raise _not_allowed(
            "sql.pragma", "this `pragma` is not one that only reads the structure", f"use `describe`, or one of {forms}"
        )
    return Shape(Kind.READ, None, frozenset({"pragma_" + rest[0].folded}))


def _refuse_by_word(words: Sequence[str]) -> None:
    """The clear answers: what kind of statement it is, in the words of whoever wrote it."""
    first = words[0]
    named = f"`{printable(first)[:20]}`"
    if first in ("create", "alter", "drop", "truncate", "reindex", "rename"):
        hint = "nothing was done. propose a migration: write it as a file in the project, for a pull request"
        raise _not_allowed("sql.ddl", f"{named} changes the structure of the database", hint)
    if first in ("begin", "commit", "end", "rollback", "savepoint", "release", "start"):
        raise _not_allowed(
            "sql.transaction",
            f"{named}: the gate keeps the transactions",
            "send the change itself: it is one transaction",
        )
    if first in ("attach", "detach", "vacuum", "analyze", "load"):
        raise _not_allowed("sql.reach", f"{named} reaches beyond the rows of this database", "ask a person to do it")
    if first == "explain":
        raise _not_allowed("sql.explain", "`explain` shows byte code", "use `explain query plan`")
    if first == "replace":
        raise _not_allowed("sql.unlisted", "`replace into` is short for `insert or replace into`", "write it out")
    if words[:2] == ["update", "or"]:
        raise _not_allowed(
            "sql.unlisted", "`update or` hides what happens to other rows", "leave it out, or delete those rows first"
        )
    if first not in ("select", "values", "with", "insert", "update", "delete"):
        raise _not_allowed(
            "sql.unlisted", f"a statement that begins with {named}", "use select, insert, update, delete or `describe`"
        )


# --- parsing ---------------------------------------------------------------------------------------------------------


class TooMuch(Exception):  # noqa: N818 (caught here)
    """Parsing took more steps than any real statement of that length."""


if TYPE_CHECKING:
    SqliteParser = parser.Parser
else:
    SqliteParser = SQLite.parser_class


class _Parser(SqliteParser):
    """sqlglot's parser with its steps counted. Real statements take one step for each token, `date(...)` up to six."""

    left = 0

    def _advance(self, times: int = 1) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooMuch
        super()._advance(times)


_DIALECT = SQLite()


def _parse(sql: str, tokens: Sequence[Token]) -> exp.Expr:
    try:
        theirs = _DIALECT.tokenize(sql)
        _compare(sql, tokens, theirs)
        reader = _Parser(dialect=_DIALECT, error_level=ErrorLevel.IMMEDIATE)
        reader.left = 4000 + 6 * len(theirs)
        trees = [tree for tree in reader.parse(theirs, sql) if tree is not None and not isinstance(tree, exp.Semicolon)]
    except (TooMuch, RecursionError):
        reason = "the statement is nested too deeply to be read"
        raise _not_allowed("sql.too-complex", reason, "use `with` for the inner parts, or split it") from None
    except SqlglotError as error:
        raise _does_not_parse(sql, error) from None
    if len(trees) != 1:
        raise _not_allowed("sql.one-statement", "more than one statement", "send one statement in each call")
    return trees[0]


def _compare(sql: str, ours: Sequence[Token], theirs: Sequence[TheirToken]) -> None:
    """Both readers must have cut the text at the same places: theirs may join words, never skip or split."""
    # `:name` is one token here and two there.
    pieces = [
        cut
        for t in ours
        for cut in ([(t.start, t.start + 1), (t.start + 1, t.end)] if _splits(t) else [(t.start, t.end)])
    ]
    starts = {start: at for at, (start, _) in enumerate(pieces)}
    ends = {end: at for at, (_, end) in enumerate(pieces)}
    expected = 0
    for token in theirs:
        if token.text == ";" and token.start >= ours[-1].end:
            continue
        first, last = starts.get(token.start), ends.get(token.end + 1)
        if first != expected or last is None:
            raise _differs(sql, token.start)
        expected = last + 1
    if expected != len(pieces):
        raise _differs(sql, pieces[expected][0])


def _splits(token: Token) -> bool:
    return token.mark is Mark.PARAMETER and len(token.text) > 1


def _differs(sql: str, at: int) -> Refused:
    return _not_allowed(
        "sql.odd-text",
        f"the statement can be read in two ways {place(sql, at)}",
        "write it in plainer words, with spaces between them",
    )


def _does_not_parse(sql: str, error: SqlglotError) -> Refused:
    first = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
    line, column = first.get("line"), first.get("col")
    where = f" at line {line}, column {column}" if line and column else ""
    near = printable(str(first.get("highlight") or ""))[:40]
    return Refused(
        Word.INVALID_ARGUMENTS,
        f"the statement does not parse{where}" + (f", near `{near}`" if near else ""),
        "it is read as SQLite's SQL; `describe` shows tables and columns",
    )


# --- walking ---------------------------------------------------------------------------------------------------------


_READ_NODES = QUERY_NODES | FUNCTION_NODES
_ALL_NODES = _READ_NODES | CHANGE_NODES
_ROOTS = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete)


def _refuse_unlisted(tree: exp.Expr) -> None:
    if not isinstance(tree, _ROOTS):
        raise _not_allowed(
            "sql.unlisted", "this is no query and no change of rows", "use select, insert, update or delete"
        )
    changing = isinstance(tree, (exp.Insert, exp.Update, exp.Delete))
    allowed = _ALL_NODES if changing else _READ_NODES
    for node in tree.walk():
        name = type(node).__name__
        if name not in allowed:
            raise _unlisted(name)
        if node is not tree and isinstance(node, (exp.Insert, exp.Update, exp.Delete)):
            raise _not_allowed("sql.unlisted", "a change inside another statement", "send the change by itself")
        if isinstance(node, exp.Func):
            _refuse_function(node)
        elif isinstance(node, exp.Table):
            _refuse_table(node)


def _unlisted(name: str) -> Refused:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return _not_allowed("sql.unlisted", f"the statement uses `{words}`, which is not allowed", "write it without that")


def _refuse_function(node: exp.Expr) -> None:
    name = fold(node.name) if isinstance(node, exp.Anonymous) else _NAMES.get(type(node).__name__, "")
    if isinstance(node, exp.Anonymous):
        if name not in FUNCTIONS | TABLE_FUNCTIONS and name.removeprefix("pragma_") not in PRAGMAS:
            raise _not_allowed(
                "sql.function",
                f"the function `{printable(name)[:40]}` is not allowed",
                "use a built-in that only computes",
            )
        arguments = list(node.expressions)
    else:
        arguments = [node.this, *_second(node)]
    if name in SIZED and not _at_most(arguments[:1], MOST_BLOB_BYTES):
        raise _not_allowed(
            "sql.function", f"`{name}` without a plain size", f"write a number up to {MOST_BLOB_BYTES:,}"
        )
    if name in PLAIN_NEEDLE and not all(_plain(a) for a in arguments[1:2]):
        raise _not_allowed(
            "sql.function", f"`{name}` that looks for a computed text", "look for a literal, a parameter or a column"
        )
    if name in SHORT_SET and not all(_short(a) for a in arguments[1:2]):
        raise _not_allowed(
            "sql.function", f"`{name}` with a computed set of characters", "write the characters as a literal"
        )


#: Typed nodes that have a bound, by the engine's name; their second argument has a name of its own in the tree.
_NAMES = {"StrPosition": "instr", "Replace": "replace", "Trim": "trim", "Unhex": "unhex"}


def _second(node: exp.Expr) -> Iterator[exp.Expr]:
    for key in ("substr", "expression"):
        if node.args.get(key) is not None:
            yield node.args[key]


def _at_most(arguments: Sequence[exp.Expr], most: int) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], exp.Literal) and _number(arguments[0].name) <= most


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")


def _plain(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Literal, exp.Column, exp.Placeholder, exp.Parameter, exp.Null))


def _short(node: exp.Expr) -> bool:
    return isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and len(node.name) <= MOST_SET_CHARACTERS)


def _refuse_table(node: exp.Table) -> None:
    if node.catalog or fold(node.db or "main") != "main":
        raise _not_allowed("sql.reach", "a table outside the main database", "name the table alone")
    if isinstance(node.this, exp.Func):
        name = fold(node.this.name)
        if name not in TABLE_FUNCTIONS and name.removeprefix("pragma_") not in PRAGMAS:
            raise _not_allowed(
                "sql.function",
                f"the table function `{printable(name)[:40]}` is not allowed",
                "use `json_each` or `json_tree`",
            )


def _shape(tree: exp.Expr) -> Shape:
    tables = frozenset(_table_names(tree.find_all(exp.Table)))
    ctes = frozenset(fold(cte.alias) for cte in tree.find_all(exp.CTE))
    if isinstance(tree, exp.Insert):
        return _insert(tree, tables, ctes)
    if isinstance(tree, (exp.Update, exp.Delete)):
        kind = Kind.UPDATE if isinstance(tree, exp.Update) else Kind.DELETE
        if not isinstance(tree.this, exp.Table):
            raise _not_allowed("sql.unlisted", "a change of more than one table", "change one table in each call")
        where = tree.args.get("where")
        return Shape(kind, fold(tree.this.name), tables, ctes, unbounded=where is None or _always(where.this))
    return Shape(Kind.READ, None, tables, ctes)


def _table_names(tables: Iterable[exp.Expr]) -> Iterator[str]:
    for table in tables:
        yield fold(table.this.name if isinstance(table.this, exp.Func) else table.name)


def _insert(tree: exp.Expr, tables: frozenset[str], ctes: frozenset[str]) -> Shape:
    into = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(into, exp.Table) or tree.args.get("overwrite") or tree.args.get("partition"):
        raise _not_allowed("sql.unlisted", "this form of `insert`", "write `insert into TABLE (COLUMNS) ...`")
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
    return isinstance(plain, exp.Literal) and not plain.is_string and _number(plain.name) != 0


def _same_on_both_sides(node: exp.Expr) -> exp.Expr:
    if isinstance(node, (exp.EQ, exp.Is, exp.NullSafeEQ, exp.GTE, exp.LTE)) and node.left == node.right:
        return exp.true()
    if isinstance(node, exp.Like) and isinstance(node.expression, exp.Literal) and set(node.expression.name) == {"%"}:
        return exp.true()
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


def _not_allowed(rule: str, reason: str, hint: str) -> Refused:
    return Refused(Word.DENIED, reason, hint, rule=rule)
