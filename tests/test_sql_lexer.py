"""The strict reader: what is one token, where it stands, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byleave.capability import Refused, Word
from byleave.hands.sql.lexer import Mark, lex


@pytest.mark.parametrize(
    ("sql", "marks"),
    [
        pytest.param("select 1", "word number", id="word-number"),
        pytest.param("select 'it''s'", "word string", id="doubled-quote"),
        pytest.param("select x'00ff', X''", "word string sign string", id="blobs"),
        pytest.param('select "a""b", `c``d`, [e f]', "word quoted sign quoted sign quoted", id="quoted-names"),
        pytest.param("select 0x1F, 1.5e-3, .5, 1.", "word number sign number sign number sign number", id="numbers"),
        pytest.param("? :a @b $c", "parameter parameter parameter parameter", id="parameters"),
        pytest.param("a->'x'->>'y'||z", "word sign string sign string sign word", id="json-and-concat"),
        pytest.param("a -- b\nc /* d */ e", "word word word", id="comments"),
        pytest.param("select 1 ; -- done", "word number", id="closing-semicolon"),
        pytest.param("select préis", "word word", id="letters-of-others"),
        pytest.param("select 'any \u202e\u2028 { } \\ text'", "word string", id="strings-hold-anything"),
    ],
)
def test_tokens(sql: str, marks: str) -> None:
    assert [token.mark for token in lex(sql)] == [Mark(mark) for mark in marks.split()]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        pytest.param("select {fn}", "`{fn}` at line 1, column 8", id="braces"),
        pytest.param("select\n \\x", "`\\x` at line 2, column 2", id="backslash"),
        pytest.param(
            "select 'a", "a quotation that is not closed, or holds another, at line 1, column 8", id="open-string"
        ),
        pytest.param(
            "/* /* */ */", "a comment that is not closed, or holds another, at line 1, column 1", id="nested-comment"
        ),
        pytest.param("a\rb", "a carriage return without a line feed at line 1, column 2", id="carriage-return"),
        pytest.param("a\u00a0b", "the character U+00A0 outside a string at line 1, column 2", id="no-break-space"),
        pytest.param("a\u200db", "the character U+200D outside a string at line 1, column 2", id="joiner"),
        pytest.param(
            "\u212a", "the character U+212A outside a string at line 1, column 1", id="looks-ascii-in-lower-case"
        ),
        pytest.param("croß", "the character U+00DF outside a string at line 1, column 4", id="keyword-in-upper-case"),
        pytest.param("?2", "`?2` at line 1, column 1", id="numbered-parameter"),
        pytest.param("a /* \x07 */", "a control character at line 1, column 3", id="control-in-comment"),
        pytest.param("(" * 11, "more than 10 brackets within one another at line 1, column 11", id="depth"),
        pytest.param("'" + "x" * 65_536 + "'", "more than 64 kB", id="size"),
        pytest.param("'" + "\u00e9" * 40_000 + "'", "more than 64 kB", id="size-in-bytes"),
        pytest.param("1_000", "`1_000` at line 1, column 1", id="digit-separator"),
        pytest.param("1abc", "`1abc` at line 1, column 1", id="number-then-letters"),
        pytest.param("'a\x00b'", "a string that is no text at line 1, column 1", id="nul-in-string"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused_with_its_place(sql: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        lex(sql)
    assert (caught.value.word, caught.value.rule) == (Word.DENIED, "sql.odd-text")
    assert caught.value.reason == f"the statement holds {said}"


@pytest.mark.parametrize("sql", ["", " \n", "-- nothing", "/* */ ;", ";"])
def test_nothing_is_no_statement(sql: str) -> None:
    with pytest.raises(Refused, match="empty"):
        lex(sql)


def test_depth_ten_is_read() -> None:
    assert len(lex("(" * 10 + "1" + ")" * 10)) == 21


@given(st.text(max_size=60))
def test_whatever_is_read_is_read_whole(sql: str) -> None:
    """Between the tokens there is nothing but white space, comments and one closing semicolon."""
    try:
        tokens = lex(sql)
    except Refused:
        return
    between, at = "", 0
    for token in tokens:
        assert sql[token.start : token.end] == token.text
        between += sql[at : token.start]
        at = token.end
    rest = between + sql[at:]
    assert not rest.strip(" \t\r\n;") or "--" in rest or "/*" in rest
