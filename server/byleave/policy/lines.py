"""On which line of a TOML text each key stands. `tomllib` does not say, and an error without its line costs a search.

The text has been read by `tomllib` before, so it is well formed: what is left is to find keys, values and their ends.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping

#: A key as pydantic names it: `("rule", 2, "when", "verb")`.
Key = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'", re.DOTALL
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str) -> Mapping[Key, int]:
    """The line, from 1, of every table header, key and element of an array."""
    return _Reader(text).read()


def line_for(lines: Mapping[Key, int], key: Key) -> int:
    """The line of `key`, or of the innermost table that it would stand in; 1 for the file."""
    for end in range(len(key), 0, -1):
        if (line := lines.get(key[:end])) is not None:
            return line
    return 1


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [found.start() for found in re.finditer("\n", text)]
        self.lines: dict[Key, int] = {}
        self.counts: dict[Key, int] = {}  # elements of each array of tables so far

    def read(self) -> Mapping[Key, int]:
        table: Key = ()
        self._skip()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()
        return self.lines

    def _skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _header(self) -> Key:
        start = self.at
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        key = self._resolved(self._key())
        self.at += 2 if array else 1
        if array:
            number = self.counts.get(key, -1) + 1
            self.counts[key] = number
            self._note(key, start)
            key = (*key, number)
        self._note(key, start)
        return key

    def _resolved(self, key: Key) -> Key:
        """`[rule.when]` after a `[[rule]]` is a table of the last rule."""
        out: Key = ()
        for at, part in enumerate(key):
            out = (*out, part)
            if at < len(key) - 1 and out in self.counts:
                out = (*out, self.counts[out])
        return out

    def _key(self) -> Key:
        parts: list[str] = []
        while True:
            self._skip()
            found = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
            if found is None:
                return tuple(parts)
            self.at = found.end()
            parts.append(found[0].strip("\"'"))
            self._skip()
            if self.text[self.at : self.at + 1] != ".":
                return tuple(parts)
            self.at += 1

    def _pair(self, table: Key) -> None:
        start = self.at
        key = table
        for part in self._key():
            key = (*key, part)
            self._note(key, start)
        self.at += 1  # the equals sign
        self._value(key)

    def _value(self, key: Key) -> None:
        self._skip()
        if (found := _STRING.match(self.text, self.at)) is not None:
            self.at = found.end()
        elif self.text[self.at] == "[":
            self.at += 1
            number = 0
            while not self._ends("]"):
                self._note((*key, number), self.at)
                self._value((*key, number))
                number += 1
        elif self.text[self.at] == "{":
            self.at += 1
            while not self._ends("}"):
                self._pair(key)
        elif (found := _SCALAR.match(self.text, self.at)) is not None:
            self.at = found.end()

    def _ends(self, bracket: str) -> bool:
        """Go over space and a comma; whether the bracket closes here (or the text does)."""
        self._skip()
        if self.text[self.at : self.at + 1] == ",":
            self.at += 1
            self._skip()
        if self.text[self.at : self.at + 1] in (bracket, ""):
            self.at += 1
            return True
        return False

    def _note(self, key: Key, at: int) -> None:
        self.lines.setdefault(key, bisect_left(self.breaks, at) + 1)
