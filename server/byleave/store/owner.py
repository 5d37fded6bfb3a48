"""The owner's desk: other processes of the same user write to the store through it.

The socket lies in the state directory, is made 0600, and each peer is asked for its user id besides (SO_PEERCRED).
Their entries join the same batches as the owner's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError

from byleave.store.entry import Contradicts, Entry, StoreDown
from byleave.store.ledger import encode
from byleave.store.speech import LEAVING_LINE, LONGEST_LINE, METHODS, PARTING_S, VERSION, Fate, Lines, address
from byleave.store.sqlite import SqliteStore

#: A peer that asks and does not read its answers is cut off at this much.
_UNREAD = 4 * LONGEST_LINE


class Asked(BaseModel):
    """One line of a peer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    ask: str
    given: list[object]


class Desk:
    """Serves one store to other processes, from `open` to `aclose`."""

    def __init__(self, store: SqliteStore, place: Path) -> None:
        self._store = store
        self._path = place / "owner.sock"
        self._place = place
        self._server: asyncio.Server | None = None
        self.peers: set[_Peer] = set()
        self.leaving = False

    async def open(self) -> None:
        """Listen. The caller owns the store's lock, so whatever socket is there belongs to nobody any more."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            os.fchmod(listener.fileno(), 0o600)  # before it has a name, so that it never is open to others
            with address(self._place) as name:
                listener.bind(name)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Peer(self._store, self), sock=listener, backlog=128)
        except BaseException:
            listener.close()
            raise

    async def aclose(self) -> None:
        """Take nothing more, answer what was taken, hang up. What comes meanwhile is told to ask the successor."""
        self.leaving = True
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers):
            peer.stop_waiting()
            peer.part()
        while pending := [work for peer in self.peers for work in peer.under_way]:
            await asyncio.wait(pending)
        if self.peers:
            await asyncio.wait([peer.gone for peer in self.peers], timeout=PARTING_S)
        for peer in list(self.peers):
            peer.hang_up()
        self._path.unlink(missing_ok=True)


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, store: SqliteStore, desk: Desk) -> None:
        self._store = store
        self._desk = desk
        self._lines = Lines()
        self._transport: asyncio.Transport | None = None
        self._waiting: set[asyncio.Future[object]] = set()
        self._heard_all = False
        self.under_way: set[asyncio.Future[object]] = set()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- the connection ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not _same_user(cast("socket.socket", transport.get_extra_info("socket"))):
            self._transport.abort()
            return
        self._desk.peers.add(self)
        self._say({"byleave": VERSION, "log_id": self._store.log_id})

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._desk.peers.discard(self)
        self.gone.set_result(None)
        self.stop_waiting()

    def eof_received(self) -> bool:
        self._heard_all = True
        return bool(self.under_way)  # True: stay open until the last answer is said

    def part(self) -> None:
        """Ask the peer to say no more."""
        if self._transport is not None:
            self._transport.write(LEAVING_LINE + b"\n")

    def stop_waiting(self) -> None:
        """End what only waits for a person; entries that were taken are written all the same."""
        for work in self._waiting:
            work.cancel()

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # --- asking ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._take(Asked.model_validate_json(line))
        except (ValidationError, ValueError, KeyError):  # no peer of ours speaks like this
            if self._transport is not None:
                self._transport.abort()

    def _take(self, asked: Asked) -> None:
        if self._desk.leaving:
            self._say(_down(asked.id, Fate.LEAVING, StoreDown("the owner of the store is ending")))
            return
        given = cast("Sequence[object]", METHODS[asked.ask].given.validate_python(asked.given))
        try:
            work = self._begin(asked.ask, given)
        except StoreDown as down:
            self._say(_down(asked.id, Fate.NOT_WRITTEN, down))
            return
        self.under_way.add(work)
        if asked.ask == "wait_for_answer":
            self._waiting.add(work)
        work.add_done_callback(lambda done: self._answer(asked, done))

    def _begin(self, ask: str, given: Sequence[object]) -> asyncio.Future[object]:
        if ask == "append":
            return cast("asyncio.Future[object]", self._store.submit(cast("Entry", given[0])))
        if ask == "requests":
            return asyncio.ensure_future(cast("Awaitable[object]", self._store.requests(pending_only=bool(given[0]))))
        return asyncio.ensure_future(cast("Awaitable[object]", getattr(self._store, ask)(*given)))

    def _answer(self, asked: Asked, done: asyncio.Future[object]) -> None:
        self.under_way.discard(done)
        self._waiting.discard(done)
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            self._say(_down(asked.id, Fate.LEAVING, StoreDown("the owner of the store is ending")))
        elif error is None:
            answer = METHODS[asked.ask].answer.dump_python(done.result(), mode="json")
            self._say({"id": asked.id, "answer": answer})
        else:
            fate = Fate.CONTRADICTS if isinstance(error, Contradicts) else Fate.NOT_WRITTEN
            self._say(_down(asked.id, fate, error))
        if self._heard_all and not self.under_way:
            self.hang_up()

    def _say(self, what: Mapping[str, object]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(encode(what) + b"\n")
        if self._transport.get_write_buffer_size() > _UNREAD:
            self._transport.abort()


def _down(asked: int, fate: Fate, error: BaseException) -> dict[str, object]:
    hint = error.hint if isinstance(error, StoreDown) else ""
    message = str(error) if isinstance(error, StoreDown) else f"the store failed: {type(error).__name__}"
    return {"id": asked, "down": {"message": message, "hint": hint, "fate": fate.value}}


def _same_user(peer: socket.socket) -> bool:
    """Whether the peer runs as our own user. Where the system cannot say, the directory's 0700 has to do."""
    if sys.platform != "linux":
        return True
    with suppress(OSError):
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        return bool(uid == os.geteuid())
    return False
