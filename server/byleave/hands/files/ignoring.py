"""Patterns as in gitignore(5), matched in time that no pattern can blow up.

The patterns come from the agent (a search's glob) or from files that it may write (`.gitignore`), and Python's regular
expressions hold everybody else up while they match: `*a*a*a*a*a*a*b`, made one regex as usual, takes minutes for one
long name. Here whatever has matched is never tried in another way (an atomic group), which loses nothing: what a `*`
leaves behind by ending as early as it can is all that it could leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MAX_PATTERNS = 2_000  # of one file: what comes after them is passed over
_MAX_LENGTH = 1_000  # characters of one pattern

_END = r"(?=/|\Z)"


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern. `includes`: what matches is meant; False for `!pattern`, which takes back. `inside`: `x/**`."""

    includes: bool
    regex: re.Pattern[str]
    inside: bool


class Patterns:
    """Some patterns of one folder; the last one that speaks about a path counts."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Lines that are no pattern (blank, a comment, a bracket that is not closed) match nothing."""
        self._patterns: list[_Pattern] = []
        for line in lines:
            if len(self._patterns) >= _MAX_PATTERNS:
                break
            pattern = _compiled(line) if len(line) <= _MAX_LENGTH else None
            if pattern is not None:
                self._patterns.append(pattern)

    def verdict(self, path: str) -> bool | None:
        """Whether `path` (relative to the patterns' folder; a folder ends in a slash) is meant, by itself or with a
        folder that it lies in; None where no pattern speaks about it."""
        verdict, plainly = None, False
        for pattern in self._patterns:
            found = pattern.regex.match(path)
            if found is None:
                continue
            by_itself = pattern.inside or path[found.end() : found.end() + 1] != "/"
            if by_itself or pattern.includes or not plainly:
                verdict, plainly = pattern.includes, by_itself
        return verdict


def _compiled(line: str) -> _Pattern | None:
    text = _without_trailing_blanks(line)
    includes = not text.startswith("!")
    text = text[1:] if not includes else text
    if not text or text.startswith("#") or text == "/":
        return None
    folder_only, text = text.endswith("/"), text.removesuffix("/")
    parts = text.removeprefix("/").split("/")
    if "/" not in text and parts != ["**"]:
        parts = ["**", *parts]
    inside = parts[-1] == "**"
    regex = _regex([part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ["**"]])
    if regex is None:
        return None
    end = ("(?=[^/]+/)" if folder_only else "(?=[^/])") if inside else "(?=/)" if folder_only else ""
    try:
        return _Pattern(includes, re.compile(regex + end), inside)
    except (re.error, OverflowError, RecursionError):
        return None


def _regex(parts: Sequence[str]) -> str | None:
    """From the path's start to the end of one of its components. `**` stands nowhere twice in a row."""
    regex, group, anywhere = "", list[str](), False
    for part in (*parts, None):
        if part != "**" and part is not None:
            component = _component(part)
            if component is None:
                return None
            group.append(component)
            continue
        if group:
            # The earliest place where all of the group matches: later ones leave less for what follows.
            found = "/".join(group) + _END
            regex += f"(?>(?:[^/]+/)*?{found})" if anywhere else found
            regex += "/" if part is not None else ""
            group = []
        anywhere = True
    return regex


def _component(part: str) -> str | None:
    """One component: `*`, `?`, `[a-z]`, `[!a-z]`, and a backslash before what is meant as it stands."""
    pieces, at = [""], 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            pieces += [""] if pieces[-1] or len(pieces) == 1 else []
        elif char == "?":
            pieces[-1] += "[^/]"
        elif char == "\\":
            if at == len(part):
                return None
            pieces[-1] += re.escape(part[at])
            at += 1
        elif char == "[":
            taken = _bracket(part, at)
            if taken is None:
                return None
            regex, at = taken
            pieces[-1] += regex
        else:
            pieces[-1] += re.escape(char)
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    some = "(?=[^/])" if not first else ""  # a star alone is no name of nothing
    return f"(?>{some}{first}" + "".join(f"(?>[^/]*?{piece})" for piece in middle) + f"[^/]*{last}{_END})"


def _bracket(part: str, at: int) -> tuple[str, int] | None:
    """The set that begins behind a `[`, and where it ends. None where it is not closed."""
    negated = part[at : at + 1] in ("!", "^")
    at += negated
    body, start = "", at
    while at < len(part) and (part[at] != "]" or at == start):
        char = part[at]
        if char == "\\" and at + 1 < len(part):
            at += 1
            char = part[at]
            body += re.escape(char)
        else:
            body += char if char == "-" else re.escape(char)
        at += 1
    if at >= len(part):
        return None
    return f"(?!/)[{'^' if negated else ''}{body}]", at + 1


def _without_trailing_blanks(line: str) -> str:
    text = line.rstrip("\r\n")
    while text.endswith((" ", "\t")) and not text.endswith(("\\ ", "\\\t")):
        text = text[:-1]
    return text
