"""The owner's store: one SQLite file, one connection, one writer thread, and one commit for everything in flight.

The order, for a batch (in the writer thread):
 1. the files are the ones that were opened, none of them shorter      else poisoned
 2. BEGIN IMMEDIATE, every entry decided in memory, everything written
 3. COMMIT, with `synchronous=FULL`: one fsync of the WAL
 4. the files are still the ones that were opened                      else poisoned, though it was written
 5. what is known of the log moves on
 6. the callers are answered, all in one step of the event loop

There is no writer task: `append` puts entry and future on a queue and asks the thread to drain it. So no signal and no
cancellation can leave a task that nobody ends, and a cancelled caller's entry is still written whole, once.
"""

# long: the order of the six steps above is what everything rests on; cut apart, nobody could check it.

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar, cast
from weakref import WeakValueDictionary

import aiosqlite
import anyio
import anyio.to_thread
from pydantic_core import from_json

from byleave.audit.chain import GENESIS, head_of, leaf_of
from byleave.store.clock import Clock, Steady
from byleave.store.entry import Entry, Opened, Receipt, Request, StoreDown, Usage
from byleave.store.ledger import REQUEST_COLUMNS, Draft, Known, Tip, calls_in, encode, request_of, standing
from byleave.store.schema import prepare

T = TypeVar("T")

#: Entries in one transaction: enough to share an fsync widely, few enough that nobody waits long.
BATCH = 256

#: Records at the end of the chain that are checked before the first new one is added.
TAIL = 1_000

_VERIFY_HINT = "run `byleave log verify`, and start again only when you know what happened"


