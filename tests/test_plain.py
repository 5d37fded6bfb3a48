"""What may leave by the wire: a table of characters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byleave.wire.plain import plain, plain_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\tb\nc", "a\tb\nc", id="lines and tabs stay"),
        pytest.param("a\r\nb", "a\r\nb", id="CRLF stays"),
        pytest.param("safe\rrm", "safe\\rrm", id="a lone CR would write over its line"),
        pytest.param("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m", id="ANSI colours"),
        pytest.param("\x9b2J\x07\x08\x7f", "\\x9b2J\\x07\\x08\\x7f", id="C1, bell, backspace, delete"),
        pytest.param("\u202etxt.exe\u2066\u200f", "\\u202etxt.exe\\u2066\\u200f", id="bidi"),
        pytest.param("hi\U000e0068\U000e0069", "hi\\U000e0068\\U000e0069", id="tag characters that only a model reads"),
        pytest.param("caf\udce9", "caf\\udce9", id="an undecodable byte"),
        pytest.param("Grüße, 世界 👩\u200d👩 נמש", "Grüße, 世界 👩\u200d👩 נמש", id="every script stays"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(alphabet=st.characters()))
def test_whatever_comes_can_be_sent_and_is_plain_already(text: str) -> None:
    shown = plain(text)
    assert json.loads(json.dumps(shown, ensure_ascii=False).encode()) == shown
    assert plain(shown) == shown


def test_a_value_keeps_its_shape_and_what_is_no_json_becomes_text() -> None:
    value = {"a\x00": [1, 2.5, None, True, ("x\x1b",)], "b": b"\x00"}
    assert plain_json(value) == {"a\\x00": [1, 2.5, None, True, ["x\\x1b"]], "b": "b'\\x00'"}
