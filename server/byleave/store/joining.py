"""One store for many processes: the first owns it, the others ask the owner, and one of them follows when it goes.

What was sent to an owner and not acknowledged when it went may or may not be written: `append` then raises StoreDown
and never sends it again. What it certainly had not taken, and every question, is asked again of whoever owns the store
next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio

from byleave.store.clock import Clock
from byleave.store.entry import Entry, Opened, Receipt, Request, Store, StoreDown, Usage
from byleave.store.owner import Desk
from byleave.store.place import Lock, Sessions, approver_key
from byleave.store.remote import OwnerGone, connect
from byleave.store.sqlite import open_sqlite

T = TypeVar("T")

#: Seconds until an owner that holds the lock must have answered.
PATIENCE_S = 5.0

#: Seconds between two tries of the lock and the socket.
_RETRY_S = 0.01


class JoinedStore:
    """Implements `Store` over the owner's store, whoever the owner is: this process or another."""

    def __init__(self, place: Path, sessions: Sessions, clock: Clock) -> None:
        self._place = place
        self._sessions = sessions
        self._clock = clock
        self._joining = anyio.Lock()
        self._store: Store | None = None
        self._owned: tuple[Lock, Desk] | None = None
        self._log_id = ""
        self._closed = False

    @property
    def log_id(self) -> str:
        return self._log_id

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the store at the moment."""
        return self._owned is not None

    # --- becoming part of it -----------------------------------------------------------------------------------

    async def join(self) -> Store:
        """The store as it can be reached now: own it, or ask who does. Raises StoreDown."""
        if self._store is not None:
            return self._store
        async with self._joining:
            if self._store is None:
                self._store = await self._reach()
                self._log_id = self._store.log_id
            return self._store

    async def _reach(self) -> Store:
        give_up = anyio.current_time() + PATIENCE_S
        while not self._closed:
            lock = self._try_lock()
            if lock is not None:
                return await self._own(lock)
            found: Store | None = None
            with anyio.move_on_after(give_up - anyio.current_time()):
                found = await connect(self._place)
                if found is None:
                    await anyio.sleep(_RETRY_S)
            if found is not None:
                return found
            if anyio.current_time() >= give_up:
                hint = "end it: `byleave doctor` names it"
                raise StoreDown(f"the process that owns `{self._place}` does not answer", hint)
        raise StoreDown("the store is closed")

    def _try_lock(self) -> Lock | None:
        path = self._place / "log.lock"
        try:
            return Lock.take(path)
        except OSError as error:
            raise StoreDown(f"`{path}` cannot be used: {error.strerror}") from error

    async def _own(self, lock: Lock) -> Store:
        try:
            store = await open_sqlite(
                self._place / "log.db",
                lock=self._place / "log.lock",
                approver=approver_key(self._place),
                is_alive=self._sessions.is_alive,
                clock=self._clock,
            )
            desk = Desk(store, self._place)
            try:
                await desk.open()
            except BaseException:
                await store.aclose()
                raise
        except BaseException as error:
            lock.release()
            if isinstance(error, OSError):
                raise StoreDown(f"`{self._place}` cannot be used: {error.strerror}") from error
            raise
        self._owned = (lock, desk)
        return store

    async def aclose(self) -> None:
        """Leave: the owner closes the file for a successor to open. May be called twice."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            async with self._joining:
                store, owned = self._store, self._owned
                self._store = self._owned = None
                try:
                    if owned is not None:
                        await owned[1].aclose()
                    if store is not None:
                        await store.aclose()
                finally:
                    if owned is not None:
                        owned[0].release()

    # --- the store's own methods -------------------------------------------------------------------------------

    async def append(self, entry: Entry) -> Receipt:
        receipt: Receipt | None = None
        while receipt is None:
            with anyio.CancelScope(shield=True):
                receipt = await self._try(entry)
        return receipt

    async def _try(self, entry: Entry) -> Receipt | None:
        """None where the owner went and certainly had not taken the entry."""
        store = self._store or await self.join()
        try:
            return await store.append(entry)
        except OwnerGone as gone:
            self._forget(store)
            if gone.taken:
                raise
            return None

    async def opened(self, session: str | None = None) -> Sequence[Opened]:
        return await self._ask(lambda store: store.opened(session))

    async def request(self, id: str) -> Request | None:  # noqa: A002 -- as in `Store`
        return await self._ask(lambda store: store.request(id))

    async def request_for(self, call_digest: str) -> Request | None:
        return await self._ask(lambda store: store.request_for(call_digest))

    async def requests(self, *, pending_only: bool = True) -> Sequence[Request]:
        return await self._ask(lambda store: store.requests(pending_only=pending_only))

    async def usage(self, prefix: str) -> Sequence[Usage]:
        return await self._ask(lambda store: store.usage(prefix))

    async def wait_for_answer(self, request: str, timeout: float) -> Request | None:  # noqa: ASYNC109 -- as in `Store`
        until = anyio.current_time() + timeout
        return await self._ask(lambda store: store.wait_for_answer(request, max(0.0, until - anyio.current_time())))

    async def last_undoable(self, session: str) -> str | None:
        return await self._ask(lambda store: store.last_undoable(session))

    async def _ask(self, ask: Callable[[Store], Awaitable[T]]) -> T:
        while True:
            store = await self.join()
            try:
                return await ask(store)
            except OwnerGone:
                self._forget(store)

    def _forget(self, store: Store) -> None:
        if self._store is store:
            self._store = None
