"""The gate on standard input and output: one process, one client, one session.

Nesting, outermost first, so that each layer can still use the one outside it while it ends: signals, gate (with its
store), wire, server. A signal or the end of input cancels the server; the gate shields what must be finished; the store
closes last.

The wire is read and written by readiness of the descriptors, never by a thread: a thread blocked in `read` cannot be
cancelled, so SIGTERM would wait for the client's next line. (The SDK's own `stdio_server` waits so.)
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import anyio
import anyio.lowlevel
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from byleave.gate import Gate
from byleave.ledger import Caller
from byleave.user import user
from byleave.wire.descriptors import Wire
from byleave.wire.server import server_for

#: A line longer than this is refused unread: it would only fill the memory.
LONGEST_LINE = 32 * 1024 * 1024

#: What a pipe takes without blocking once it is ready (PIPE_BUF on Linux; a socket that is ready takes more).
CHUNK = 4096

#: Seconds in which a line that was begun is finished while the server ends: half a line is no protocol.
LAST_LINE_S = 0.3


async def serve(opening: AbstractAsyncContextManager[Gate], wire: Wire) -> None:
    """Serve one client over `wire` until it closes its end, or until SIGINT, SIGTERM or SIGHUP.

    Errors of `opening` come out as they are, before anything was read. Returns when calls in flight are settled and the
    gate is closed; a second signal meanwhile ends the process at once, and the next start settles the rest.
    """
    failed: Exception | None = None
    scope = anyio.CancelScope()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as watching:
            watching.start_soon(_end_on_signal, signals, scope)
            try:
                async with opening as gate:
                    with scope:
                        await converse(server_for(gate, caller=caller_of_process()), wire, scope)
            except Exception as error:  # noqa: BLE001  raised again below: a task group would wrap it
                failed = error
            watching.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def converse(server: Server[Any], wire: Wire, scope: anyio.CancelScope) -> None:
    """One conversation over `wire`. Returns at the end of input; cancels `scope` where the client reads no more."""
    incoming, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    sent = anyio.Event()
    async with anyio.create_task_group() as carrying:
        carrying.start_soon(_carry_in, wire.reading, incoming, writing.clone())
        carrying.start_soon(_carry_out, wire.writing, outgoing, sent, scope)
        await server.run(reading, writing, server.create_initialization_options())
        with anyio.move_on_after(LAST_LINE_S):
            await sent.wait()
        carrying.cancel_scope.cancel()


def caller_of_process() -> Callable[[str], Caller]:
    """Who calls over standard input: the user that this process runs as. Nothing that the client says changes it."""
    principal, session = f"user:{user()}", secrets.token_hex(8)
    return lambda client: Caller(principal=principal, session=session, client=client)


async def _end_on_signal(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    asked = False
    async for number in signals:
        if asked:
            os._exit(128 + number)
        asked = True
        scope.cancel()


async def _carry_in(
    fd: int,
    incoming: MemoryObjectSendStream[SessionMessage | Exception],
    replies: MemoryObjectSendStream[SessionMessage],
) -> None:
    """From the wire to the server. What is no message is answered here, with its id where it has one: the SDK drops it
    without a word, and a client that sent, say, a lone surrogate would wait for ever."""
    async with incoming, replies:
        async for line in _lines(fd):
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValidationError:
                await replies.send(SessionMessage(_no_message(line)))
            else:
                await incoming.send(SessionMessage(message))


async def _carry_out(
    fd: int, outgoing: MemoryObjectReceiveStream[SessionMessage], sent: anyio.Event, scope: anyio.CancelScope
) -> None:
    """From the server to the wire. A client that reads no more has hung up: that ends the conversation."""
    async with outgoing:
        async for message in outgoing:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await _write(fd, text.encode() + b"\n")
            except OSError:
                scope.cancel()
                break
    sent.set()


async def _lines(fd: int) -> AsyncIterator[bytes]:
    """Lines of the wire without their ends, blank ones left out; b"" stands for one that is too long."""
    kept = bytearray()
    too_long = False
    while chunk := await _read(fd):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            kept += end
            if too_long or kept.strip():
                yield b"" if too_long else bytes(kept)
            kept.clear()
            too_long = False
        if too_long or len(kept) + len(rest) > LONGEST_LINE:
            kept.clear()
            too_long = True
        else:
            kept += rest


async def _read(fd: int) -> bytes:
    """Some bytes as soon as there are any; b"" at the end of input, and where the wire is gone."""
    try:
        await anyio.wait_readable(fd)
    except PermissionError:  # a regular file: the loop cannot wait for one, and reading it never blocks
        await anyio.lowlevel.checkpoint()
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


async def _write(fd: int, data: bytes) -> None:
    """The whole of `data`, cancelled or not, unless the client takes no more of it. Raises OSError."""
    rest = memoryview(data)
    ready = select.poll()
    ready.register(fd, select.POLLOUT)

    async def go_on() -> None:
        nonlocal rest
        while rest:
            if not ready.poll(0):
                await anyio.wait_writable(fd)
            rest = rest[os.write(fd, rest[:CHUNK]) :]

    try:
        await go_on()
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(LAST_LINE_S, shield=True):
            await go_on()
        raise


def _no_message(line: bytes) -> types.JSONRPCError:
    """The error for a line that is no JSON-RPC message."""
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return _error(None, types.PARSE_ERROR, "parse error")
    found = cast("dict[str, object]", value).get("id") if isinstance(value, dict) else None
    return _error(found, types.INVALID_REQUEST, "not a JSON-RPC message")


def _error(found: object, code: int, message: str) -> types.JSONRPCError:
    error = types.ErrorData(code=code, message=message)
    try:
        return types.JSONRPCError.model_validate({"jsonrpc": "2.0", "id": found, "error": error})
    except ValidationError:  # the id is none either
        return types.JSONRPCError(jsonrpc="2.0", id=None, error=error)
