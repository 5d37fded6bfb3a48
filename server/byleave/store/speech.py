"""What the owner of the store and other processes say to each other: lines of JSON over a Unix socket.

The owner greets with `{"byleave": 1, "log_id": ...}`. Each asks `{"id": n, "ask": METHOD, "given": [...]}` with the
methods of `Store` and their own arguments, and is answered, in any order, `{"id": n, "answer": ...}` or
`{"id": n, "down": {"message", "hint", "fate"}}`. An owner that ends in order says `{"leaving": true}`: the others then
say no more, and it hangs up once everything said has its answer. A line is at most 16 MiB.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from byleave.store.entry import Entry, Opened, Receipt, Request, StoreDown, Usage

VERSION = 1
LONGEST_LINE = 16 * 1024 * 1024

#: The name of a Unix socket fits into 108 bytes on Linux, 104 elsewhere.
_LONGEST_NAME = 100


class Fate(StrEnum):
    """What became of an entry whose answer is a failure."""

    NOT_WRITTEN = "not_written"  # the store says no to it, or cannot write
    CONTRADICTS = "contradicts"  # the entry contradicts the log
    LEAVING = "leaving"  # the owner is ending and has not taken it: ask its successor


@dataclass(frozen=True, slots=True)
class Method:
    """One method of `Store`: the types of what is given and of what is answered."""

    given: TypeAdapter[Any]
    answer: TypeAdapter[Any]


METHODS = {
    "append": Method(TypeAdapter(tuple[Entry]), TypeAdapter(Receipt)),
    "opened": Method(TypeAdapter(tuple[str | None]), TypeAdapter(tuple[Opened, ...])),
    "request": Method(TypeAdapter(tuple[str]), TypeAdapter(Request | None)),
    "request_for": Method(TypeAdapter(tuple[str]), TypeAdapter(Request | None)),
    "requests": Method(TypeAdapter(tuple[bool]), TypeAdapter(tuple[Request, ...])),
    "usage": Method(TypeAdapter(tuple[str]), TypeAdapter(tuple[Usage, ...])),
    "wait_for_answer": Method(TypeAdapter(tuple[str, float]), TypeAdapter(Request | None)),
    "last_undoable": Method(TypeAdapter(tuple[str]), TypeAdapter(str | None)),
}


LEAVING_LINE = b'{"leaving":true}'

#: Seconds that an owner which ends in order waits for the others to have heard it.
PARTING_S = 0.5


class Lines:
    """Cuts what comes in into lines. Raises ValueError for one that is too long."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Sequence[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ValueError("a line is too long")
        return lines


@contextmanager
def address(place: Path) -> Generator[str]:
    """The name of the owner's socket, short enough for the system. Valid inside the block."""
    path = str(place / "owner.sock")
    if len(os.fsencode(path)) <= _LONGEST_NAME:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise StoreDown(f"the path `{path}` is too long for a socket", "choose a shorter one with BYLEAVE_STATE_DIR")
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/owner.sock"
    finally:
        os.close(folder)
