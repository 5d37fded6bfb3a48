"""Patterns as in gitignore(5): the same verdict as pathspec's, in time that no pattern can blow up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from byleave.hands.files.ignoring import Patterns

PARTS = st.sampled_from(["a", "b", "ab", "*", "*a", "a*", "*a*b", "a?", "?", "[ab]", "[!a]", "[^b]*", "\\*", "a-b"])
NAMES = st.sampled_from(["a", "b", "ab", "ba", "aab", "abc", "a-b", "*"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.one_of(PARTS, st.just("**")), min_size=1, max_size=4))
    if parts[-1] == "**":  # where the two read git's manual in two ways
        parts.append("a")
    return draw(st.sampled_from(["", "/"])) + "/".join(parts) + draw(st.sampled_from(["", "/"]))


@given(pattern=patterns(), path=st.lists(NAMES, min_size=1, max_size=5), folder=st.booleans())
def test_a_pattern_means_what_it_means_to_pathspec(pattern: str, path: list[str], folder: bool) -> None:
    asked = "/".join(path) + "/" * folder
    assert Patterns([pattern]).verdict(asked) == GitIgnoreSpec.from_lines([pattern]).check_file(asked).include


@pytest.mark.parametrize(
    ("lines", "path", "verdict"),
    [
        pytest.param(["*.log", "!keep.log"], "a/keep.log", False, id="taken-back"),
        pytest.param(["!keep.log", "*.log"], "keep.log", True, id="the-last-one-counts"),
        pytest.param(["build/"], "build/x", True, id="what-lies-in-an-ignored-folder"),
        pytest.param(["build/"], "build", None, id="a-file-is-no-folder"),
        pytest.param(["a/**"], "a/b/c", True, id="everything-in"),
        pytest.param(["a/**"], "a/", None, id="but-not-itself"),
        pytest.param(["**/"], "a", None, id="any-folder-but-no-file"),
        pytest.param(["a  "], "a", True, id="blanks-at-the-end"),
        pytest.param(["a\\ "], "a ", True, id="a-blank-that-is-meant"),
        pytest.param(["a\r"], "a", True, id="crlf"),
        pytest.param(["\\#a"], "#a", True, id="number-sign"),
        pytest.param(["\\!a"], "!a", True, id="exclamation-mark"),
        pytest.param(["# a", "", "/", "[a", "a\\", "[z-a]"], "a", None, id="what-is-no-pattern"),
        pytest.param(["x" * 1_001], "x" * 1_001, None, id="too-long"),
    ],
)
def test_what_gitignore_says(lines: list[str], path: str, verdict: bool | None) -> None:
    assert Patterns(lines).verdict(path) is verdict


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        pytest.param("*a" * 100 + "*b", "a" * 255, id="stars"),
        pytest.param("**/a/" * 20 + "b", "a/" * 500 + "c", id="folders"),
        pytest.param("**/*a*/" * 20 + "b", ("a" * 10 + "/") * 200 + "c", id="both"),
        pytest.param("?*" * 60 + "b", "a" * 255, id="question-marks"),
        pytest.param("[a]*" * 60 + "b", "a" * 255, id="sets"),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    begun = time.monotonic()
    assert Patterns([pattern]).verdict(path) is None
    assert time.monotonic() - begun < 1
