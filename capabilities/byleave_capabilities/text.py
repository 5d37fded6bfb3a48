"""Bytes as text and back, so that a file keeps its encoding and line endings. Pure."""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from byleave.effects import printable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KINDS = (
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"%PDF", "PDF document"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x7fELF", "ELF program"),
    (b"SQLite format 3\0", "SQLite database"),
)
_SNIFFED = 8192
_COMPARED = 5_000  # lines of a file that are looked through for the nearest match
_LIKELY = 5  # places that are compared more closely,
_ALIKE_LINES = 8  # by so many lines of each,
_ALIKE = 240  # and so many characters
_WIDE = 400  # characters of a line that count for finding those places, and that a diff shows
_DIFFED = 200  # lines of a diff


@dataclass(frozen=True, slots=True)
class Coding:
    """How text lies in a file: encoding, byte order mark, line ending (`\\r\\n` only where every line has it)."""

    encoding: str = "utf-8"
    mark: bytes = b""
    crlf: bool = False

    @property
    def name(self) -> str:
        words = [] if (self.encoding, self.mark) == ("utf-8", b"") else [self.encoding.upper()]
        words += ["with byte order mark"] if self.mark == codecs.BOM_UTF8 else []
        words += ["CRLF line ends"] if self.crlf else []
        return ", ".join(words)

    def encode(self, text: str) -> bytes:
        """Raises UnicodeEncodeError for what the encoding cannot say."""
        if self.crlf:
            text = text.replace("\n", "\r\n")
        return self.mark + text.encode(self.encoding)


def is_binary(start: bytes) -> bool:
    """A NUL near the start, and no mark of UTF-16: as grep and git tell."""
    return b"\0" in start[:_SNIFFED] and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def kind_of(start: bytes) -> str:
    return next((name for magic, name in _KINDS if start.startswith(magic)), "binary file")


def decode(content: bytes) -> tuple[str, Coding]:
    """Text with `\\n` where the file has `\\r\\n` throughout. What is not UTF-8 is Latin-1: every byte comes back."""
    mark, encoding = next(((m, e) for m, e in _MARKS if content.startswith(m)), (b"", "utf-8"))
    body = content[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        mark, encoding = b"", "latin-1"
        text = content.decode(encoding)
    lines = text.count("\n")
    crlf = lines > 0 and text.count("\r\n") == lines and text.count("\r") == lines
    return (text.replace("\r\n", "\n") if crlf else text), Coding(encoding, mark, crlf)


def recode(text: str, content: bytes | None) -> tuple[bytes, str]:
    """The bytes for a new text, in the coding of what it replaces; and what was kept, in words."""
    if not content or is_binary(content):
        return text.encode(), ""
    _, old = decode(content)
    coding = Coding(
        old.encoding,
        b"" if text.startswith("\ufeff") else old.mark,
        old.crlf and "\r" not in text and "\n" in text,
    )
    try:
        return coding.encode(text), coding.name
    except UnicodeEncodeError:
        return text.encode(), f"now UTF-8: the text has characters that {old.encoding.upper()} has not"


def nearest(text: str, wanted: str) -> str:
    """Where in `text` something like `wanted` stands: its line and a short comparison. Empty when nothing is.

    Comparing takes the third power of the length at worst, so only the beginnings of the likeliest places are compared.
    """
    old = wanted.strip("\n").split("\n")
    height = len(old)
    lines = text.split("\n", _COMPARED + height)[: _COMPARED + height]
    starts = range(max(1, min(len(lines), _COMPARED) - height + 1))
    squeezed = [_squeeze(line) for line in lines]
    target = [_squeeze(line) for line in old]
    for start in starts if any(target) else ():
        if squeezed[start] == target[0] and squeezed[start : start + height] == target:
            return f"line {start + 1} differs only in white space:\n{_compared(old, lines[start : start + height])}"
    shown = min(height, _ALIKE_LINES)
    words = _words(old[:shown])
    of_line = [_words([line]) & words for line in lines]
    likely = sorted(starts, key=lambda s: -len(set[str]().union(*of_line[s : s + shown])))[:_LIKELY]
    want = _beginning(old[:shown])
    scored = [(_likeness(_beginning(lines[s : s + shown]), want), -s) for s in likely]
    if not scored or max(scored)[0] < 0.5:
        return ""
    start = -max(scored)[1]
    return f"the nearest is at line {start + 1}:\n{_compared(old, lines[start : start + height])}"


def _words(lines: Sequence[str]) -> set[str]:
    return {word for line in lines for word in re.findall(r"\w+", line[:_WIDE])}


def _beginning(lines: Sequence[str]) -> str:
    return "\n".join(line[:_ALIKE] for line in lines)[:_ALIKE]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def line_numbers(text: str, wanted: str, most: int) -> list[int]:
    """The lines at which `wanted` begins, of the first `most` places where it is."""
    out: list[int] = []
    line, counted, at = 1, 0, text.find(wanted)
    while at >= 0 and len(out) < most:
        line += text.count("\n", counted, at)
        counted = at
        out.append(line)
        at = text.find(wanted, at + len(wanted))
    return out


def unified(before: str, after: str, path: str) -> str:
    """A unified diff for a person: of at most 200 lines, from the first that differs."""
    old, new = before.splitlines(), after.splitlines()
    same = next((at for at, (o, n) in enumerate(zip(old, new, strict=False)) if o != n), min(len(old), len(new)))
    skipped = max(0, same - 3)
    old, new = ([line[:_WIDE] for line in side[skipped : skipped + _DIFFED]] for side in (old, new))
    lines = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
    moved = (_moved(line, skipped) if line.startswith("@@") else line for line in lines)
    return "\n".join(printable(line) for line in islice(moved, _DIFFED))


def _moved(head: str, lines: int) -> str:
    """`@@ -1,2 +1,2 @@` of what begins so many lines further down."""
    return re.sub(r"(?<=[-+])\d+", lambda found: str(int(found[0]) + lines), head)


def cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[:width]}… (+{len(line) - width:,} characters)"


def _squeeze(line: str) -> str:
    return "".join(line.split())


def _compared(old: Sequence[str], found: Sequence[str]) -> str:
    shown = [*(f"- {_visible(line)}" for line in old[:6]), *(f"+ {_visible(line)}" for line in found[:6])]
    return "\n".join(f"  {line}" for line in shown)


def _visible(line: str) -> str:
    """White space at the ends, and every tab and carriage return, made visible."""
    body = line.strip(" ")
    lead, tail = len(line) - len(line.lstrip(" ")), len(line) - len(line.rstrip(" "))
    if not body:
        return "·" * len(line)
    return cut(printable(("·" * lead + body + "·" * tail).replace("\t", "→").replace("\r", "␍")), 160)