class Writer(aiosqlite.Connection):
    """aiosqlite's connection and thread, with a whole function as the unit of work instead of a statement.

    The one place that touches aiosqlite's private parts (hence the pin in pyproject.toml).
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # a program that dies without closing must end, not hang
        self._work = cast("SimpleQueue[tuple[None, Callable[[], object]]]", self._tx)  # pyright: ignore[reportUnknownMemberType] -- untyped there

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the writer's thread and wait for what it returns."""
        result: T = await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]
        return result

    def post(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Have `work` run in the writer's thread; nobody waits for it, and it must not raise."""
        self._work.put_nowait((None, lambda: work(self._conn)))

    async def ended(self) -> None:
        """Wait for the thread after a connection that failed: it still answers to the event loop, which must live."""
        await anyio.to_thread.run_sync(self._thread.join)

    def abandon(self) -> None:
        """Never use the connection again, and never close it: closing would copy a damaged WAL into the database.

        The thread keeps it, waiting for work that will not come, until the process ends.
        """
        connection, self._connection, self._running = self._connection, None, False
        self._work.put_nowait((None, lambda: connection))


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    body: bytes
    answer: asyncio.Future[Receipt]


class _Files:
    """The files that must stay what they were when they were opened: same inode, never shorter."""

    def __init__(self, *paths: Path) -> None:
        self._paths = [str(path) for path in paths]
        self._known = [(it.st_dev, it.st_ino) for it in map(os.stat, paths)]
        self._sizes = [0] * len(paths)

    def check(self) -> None:
        """Raise StoreDown, naming the file, where one was removed, replaced or cut."""
        for at, path in enumerate(self._paths):
            try:
                now = os.stat(path)
            except OSError:
                raise StoreDown(f"`{path}` was removed while in use", _VERIFY_HINT) from None
            if (now.st_dev, now.st_ino) != self._known[at]:
                raise StoreDown(f"`{path}` was replaced while in use", _VERIFY_HINT)
            if now.st_size < self._sizes[at]:
                raise StoreDown(f"`{path}` was cut short while in use", _VERIFY_HINT)
            self._sizes[at] = now.st_size


class SqliteStore:
    """The store of the process that holds the lock. Implements `Store`; made by `open_sqlite`, closed by `aclose`."""

    def __init__(
        self,
        writer: Writer,
        path: Path,
        lock: Path,
        known: Known,
        *,
        time: Steady,
        approver: str,
        is_alive: Callable[[str], bool],
    ) -> None:
        self._writer = writer
        self._path = path
        self._known = known
        self._time = time
        self._approver = approver
        self._is_alive = is_alive
        self._loop = asyncio.get_running_loop()
        self._files = _Files(path, path.with_name(path.name + "-wal"), lock)
        self._queue: deque[_Waiting] = deque()
        self._asked = False  # whether the thread has been asked to drain and has not begun
        self._poison: StoreDown | None = None
        self._closed = False
        self._answered: WeakValueDictionary[str, anyio.Event] = WeakValueDictionary()

    @property
    def log_id(self) -> str:
        return self._known.log_id.hex()

    # --- writing -----------------------------------------------------------------------------------------------

    async def append(self, entry: Entry) -> Receipt:
        return await self.submit(entry)

    def submit(self, entry: Entry) -> asyncio.Future[Receipt]:
        """`append` in two halves: the entry is on its way when this returns, the future says when it is true."""
        if self._closed:
            raise StoreDown("the store is closed")
        if self._poison is not None:
            raise StoreDown(*_words_of(self._poison))
        answer: asyncio.Future[Receipt] = self._loop.create_future()
        self._queue.append(_Waiting(entry, encode(entry.body), answer))
        self._ask()
        return answer

    def _ask(self) -> None:
        # INVARIANT: the entry is on the queue before `_asked` is read here, and `_asked` is cleared in the thread
        # before the queue is read there: one of the two sees the other, and nothing is left lying.
        if not self._asked:
            self._asked = True
            self._writer.post(self._drain)

    def _drain(self, connection: sqlite3.Connection) -> None:
        self._asked = False
        batch: list[_Waiting] = []
        while len(batch) < BATCH:
            try:
                batch.append(self._queue.popleft())
            except IndexError:
                break
        if not batch:
            return
        results, answered = self._commit(connection, batch)
        if self._queue:
            self._ask()
        with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it, and it is on disk
            self._loop.call_soon_threadsafe(self._deliver, batch, results, answered)

    def _deliver(self, batch: list[_Waiting], results: Sequence[Receipt | StoreDown], answered: set[str]) -> None:
        for waiting, result in zip(batch, results, strict=True):
            if waiting.answer.done():
                continue  # its caller was cancelled
            if isinstance(result, StoreDown):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)
        for request in answered:
            event = self._answered.pop(request, None)
            if event is not None:
                event.set()

    def _commit(
        self, connection: sqlite3.Connection, batch: Sequence[_Waiting]
    ) -> tuple[list[Receipt | StoreDown], set[str]]:
        results: list[Receipt | StoreDown] = []
        draft = Draft(connection, self._known, self._time, self._approver)
        try:
            self._check_well()
            connection.execute("BEGIN IMMEDIATE")
            for waiting in batch:
                try:
                    results.append(draft.enter(waiting.entry, waiting.body))
                except StoreDown as contradiction:
                    results.append(contradiction)
            draft.write()
            connection.execute("COMMIT")
            self._check_files()
        except Exception as error:  # noqa: BLE001 -- whatever it was, nothing of the batch is acknowledged
            self._roll_back(connection)
            if len(batch) > 1 and not isinstance(error, StoreDown | sqlite3.OperationalError):
                # One entry that cannot be written must not take its neighbours with it: each by itself.
                parts = [self._commit(connection, [waiting]) for waiting in batch]
                return [result for part, _ in parts for result in part], set[str]().union(*(ids for _, ids in parts))
            down = self._down(error)
            return [StoreDown(*_words_of(down)) for _ in batch], set()
        draft.count()
        return results, draft.answered

    def _check_well(self) -> None:
        if self._poison is not None:
            raise self._poison
        self._check_files()

    def _check_files(self) -> None:
        try:
            self._files.check()
        except StoreDown as error:
            self._poison = error
            raise

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._poison = StoreDown(f"`{self._path}` cannot be rolled back: {error}", _VERIFY_HINT)

    def _down(self, error: Exception) -> StoreDown:
        """The error in words; and the store poisoned where a retry could make it worse."""
        if isinstance(error, StoreDown):
            return error
        if not isinstance(error, sqlite3.Error):
            return StoreDown(f"the entry cannot be written to `{self._path}`: {error}")
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        match code:
            case sqlite3.SQLITE_FULL:
                return StoreDown(f"no space left to record in `{self._path}`", "free some space; it goes on by itself")
            case sqlite3.SQLITE_BUSY:
                hint = "stop what else has the file open for writing"
                return StoreDown(f"`{self._path}` is locked by another program", hint)
            case _:
                words = f"`{self._path}` cannot be written any more: {error}"
                self._poison = StoreDown(words, _VERIFY_HINT)
                return self._poison

    # --- reading -----------------------------------------------------------------------------------------------

    async def opened(self, session: str | None = None) -> Sequence[Opened]:
        def read(connection: sqlite3.Connection) -> list[tuple[str, Opened]]:
            rows = connection.execute(
                "SELECT c.call, c.session, c.seq, i.body, m.body FROM open_call c JOIN log i ON i.seq = c.seq"
                " LEFT JOIN log m ON m.seq = c.commit_seq ORDER BY c.seq"
            )
            return [(of, Opened(call, seq, _body(intent), _body(commit) if commit else None))
                    for call, of, seq, intent, commit in rows]  # fmt: skip

        found = await self._read(read)
        dead: dict[str, bool] = {}
        for of, _ in found:
            if session is None and of not in dead:
                dead[of] = not self._is_alive(of)
        return tuple(opened for of, opened in found if (dead[of] if session is None else of == session))

    async def request(self, id: str) -> Request | None:  # noqa: A002 -- as in `Store`
        return await self._one_request("id = ?", id)

    async def request_for(self, call_digest: str) -> Request | None:
        # A fresh refusal still answers the same question; an hour later it may be asked again.
        recent = "call_digest = ? AND (state IN ('pending', 'approved') OR state = 'refused' AND created > ?)"
        return await self._one_request(recent, call_digest, self._time.latest() - 3600)

    async def _one_request(self, where: str, *values: str | float) -> Request | None:
        sql = f"SELECT {REQUEST_COLUMNS} FROM request WHERE {where} ORDER BY created DESC, rowid DESC LIMIT 1"  # noqa: S608 -- constants
        row = await self._read(lambda connection: connection.execute(sql, values).fetchone())
        return None if row is None else standing(request_of(row), self._time.latest())

    async def requests(self, *, pending_only: bool = True) -> Sequence[Request]:
        where = "state = 'pending' AND expires > ?" if pending_only else "? IS NOT NULL"
        sql = f"SELECT {REQUEST_COLUMNS} FROM request WHERE {where} ORDER BY created, rowid"  # noqa: S608 -- constants
        now = self._time.latest()
        rows = await self._read(lambda connection: connection.execute(sql, (now,)).fetchall())
        return tuple(standing(request_of(row), now) for row in rows)

    async def usage(self, prefix: str) -> Sequence[Usage]:
        sql = "SELECT key, used, held FROM budget WHERE substr(key, 1, length(:prefix)) = :prefix ORDER BY key"
        rows = await self._read(lambda connection: connection.execute(sql, {"prefix": prefix}).fetchall())
        return tuple(Usage(*row) for row in rows)

    async def last_undoable(self, session: str) -> str | None:
        sql = "SELECT call FROM undoable WHERE session = ? ORDER BY seq DESC LIMIT 1"
        row = await self._read(lambda connection: connection.execute(sql, (session,)).fetchone())
        return None if row is None else str(row[0])

    async def wait_for_answer(self, request: str, timeout: float) -> Request | None:  # noqa: ASYNC109 -- as in `Store`
        with anyio.move_on_after(timeout):
            while True:
                # INVARIANT: the event is there before the state is read, so an answer in between is not missed.
                event = self._answered.setdefault(request, anyio.Event())
                now = await self.request(request)
                if now is None or now.state != "pending":
                    return now
                with anyio.move_on_after(now.expires - self._time.latest()):
                    await event.wait()
        return None

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreDown("the store is closed")
        try:
            return await self._writer.run(read)
        except sqlite3.Error as error:
            raise StoreDown(f"`{self._path}` cannot be read: {error}", _VERIFY_HINT) from error

    # --- the end -----------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Write what is on its way, then close. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            while self._asked or self._queue:
                await self._writer.run(lambda _: None)
            if self._poison is not None:
                self._writer.abandon()
            else:
                await self._writer.close()


