"""The tables of the owner's file, and what this connection may do with them.

The log is insert-only: triggers stop UPDATE, DELETE and (with `recursive_triggers`) REPLACE, a record's number must be
the next, and an authorizer forbids this very process everything but the few statements of the ledger. That is a
seat-belt against our own faults: who owns the file can go round it with another program, and is found out by the chain
(`audit/verify.py`), not stopped.

Everything beside the log is what the log says, summed up: rates, budgets, open calls, requests, what can be undone.
"""

from __future__ import annotations

import sqlite3

from byleave.store.entry import StoreDown

#: "blve" in the header of every store, so that another SQLite file is never taken for one (PRAGMA application_id).
APPLICATION_ID = 0x626C7665

#: Step n takes a store from version n to n + 1 (PRAGMA user_version). Forwards only; a released step is never edited.
STEPS = (
    """
    CREATE TABLE log(
        seq INTEGER PRIMARY KEY,
        body BLOB NOT NULL,
        leaf BLOB NOT NULL CHECK (length(leaf) = 32),
        head BLOB NOT NULL CHECK (length(head) = 32)
    ) STRICT;
    CREATE TRIGGER log_no_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is insert-only'); END;
    CREATE TRIGGER log_no_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is insert-only'); END;
    CREATE TRIGGER log_next BEFORE INSERT ON log WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM log)
        BEGIN SELECT RAISE(ABORT, 'a record follows the last one'); END;
    CREATE TABLE identity(log_id BLOB NOT NULL CHECK (length(log_id) = 16)) STRICT;
    INSERT INTO identity VALUES (randomblob(16));
    CREATE TABLE rate(key TEXT PRIMARY KEY, tat_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE budget(
        key TEXT PRIMARY KEY,
        used INTEGER NOT NULL CHECK (used >= 0),
        held INTEGER NOT NULL CHECK (held >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE open_call(
        call TEXT PRIMARY KEY,
        session TEXT NOT NULL,
        seq INTEGER NOT NULL,
        commit_seq INTEGER,
        held TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE request(
        id TEXT PRIMARY KEY,
        call TEXT NOT NULL,
        call_digest TEXT NOT NULL,
        digest TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'spent')),
        body TEXT NOT NULL,
        created REAL NOT NULL,
        expires REAL NOT NULL,
        answered_by TEXT
    ) STRICT;
    CREATE INDEX request_of_call ON request(call_digest);
    CREATE TABLE undoable(seq INTEGER PRIMARY KEY, call TEXT NOT NULL UNIQUE, session TEXT NOT NULL) STRICT;
    CREATE INDEX undoable_of_session ON undoable(session, seq);
    """,
)

VERSION = len(STEPS)

#: What the ledger changes beside inserting into the log.
_KEPT = frozenset({"rate", "budget", "open_call", "request", "undoable"})


def prepare(connection: sqlite3.Connection) -> None:
    """Settings, tables, migrations. Raises StoreDown for a file that is no store, or a newer one."""
    connection.execute("PRAGMA trusted_schema = OFF")
    application, version = pragma(connection, "application_id"), pragma(connection, "user_version")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    check_version(application, version, empty=empty)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 400")  # a small WAL is written in place: measured 1.4 times cheaper
    connection.execute("PRAGMA recursive_triggers = ON")
    for at in range(version, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {STEPS[at]}; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {at + 1}; COMMIT"
        )
    if version == VERSION:  # a first write makes the -wal, whose identity is watched from now on
        connection.executescript("BEGIN IMMEDIATE; UPDATE identity SET log_id = log_id; COMMIT")
    connection.set_authorizer(_authorize)


def check_version(application: int, version: int, *, empty: bool = False) -> None:
    """Refuse what is no store, and what a newer program has written."""
    if application != APPLICATION_ID and not (empty and application == 0):
        raise StoreDown("the file `log.db` is not a byleave store", "move it away, or choose another state directory")
    if version > VERSION:
        raise StoreDown(
            f"the store was written by a newer byleave (version {version} of its tables, this one knows {VERSION})",
            "upgrade byleave",
        )


def pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _authorize(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    del second, database, trigger
    match action:
        case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_READ | sqlite3.SQLITE_TRANSACTION:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_FUNCTION:
            return sqlite3.SQLITE_OK  # the built-in ones: no extension can be loaded
        case sqlite3.SQLITE_INSERT if first == "log" or first in _KEPT:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_UPDATE if first in _KEPT:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_DELETE if first in _KEPT:
            return sqlite3.SQLITE_OK
        case _:
            return sqlite3.SQLITE_DENY
