"""The parts of a statement, each of which has to be listed: the parser's nodes, the engine's functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from byleave.capability import Refused
from byleave.effects import printable
from byleave.hands.sql.functions import (
    CHANGE_NODES,
    FUNCTION_NODES,
    FUNCTIONS,
    MOST_BLOB_BYTES,
    MOST_SET_CHARACTERS,
    MOST_SLOW,
    PLAIN_NEEDLE,
    PRAGMAS,
    QUERY_NODES,
    SHORT_SET,
    SIZED,
    TABLE_FUNCTIONS,
)
from byleave.hands.sql.lexer import denied, fold

_READ_NODES = QUERY_NODES | FUNCTION_NODES
_ALL_NODES = _READ_NODES | CHANGE_NODES
_ROOTS = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete)


def refuse_unlisted(tree: exp.Expr) -> bool:
    """Refuse what is not listed. True where one call of a function may take seconds over long values."""
    if not isinstance(tree, _ROOTS):
        raise denied("sql.unlisted", "this is no query and no change of rows", "use select, insert, update or delete")
    changing = isinstance(tree, (exp.Insert, exp.Update, exp.Delete))
    allowed = _ALL_NODES if changing else _READ_NODES
    slow = 0
    for node in tree.walk():
        name = type(node).__name__
        if name not in allowed:
            raise _unlisted(name)
        if node is not tree and isinstance(node, (exp.Insert, exp.Update, exp.Delete)):
            raise denied("sql.unlisted", "a change inside another statement", "send the change by itself")
        if isinstance(node, exp.Func):
            slow += _refuse_function(node)
        elif isinstance(node, exp.Table):
            _refuse_table(node)
    if slow > MOST_SLOW:
        reason = f"more than {MOST_SLOW} calls of `instr` or `replace` that look for what a column or a parameter holds"
        raise denied("sql.function", reason, "look for literals, or do it in several calls")
    return slow > 0


def _unlisted(name: str) -> Refused:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return denied("sql.unlisted", f"the statement uses `{words}`, which is not allowed", "write it without that")


def _refuse_function(node: exp.Expr) -> bool:
    """True for a call that may take long: it looks for something of any length."""
    name = fold(node.name) if isinstance(node, exp.Anonymous) else _NAMES.get(type(node).__name__, "")
    if isinstance(node, exp.Anonymous):
        if name not in FUNCTIONS | TABLE_FUNCTIONS and name.removeprefix("pragma_") not in PRAGMAS:
            raise denied(
                "sql.function",
                f"the function `{printable(name)[:40]}` is not allowed",
                "use a built-in that only computes",
            )
        arguments = list(node.expressions)
    else:
        arguments = [node.this, *_second(node)]
    if name in SIZED and not _at_most(arguments[:1], MOST_BLOB_BYTES):
        raise denied("sql.function", f"`{name}` without a plain size", f"write a number up to {MOST_BLOB_BYTES:,}")
    if name in PLAIN_NEEDLE and not all(_plain(a) for a in arguments[1:2]):
        raise denied(
            "sql.function", f"`{name}` that looks for a computed text", "look for a literal, a parameter or a column"
        )
    if name in SHORT_SET and not all(_short(a) for a in arguments[1:2]):
        raise denied("sql.function", f"`{name}` with a computed set of characters", "write the characters as a literal")
    return name in PLAIN_NEEDLE and not all(_short(a) for a in arguments[1:2])


#: Typed nodes that have a bound, by the engine's name; their second argument has a name of its own in the tree.
_NAMES = {"StrPosition": "instr", "Replace": "replace", "Trim": "trim", "Unhex": "unhex"}


def _second(node: exp.Expr) -> Iterator[exp.Expr]:
    for key in ("substr", "expression"):
        if node.args.get(key) is not None:
            yield node.args[key]


def _at_most(arguments: Sequence[exp.Expr], most: int) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], exp.Literal) and number(arguments[0].name) <= most


def number(text: str) -> float:
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
        raise denied("sql.reach", "a table outside the main database", "name the table alone")
    if isinstance(node.this, exp.Func):
        function = node.this
        name = fold(function.name if isinstance(function, exp.Anonymous) else type(function).__name__)
        if name not in TABLE_FUNCTIONS and name.removeprefix("pragma_") not in PRAGMAS:
            raise denied(
                "sql.function",
                f"the table function `{printable(name)[:40]}` is not allowed",
                "use `json_each` or `json_tree`",
            )
