"""Text that leaves by the wire: readable by a model, harmless on a terminal that shows it.

Content comes from files and rows that anyone may have written. Control characters could repaint the client's screen,
bidirectional ones reorder what a person reads before saying yes (CVE-2021-42574), tag characters carry words that only
a model sees, and lone surrogates cannot be sent as JSON at all. Each is shown as its escape instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, but for tab, line feed and carriage return
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides, isolates
    "\ud800-\udfff"  # undecodable bytes, as surrogate escapes
    "\U000e0000-\U000e007f"  # tags
    "]"
    "|\r(?!\n)"  # alone it writes over its own line; before a line feed it is a line ending
)


def plain(text: str) -> str:
    """`text` with everything in it visible: newlines, tabs and CRLF stay, other controls become escapes."""
    return _HARMFUL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def plain_json(value: object) -> object:
    """The same for a JSON value, keys included. What is no JSON becomes its text."""
    match value:
        case str():
            return plain(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {plain(str(key)): plain_json(item) for key, item in items}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [plain_json(item) for item in cast("Sequence[object]", value)]
        case _:
            return plain(str(value))
