"""Reading a statement's characters as the engine does, and refusing whatever two readers could see differently.

The parser behind this (sqlglot) is not the engine: comments that the engine executes, white space that it takes for a
letter, braces that the parser takes for a comment have each hidden a statement (CVE-free but public:
tobymao/sqlglot#6429, bytebase/dbhub#283). So the text is first split here by the strictest rules of the dialect. What
is not plainly one token is refused with its position, and the parser's own tokens must then cover exactly the same
characters (`guard.py`), or the statement is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from byleave.capability import Refused, Word
from byleave.effects import printable

#: What real statements need: 99.9 % of PostgreSQL's own regression reads nest at most 4 deep, the longest is 8.5 kB.
MOST_BYTES = 64 * 1024
DEEPEST = 10


class Mark(StrEnum):
    """What one token is."""

    WORD = "word"
    QUOTED = "quoted"  # an identifier in quotes
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "parameter"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """Characters `start` to `end` (exclusive) of the statement."""

    mark: Mark
    text: str
    start: int
    end: int

    @property
    def folded(self) -> str:
        """A word as the engine compares it: ASCII letters do not differ by case, others do."""
        return fold(self.text)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one engine writes. `name` is the parser's name for it; `pattern` has one group per `Mark`, and `blank`."""

    name: str
    pattern: re.Pattern[str]


#: SQLite (https://www.sqlite.org/lang_expr.html, tokenize.c). Left out on purpose: `$` inside names, Tcl's `$a::b(c)`,
#: digit separators, `#n` registers, `?2` (the parser does not know it). `[` quotes a name; a `--` comment ends at the
#: line feed alone.
SQLITE = Dialect(
    name="sqlite",
    pattern=re.compile(
        r"""
        (?P<blank>   [ \t\n\r]+ | --[^\n]* | /\*(?:(?!/\*|\*/).)*\*/ )
      | (?P<string>  (?:[xX](?='))?'(?:[^']|'')*'(?!') )
      | (?P<quoted>  "(?:[^"]|"")+"(?!") | `(?:[^`]|``)+`(?!`) | \[[^\[\]]+\] )
      | (?P<number>  (?: 0[xX][0-9a-fA-F]+ | (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? )
                     (?![A-Za-z0-9_.$\x80-\U0010ffff]) )
      | (?P<word>    [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*(?![$']) )
      | (?P<parameter> \?(?![A-Za-z0-9_$\x80-\U0010ffff]) | [:@$][A-Za-z_][A-Za-z0-9_]*(?![:$(\x80-\U0010ffff]) )
      | (?P<sign>    ->> | -> | \|\| | <= | >= | <> | != | == | /(?!\*) | [-+*%&|~<>=(),.;] )
        """,
        re.VERBOSE | re.DOTALL,
    ),
)

_FOLD = {ord(c): c.lower() for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BARE_CR = re.compile(r"\r(?!\n)")


def fold(name: str) -> str:
    """Lower case for ASCII letters only, as SQLite compares names."""
    return name.translate(_FOLD)


def lex(sql: str, dialect: Dialect = SQLITE) -> tuple[Token, ...]:
    """The tokens of one statement, without blanks, comments and a closing semicolon.

    Raises `Refused`: `INVALID_ARGUMENTS` for what cannot be a statement, `DENIED` for what could be read in two ways.
    """
    if len(sql) > MOST_BYTES or len(sql.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise _odd("more than 64 kB", "pass long values as `params`, or split the change")
    tokens: list[Token] = []
    at = depth = 0
    while at < len(sql):
        found = dialect.pattern.match(sql, at)
        if found is None:
            raise _unreadable(sql, at)
        kind = found.lastgroup or ""
        text = found.group()
        if kind != "string":
            _refuse_look_alikes(sql, at, text)
        elif "\x00" in text or _SURROGATE.search(text):
            raise _odd(f"a string that is no text {place(sql, at)}", "pass the value as a parameter, or as x'00'")
        if kind != "blank":
            token = Token(Mark(kind), text, at, found.end())
            tokens.append(token)
            depth += (text == "(") - (text == ")")
            if depth > DEEPEST:
                raise _odd(
                    f"more than {DEEPEST} brackets within one another {place(sql, at)}",
                    "use `with` for the inner queries",
                )
            if depth < 0:
                raise Refused(Word.INVALID_ARGUMENTS, f"a bracket is closed that none opened {place(sql, at)}")
        at = found.end()
    return _one_statement(sql, tokens)


def place(sql: str, at: int) -> str:
    """Where in the statement, for a message."""
    line = sql.count("\n", 0, at) + 1
    return f"at line {line}, column {at - (sql.rfind(chr(10), 0, at) + 1) + 1}"


def _one_statement(sql: str, tokens: Sequence[Token]) -> tuple[Token, ...]:
    ends = [t for t in tokens if t.text == ";" and t.mark is Mark.SIGN]
    if len(ends) > 1 or (ends and ends[0] is not tokens[-1]):
        raise Refused(
            Word.DENIED,
            f"more than one statement {place(sql, ends[0].end)}",
            "send one statement in each call",
            rule="sql.one-statement",
        )
    body = tuple(tokens[:-1] if ends else tokens)
    if not body:
        raise Refused(Word.INVALID_ARGUMENTS, "the statement is empty")
    return body


def _refuse_look_alikes(sql: str, at: int, text: str) -> None:
    """Outside strings: no control character, and nothing that some reader takes for white space or an ASCII letter."""
    if text.isascii():
        if _CONTROL.search(text):
            raise _odd(f"a control character {place(sql, at)}", "use plain spaces and line feeds")
        if _BARE_CR.search(text):
            raise _odd(f"a carriage return without a line feed {place(sql, at)}", "end lines with a line feed")
        return
    for offset, c in enumerate(text):
        if c.isascii():
            if _CONTROL.match(c) or (c == "\r" and text[offset + 1 : offset + 2] != "\n"):
                raise _odd(f"a control character {place(sql, at + offset)}", "use plain spaces and line feeds")
            continue
        spellings = c.upper() + c.lower() + unicodedata.normalize("NFKC", c)
        if unicodedata.category(c)[0] in "ZC" or c.isspace() or any(s.isascii() for s in spellings):
            name = f"U+{ord(c):04X}"
            raise _odd(
                f"the character {name} outside a string {place(sql, at + offset)}", "put the name into double quotes"
            )


def _unreadable(sql: str, at: int) -> Refused:
    c = sql[at]
    if c in "'\"`[" or sql.startswith("/*", at):
        what = "a comment" if c == "/" else "a quotation"
        return _odd(f"{what} that is not closed, or holds another, {place(sql, at)}", "close it; comments do not nest")
    return _odd(f"`{printable(sql[at : at + 12])}` {place(sql, at)}", "leave it out, or pass the value as a parameter")


def _odd(what: str, hint: str) -> Refused:
    return denied("sql.odd-text", f"the statement holds {what}", hint)


def denied(rule: str, reason: str, hint: str) -> Refused:
    """A statement that may not run, whoever asks."""
    return Refused(Word.DENIED, reason, hint, rule=rule)
