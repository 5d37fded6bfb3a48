"""The quick way to a hidden file is the slow way: each pattern in turn, at the path and at every folder above it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from byleave.policy.hiding import Hiding
from byleave.policy.names import fold_parts, fold_path

PARTS = ["a", "b", ".env", ".env.x", "key.pem", "A", "x y", "ab", "secrets", "\u00e9", "*"]
PATTERNS = [
    "a", "a/", "/a", "a/b", "**/a/b", "a/**", "**/b", "*.pem", ".env*", "!.env.x", "!a", "!a/b", "/*", "!/a", "?",
    "[ab]", "[!a]", "secrets/*", "!secrets/key.pem", "x\\ y", "\\*", "**", "a*b", "**/.env", "a/*/b", "!**/b", "\u00c9",
]  # fmt: skip


def slowly(patterns: list[str], path: str) -> bool:
    spec = GitIgnoreSpec.from_lines(fold_parts(pattern) for pattern in patterns)
    for spelled in (fold_path(path), fold_parts(path)):
        parts = spelled.split("/")
        for end in range(1, len(parts) + 1):
            above = "/".join(parts[:end])
            if spec.match_file(above) or spec.match_file(above + "/"):
                return True
    return False


@given(
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=6),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4),
)
@example(["a/", "!a/b"], ["a", "b"])
@example(["**/a/b"], ["b", "a", "b", "a"])
def test_the_quick_way_is_the_slow_way(patterns: list[str], parts: list[str]) -> None:
    path = "/".join(parts)
    assert Hiding(patterns).hides(path) is slowly(patterns, path)


@given(st.text(min_size=1, max_size=12), st.sampled_from([".env", "secrets/", "*.pem"]))
def test_any_name_can_be_asked_about(name: str, pattern: str) -> None:
    assert Hiding([pattern]).hides(name) in (True, False)


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing(text: str) -> None:
    once = fold_path(text)
    assert fold_path(once) == once
    assert once.count("/") == text.count("/")