def _words_of(down: StoreDown) -> tuple[str, str]:
    return str(down), down.hint


def _body(stored: bytes) -> dict[str, object]:
    record: dict[str, dict[str, object]] = from_json(stored)
    return record["body"]


async def open_sqlite(
    path: Path, *, lock: Path, approver: str, is_alive: Callable[[str], bool], clock: Clock | None = None
) -> SqliteStore:
    """Open the file (made where there is none), check the end of its chain, and be ready to write.

    The caller holds the lock on `lock`. Raises StoreDown in words where the file cannot be used or its chain is broken.
    """

    def connect() -> sqlite3.Connection:
        # Made for the owner alone. One that is there is not opened: closing it again would drop SQLite's POSIX locks.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        if path.is_symlink():
            raise StoreDown(f"`{path}` is a symbolic link", "move it away")
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    writer = Writer(connect)
    try:
        await writer
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await writer.ended()
        if isinstance(error, OSError | sqlite3.Error):
            raise StoreDown(f"`{path}` cannot be opened: {error}", "see `byleave doctor`") from error
        raise
    try:
        known = await writer.run(_known)
        time = Steady(clock or Clock())
        return SqliteStore(writer, path, lock, known, time=time, approver=approver, is_alive=is_alive)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await writer.close()
        if isinstance(error, OSError | sqlite3.Error):
            raise StoreDown(f"`{path}` cannot be read: {error}", _VERIFY_HINT) from error
        raise


def _known(connection: sqlite3.Connection) -> Known:
    (log_id,) = connection.execute("SELECT log_id FROM identity").fetchone()
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()
    tip = Tip(0, GENESIS)
    if last > TAIL:
        (head,) = connection.execute("SELECT head FROM log WHERE seq = ?", (last - TAIL,)).fetchone() or (GENESIS,)
        tip = Tip(last - TAIL, head)
    for seq, body, leaf, head in connection.execute("SELECT * FROM log WHERE seq > ? ORDER BY seq", (tip.seq,)):
        if seq != tip.seq + 1 or leaf != leaf_of(body) or head != head_of(log_id, seq, tip.head, leaf):
            raise StoreDown(f"the log is damaged at record {seq}", "run `byleave log verify` to see what is wrong")
        tip = Tip(seq, head)
    return Known(log_id, tip, calls_in(connection))
