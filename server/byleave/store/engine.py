"""Which SQLite the store stands on, for whoever has to tell a person about it."""

from __future__ import annotations

import sqlite3

import apsw

#: Affected by the WAL-reset bug (3.7.0 to 3.51.2, fixed in 3.51.3 and in these older lines): with two connections that
#: write or checkpoint, a database can be corrupted. https://sqlite.org/wal.html#walresetbug
_FIXED_IN_LINE: dict[tuple[int, ...], int] = {(3, 50): 7, (3, 44): 6}
_FIXED = (3, 51, 3)


def versions() -> dict[str, str]:
    """The two engines in this process: the log's, and the one that reads and changes configured databases."""
    return {"log": sqlite3.sqlite_version, "databases": apsw.sqlite_lib_version()}


def can_lose_a_wal(version: str) -> bool:
    """Whether this version has the WAL-reset bug. The store has one connection, and so does not meet it."""
    number = tuple(int(part) for part in version.split(".")[:3])
    if number >= _FIXED:
        return False
    line = _FIXED_IN_LINE.get(number[:2])
    return line is None or number[2] < line
