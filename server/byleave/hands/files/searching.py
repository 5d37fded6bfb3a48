"""Searching below a folder: by ripgrep where there is one, else by our own walk. What is shown is always what we read.

ripgrep opens files by their path, and a path can be swapped for a link while it runs. So its answer is only a hint:
each line is read again through a descriptor of our own, from a place that is not hidden, and shown only if it is there.
"""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from byleave.capability import Found, Located, Match, Search, Sort
from byleave.hands.files.ignoring import Patterns
from byleave.hands.files.locating import Locator, landing_of, read_at
from byleave.hands.files.nodes import open_file
from byleave.hands.files.resolve import Descriptor, Landing
from byleave.hands.files.ripgrep import TOO_LONG, Ripgrep
from byleave.hands.files.scanning import Scanner, TimeIsUp
from byleave.hands.files.walking import walk

MAX_SECONDS = 10.0
MAX_FILE_BYTES = 10 << 20  # larger files are data, not text to search
MAX_SHOWN_BYTES = 200_000  # of lines in one answer

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(slots=True)
class _Answer:
    """Matches as they come, up to the limit."""

    limit: int
    matches: list[Match]
    size: int = 0
    more: bool = False
    note: str = ""

    def takes(self, match: Match) -> bool:
        if len(self.matches) >= self.limit or self.size > MAX_SHOWN_BYTES:
            self.more, self.note = True, "there are more"
            return False
        self.matches.append(match)
        self.size += len(match.path) + len(match.text or "")
        return True


class Finder:
    """Searches one workspace. `ripgrep`: path of the program, None for our own engine."""

    def __init__(self, locator: Locator, ripgrep: str | None) -> None:
        self._locator = locator
        self._ripgrep = Ripgrep(ripgrep, locator) if ripgrep else None

    def search(self, at: Located, search: Search) -> Found:
        answer = _Answer(search.limit, [])
        until = time.monotonic() + MAX_SECONDS
        wanted = None if search.glob is None else Patterns([search.glob])
        prefix = 0 if at.path == "." else len(at.path) + 1
        for match in self._matches(at, search.pattern, until, answer):
            if wanted is not None and not wanted.verdict(match.path[prefix:]):
                continue
            if not answer.takes(match):
                break
        return Found(tuple(answer.matches), answer.more, answer.note)

    def _matches(self, at: Located, pattern: str | None, until: float, answer: _Answer) -> Iterator[Match]:
        landing = landing_of(at)
        start = [part for part in (*landing.parts, landing.name) if part]
        try:
            if at.sort is Sort.FILE:
                yield from self._in_file(landing, at, pattern, until)
            elif pattern is None:
                yield from self._names(start, until)
            elif self._ripgrep is not None:
                yield from self._confirmed(self._ripgrep, pattern, start, until)
            else:
                yield from self._scanned(pattern, start, until)
        except TimeIsUp:
            answer.more, answer.note = (
                True,
                f"the search was stopped after {MAX_SECONDS:.0f} s: narrow it by path or glob",
            )

    def _names(self, start: Sequence[str], until: float) -> Iterator[Match]:
        for path, _, _ in walk(self._locator, start, until):
            yield Match(path, None, None)

    def _scanned(self, pattern: str, start: Sequence[str], until: float) -> Iterator[Match]:
        with Scanner(pattern, until) as scanner:
            for path, folder, name in walk(self._locator, start, until):
                text = self._text(folder, name)
                if text is not None:
                    lines = text.split("\n")
                    for number in scanner.hits(text):
                        yield Match(path, number, lines[number - 1].removesuffix("\r"))

    def _in_file(self, landing: Landing, at: Located, pattern: str | None, until: float) -> Iterator[Match]:
        if pattern is None or landing.folder is None:
            yield Match(at.path, None, None)
            return
        with Scanner(pattern, until) as scanner:
            text = self._text(landing.folder, landing.name)
            lines = (text or "").split("\n")
            for number in scanner.hits(text or ""):
                yield Match(at.path, number, lines[number - 1].removesuffix("\r"))

    def _confirmed(self, ripgrep: Ripgrep, pattern: str, start: Sequence[str], until: float) -> Iterator[Match]:
        """INVARIANT: a line is shown only as it stands in a file that we opened beneath the root, without a link, and
        that is not hidden by this name or another."""
        last, lines = "", list[str]()
        for path, number, line in ripgrep.hits(pattern, start, until, MAX_FILE_BYTES):
            if path != last:
                last, lines = path, self._lines(path)
            if number == TOO_LONG and lines:
                yield Match(path, None, None)
            shown = lines[number - 1] if 0 < number <= len(lines) else None
            if shown is not None and shown == line.rstrip("\r\n"):
                yield Match(path, number, shown)

    def _lines(self, path: str) -> list[str]:
        """The lines of a file, by our own descriptor; none where it may not be shown."""
        *parts, name = path.split("/")
        if self._locator.hides(path):
            return []
        try:
            folder = self._locator.resolver.open_below(self._locator.resolver.root.fd, parts)
            text = self._text(folder, name)
        except OSError:
            return []
        return [] if text is None else [line.rstrip("\r") for line in text.split("\n")]

    def _text(self, folder: Descriptor, name: str) -> str | None:
        """A file's text; None for a binary one, a hidden one under another name, one too large or gone."""
        try:
            held = open_file(folder.fd, name)
            seen = os.fstat(held.fd)
            if seen.st_size > MAX_FILE_BYTES or self._locator.aliases.has(seen, warm=False):
                return None
            return decode(read_at(held.fd, 0, MAX_FILE_BYTES, warm=False))
        except OSError:
            return None


def decode(content: bytes) -> str | None:
    """Text as ripgrep takes it: by its byte order mark, else UTF-8, other bytes as they are; None for a binary."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    return None if b"\0" in content else content.decode("utf-8", "surrogateescape")
