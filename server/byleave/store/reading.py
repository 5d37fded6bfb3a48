"""Looking into a store without owning it: read-only, beside a running owner or after its end.

Nothing is locked, made or repaired by reading. What a reader shows is what lies in the file; whether that is what was
written, `audit/verify.py` says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from byleave.effects import printable
from byleave.store.entry import Request, StoreDown
from byleave.store.ledger import REQUEST_COLUMNS, request_of, standing
from byleave.store.schema import check_version, pragma

#: Records fetched at a time.
_PAGE = 500


class Reader:
    """A store, open for reading. Raises StoreDown in words where there is none or it cannot be read."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "log.db"
        if not self._path.is_file():
            raise StoreDown(
                f"there is no log at `{printable(str(self._path))}`",
                "nothing has been recorded yet, or it lies elsewhere: --state-dir or BYLEAVE_STATE_DIR",
            )
        with self._in_words():
            uri = f"file:{quote(str(self._path))}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2)
            try:
                self._connection.execute("PRAGMA query_only = ON")
                self._connection.execute("PRAGMA trusted_schema = OFF")
                check_version(pragma(self._connection, "application_id"), pragma(self._connection, "user_version"))
                (self.log_id,) = self._connection.execute("SELECT log_id FROM identity").fetchone()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def rows(self, after: int = 0) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """Records in order, from the one after `after`: number, bytes, leaf, head. One view of the log throughout."""
        with self._in_words():
            sql = "SELECT seq, body, leaf, head FROM log WHERE seq > ? ORDER BY seq"
            for row in self._connection.execute(sql, (after,)):  # noqa: UP028 -- a cursor is not to be closed after us
                yield row

    def newest(self) -> Iterator[tuple[int, bytes]]:
        """Records from the end backwards: number and bytes. Fetched by pages, so that no reader holds the log's WAL."""
        before = 1 << 62
        sql = f"SELECT seq, body FROM log WHERE seq < ? ORDER BY seq DESC LIMIT {_PAGE}"  # noqa: S608 -- a constant
        while True:
            with self._in_words():
                page = self._connection.execute(sql, (before,)).fetchall()
            if not page:
                return
            yield from page
            before = page[-1][0]

    def last(self) -> int:
        """The number of the newest record, 0 where there is none."""
        with self._in_words():
            return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()[0])

    def requests(self, now: float, *, pending_only: bool = True) -> list[Request]:
        """Requests, the oldest first, as they stand at `now` (Unix seconds)."""
        where = "state = 'pending' AND expires > ?" if pending_only else "? IS NOT NULL"
        sql = f"SELECT {REQUEST_COLUMNS} FROM request WHERE {where} ORDER BY created, rowid"  # noqa: S608 -- constants
        with self._in_words():
            return [standing(request_of(row), now) for row in self._connection.execute(sql, (now,))]

    @contextmanager
    def _in_words(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreDown(f"`{printable(str(self._path))}` cannot be read: {error}") from error
