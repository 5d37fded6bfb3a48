"""Exact edits of a text: all of them or none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from byleave.capability import Arguments, Refused, Word
from byleave.effects import printable
from byleave_capabilities.text import decode, is_binary, kind_of, line_numbers, nearest


class Edit(Arguments):
    old: Annotated[str, Field(min_length=1, description="Exact text, without line numbers")]
    new: str
    all: Annotated[bool, Field(description="Every occurrence, not the only one")] = False


def edited(content: bytes, edits: Sequence[Edit], path: str, *, most: int, tell: bool) -> bytes:
    """The bytes after the edits, in the coding they had, never more than `most` characters on the way.

    Raises `Refused` for the first edit that does not fit; with `tell` it says what stands there instead, which takes a
    while to find.
    """
    if is_binary(content):
        raise Refused(Word.FAILED, f"`{printable(path)}` is a {kind_of(content)}, not text")
    text, coding = decode(content)
    for number, edit in enumerate(edits, 1):
        old, new = (part.replace("\r\n", "\n") if coding.crlf else part for part in (edit.old, edit.new))
        where = f"edit {number} of {len(edits)}"
        if old == new:
            raise Refused(Word.INVALID_ARGUMENTS, f"{where}: `old` and `new` are the same")
        count = text.count(old)
        if count == 0:
            like = nearest(text, old) if tell else ""
            raise Refused(
                Word.NOT_FOUND,
                f"{where}: `old` is not in `{printable(path)}`",
                f"nothing was changed; {like or 'read the file again: nothing in it is like this'}",
            )
        if count > 1 and not edit.all:
            lines = line_numbers(text, old, 10)
            shown = ", ".join(str(line) for line in lines) + (", …" if count > len(lines) else "")
            raise Refused(
                Word.INVALID_ARGUMENTS,
                f"{where}: `old` is there {count} times, at lines {shown}",
                "nothing was changed; add lines around it until it is the only one, or set `all`",
            )
        if len(text) + count * (len(new) - len(old)) > most:
            raise Refused(
                Word.FAILED, f"{where}: the text would be longer than {most:,} characters", "nothing was changed"
            )
        text = text.replace(old, new)
    try:
        return coding.encode(text)
    except UnicodeEncodeError:
        raise Refused(
            Word.FAILED,
            f"`{printable(path)}` is {coding.encoding.upper()}, which lacks a character of the new text",
        ) from None
