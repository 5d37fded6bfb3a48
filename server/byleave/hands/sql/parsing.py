"""Parsing with sqlglot, whose reading is checked against ours and whose steps are counted.

It parses some nested texts in exponential time (`date(date(date(...`: a factor of two for each level), and deep ones
until Python's stack ends. What a parse may cost here is a function of the text's length, never of the clock. The pure
build only: the compiled one (`sqlglotc`) ends the whole process on deeply nested input.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp, parser
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.tokenizer_core import Token as TheirToken

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.hands.sql.lexer import Mark, Token, denied, place

# It repeats the statement in its warnings, and a statement may hold a secret.
logging.getLogger("sqlglot").disabled = True


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


def parse(sql: str, tokens: Sequence[Token]) -> exp.Expr:
    try:
        theirs = _DIALECT.tokenize(sql)
        _compare(sql, tokens, theirs)
        reader = _Parser(dialect=_DIALECT, error_level=ErrorLevel.IMMEDIATE)
        reader.left = 4000 + 6 * len(theirs)
        trees = [tree for tree in reader.parse(theirs, sql) if tree is not None and not isinstance(tree, exp.Semicolon)]
    except (TooMuch, RecursionError):
        reason = "the statement is nested too deeply to be read"
        raise denied("sql.too-complex", reason, "use `with` for the inner parts, or split it") from None
    except SqlglotError as error:
        raise _does_not_parse(sql, error) from None
    if len(trees) != 1:
        raise denied("sql.one-statement", "more than one statement", "send one statement in each call")
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
    return denied(
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
