"""Patterns over the text of a target: what `when.target` and `write` are written in. Pure, compiled once.

A pattern is `scheme:rest`, compared folded (`names.py`).

- In `file:` and `https:` targets `*` and `?` stay within one path component, and `**` as a whole component is any
  number of them; `x/**` is `x` and everything beneath. `file:src/*.py` without slashes after the colon is relative to
  the workspace, `file:///etc/**` is absolute.
- Elsewhere the first `/` ends the database, remote or ecosystem, and `*` before it stays before it; after it, `*` is
  any text, so that `git:origin/*` also means `git:origin/feature/x` and `pkg:npm/*` also `pkg:npm/@scope/name`.
- `sql:*`, `git:*`, `https:*` and so on are every target of that scheme, and `*` alone is every target there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from byleave.effects import Scheme
from byleave.policy.names import fold, fold_parts, fold_path


@dataclass(frozen=True, slots=True)
class Globs:
    """Some patterns as one. `schemes` are those that can match at all; `wide` matches `sql:DATABASE/*`, the target of
    what may touch any table, where the patterns mean a table of that database."""

    schemes: frozenset[Scheme]
    regex: re.Pattern[str]
    wide: re.Pattern[str] | None


def compile_globs(patterns: Iterable[str], workspace: str) -> Globs:
    """Raises ValueError with a sentence that quotes the pattern. Relative files lie in `workspace`."""
    schemes: set[Scheme] = set()
    parts: list[str] = []
    wide: list[str] = []
    for pattern in patterns:
        if pattern == "*":
            schemes.update(Scheme)
            parts.append(".*")
            continue
        scheme, rest = _split(pattern)
        schemes.add(scheme)
        if scheme is Scheme.FILE:
            parts.append("file://" + _path(_absolute(pattern, rest, workspace), pattern))
        elif scheme is Scheme.HTTPS:
            parts.append("https://" + (".*" if rest == "*" else _path(_host(pattern, rest), pattern)))
        else:
            parts.append(re.escape(f"{scheme}:") + _opaque(rest))
            if scheme is Scheme.SQL:
                wide.append(re.escape(f"{scheme}:") + _component(fold(rest).partition("/")[0], "[^/]") + r"/\*")
    return Globs(frozenset(schemes), _one_of(parts), _one_of(wide) if wide else None)


def table_globs(patterns: Iterable[str]) -> re.Pattern[str]:
    """The `write` of a database: `public.orders`, `audit.*`, `*`. Without a dot the default schema is meant."""
    parts: list[str] = []
    for pattern in patterns:
        folded = fold(pattern)
        if folded.startswith("main."):
            # SQLite has no other schema, and its tables are judged by their bare names.
            parts.append(r"(?:main\.)?" + _component(folded.removeprefix("main."), "[^.]"))
        elif "." in folded or folded == "*":
            parts.append(_component(folded, "."))
        else:
            parts.append(r"(?:main\.|public\.)?" + _component(folded, "."))
    return _one_of(parts)


def name_globs(patterns: Iterable[str]) -> re.Pattern[str]:
    """Names of tools: `sql_*`."""
    return _one_of([_component(pattern, ".") for pattern in patterns])


def _one_of(parts: Iterable[str]) -> re.Pattern[str]:
    try:
        return re.compile("|".join(parts) or r"(?!)", re.DOTALL)
    except re.error as cause:
        raise ValueError(f"no pattern can be made of it: {cause.msg}") from cause


def _split(pattern: str) -> tuple[Scheme, str]:
    word, colon, rest = pattern.partition(":")
    if not colon or not rest or word not in tuple(Scheme):
        schemes = ", ".join(f"{scheme}:" for scheme in Scheme)
        raise ValueError(f"`{pattern}` names no target: begin with one of {schemes} or write `*` for every target")
    if rest.endswith("/"):
        raise ValueError(f"`{pattern}` ends in a slash: write `{pattern}**` for a folder and everything beneath")
    return Scheme(word), rest


def _absolute(pattern: str, rest: str, workspace: str) -> str:
    if rest.startswith("///"):
        path = fold_parts(rest[2:])
    elif rest.startswith("/"):
        raise ValueError(f"`{pattern}` is neither absolute nor relative: write `file:///path` or `file:path`")
    else:
        root = re.sub(r"([*?\[\\])", r"\\\1", fold_path(workspace)).rstrip("/")
        path = f"{root}/{fold_parts(rest)}"
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"`{pattern}` goes through `.` or `..`: name the place where it ends")
    return path


def _host(pattern: str, rest: str) -> str:
    if not rest.startswith("//") or rest.startswith("///"):
        raise ValueError(f"`{pattern}` is no URL: write `https://host/**`")
    return fold(rest[2:])


def _path(path: str, pattern: str) -> str:
    regex = ""
    parts = path.split("/")
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            # The slash before belongs to it, so that `x/**` is `x` as well.
            regex = regex.removesuffix("/") + (r"(?:/.*)?" if last else r"(?:/[^/]+)*/")
            continue
        if "**" in part:
            raise ValueError(f"`{pattern}` has `**` inside a name: it stands alone between slashes")
        regex += _component(part, "[^/]") + ("" if last else "/")
    return regex


def _opaque(rest: str) -> str:
    if rest == "*":
        return ".*"
    head, slash, tail = fold(rest).partition("/")
    return _component(head, "[^/]") + (("/" + _component(tail, ".")) if slash else "")


def _component(text: str, one: str) -> str:
    """One stretch of a pattern: `*`, `?`, `[a-z]`, `[!a-z]`, and a backslash before what is meant as it stands."""
    regex = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            if not regex.endswith(one + "*"):
                regex += one + "*"
        elif char == "?":
            regex += one
        elif char == "\\" and at < len(text):
            regex += re.escape(text[at])
            at += 1
        elif char == "[" and (end := text.find("]", at + 2 if text[at : at + 1] == "!" else at + 1)) > 0:
            negated = text[at] == "!"
            body = (
                text[at + negated : end]
                .replace("\\", r"\\")
                .replace("[", r"\[")
                .replace("^", r"\^")
                .replace("&", r"\&")
            )
            body = body.replace("~", r"\~").replace("|", r"\|")
            regex += ("(?=[^/])" if one != "." else "") + f"[{'^' if negated else ''}{body}]"
            at = end + 1
        else:
            regex += re.escape(char)
    return regex
