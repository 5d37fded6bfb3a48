"""The store as another process sees it: the owner's, over its socket.

No task of its own: the event loop hands over the lines as they come. When the owner goes, everything asked and not
answered fails at once; whether an entry was written then cannot be known from here, so it was not acknowledged.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError

from byleave.store.entry import Contradicts, Entry, Opened, Receipt, Request, StoreDown, Usage
from byleave.store.ledger import encode
from byleave.store.speech import LEAVING_LINE, METHODS, VERSION, Fate, Lines, address


class OwnerGone(StoreDown):
    """The owner of the store has gone. `taken` is False where it certainly had not taken what was asked."""

    def __init__(self, *, taken: bool) -> None:
        hint = "look at `byleave log show` before trying again" if taken else ""
        super().__init__("the process that owns the store ended before it answered", hint)
        self.taken = taken


class Greeting(BaseModel):
    """The owner's first line."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    byleave: int
    log_id: str


class Down(BaseModel):
    """Why the owner could not do it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: str
    hint: str
    fate: Fate


class Answered(BaseModel):
    """Each further line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    answer: object = None
    down: Down | None = None


class _Line(asyncio.Protocol):
    """The connection: questions out, answers in."""

    def __init__(self) -> None:
        self.greeting: asyncio.Future[Greeting] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._lines = Lines()
        self._asked: dict[int, asyncio.Future[Answered]] = {}
        self._next = 0
        self._parted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                if line == LEAVING_LINE:
                    self._part()
                    continue
                if not self.greeting.done():
                    self.greeting.set_result(Greeting.model_validate_json(line))
                    continue
                answered = Answered.model_validate_json(line)
                waiting = self._asked.pop(answered.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answered)
        except (ValidationError, ValueError):
            if self.transport is not None:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        if not self.greeting.done():
            self.greeting.set_exception(OwnerGone(taken=False))
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(OwnerGone(taken=True))
        self._asked.clear()

    def _part(self) -> None:
        """The owner ends in order: say no more, so that it can tell when it has heard everything."""
        self._parted = True
        if self.transport is not None:
            self.transport.write_eof()

    def ask(self, method: str, given: Sequence[object]) -> asyncio.Future[Answered]:
        if self.transport is None or self.transport.is_closing() or self._parted:
            raise OwnerGone(taken=False)
        self._next += 1
        plain = METHODS[method].given.dump_python(tuple(given), mode="python")
        waiting: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._asked[self._next] = waiting
        self.transport.write(encode({"id": self._next, "ask": method, "given": plain}) + b"\n")
        return waiting


class RemoteStore:
    """Implements `Store` by asking the owner. Every method raises OwnerGone once the owner has gone."""

    def __init__(self, line: _Line, log_id: str) -> None:
        self._line = line
        self._log_id = log_id

    @property
    def log_id(self) -> str:
        return self._log_id

    async def append(self, entry: Entry) -> Receipt:
        return cast("Receipt", await self._ask("append", entry))

    async def opened(self, session: str | None = None) -> Sequence[Opened]:
        return cast("Sequence[Opened]", await self._ask("opened", session))

    async def request(self, id: str) -> Request | None:  # noqa: A002 -- as in `Store`
        return cast("Request | None", await self._ask("request", id))

    async def request_for(self, call_digest: str) -> Request | None:
        return cast("Request | None", await self._ask("request_for", call_digest))

    async def requests(self, *, pending_only: bool = True) -> Sequence[Request]:
        return cast("Sequence[Request]", await self._ask("requests", pending_only))

    async def usage(self, prefix: str) -> Sequence[Usage]:
        return cast("Sequence[Usage]", await self._ask("usage", prefix))

    async def wait_for_answer(self, request: str, timeout: float) -> Request | None:  # noqa: ASYNC109 -- as in `Store`
        return cast("Request | None", await self._ask("wait_for_answer", request, timeout))

    async def last_undoable(self, session: str) -> str | None:
        return cast("str | None", await self._ask("last_undoable", session))

    async def _ask(self, method: str, *given: object) -> object:
        return _result(method, await self._line.ask(method, given))

    async def aclose(self) -> None:
        """Hang up."""
        if self._line.transport is not None:
            self._line.transport.close()


def _result(method: str, answered: Answered) -> object:
    down = answered.down
    if down is None:
        return METHODS[method].answer.validate_python(answered.answer)
    match down.fate:
        case Fate.LEAVING:
            raise OwnerGone(taken=False)
        case Fate.CONTRADICTS:
            raise Contradicts(down.message, down.hint)
        case Fate.NOT_WRITTEN:
            raise StoreDown(down.message, down.hint)


async def connect(place: Path) -> RemoteStore | None:
    """The owner's store, or None where nobody answers at its socket (yet, or any more)."""
    loop = asyncio.get_running_loop()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with address(place) as name:
            await loop.sock_connect(client, name)
        _, line = await loop.create_connection(_Line, sock=client)
    except (ConnectionError, FileNotFoundError, BlockingIOError):
        client.close()
        return None
    except BaseException:
        client.close()
        raise
    try:
        greeting = await line.greeting
    except OwnerGone:
        return None
    if greeting.byleave != VERSION:
        if line.transport is not None:
            line.transport.close()
        raise StoreDown(
            "the store belongs to a running byleave of another version", "end it, or run the same version of byleave"
        )
    return RemoteStore(line, greeting.log_id)
