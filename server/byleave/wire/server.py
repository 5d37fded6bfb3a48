"""MCP on one side, the gate on the other. Nothing is decided here: what the gate answers goes out as it is.

One low-level server speaks both protocol eras (the handshake one up to 2025-11-25, the stateless one from 2026-07-28).
Arguments go to the gate raw: it validates them itself, so that a refusal is recorded and has the contract's shape.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from byleave import __version__
from byleave.answers import Answer
from byleave.effects import printable
from byleave.gate import Gate
from byleave.ledger import Caller, Progress
from byleave.wire.instructions import INSTRUCTIONS
from byleave.wire.listing import listed
from byleave.wire.plain import plain, plain_json

#: Keys of `_meta` on every answer, for programs: clients do not show it to the model.
RECEIPT, EFFECTS, LOG = "byleave/receipt", "byleave/effects", "byleave/log"

#: Effects that travel in `_meta`; the log has all of them.
EFFECTS_SHOWN = 50

log = logging.getLogger(__name__)
Context = ServerRequestContext[Any, Any]


def server_for(gate: Gate, *, caller: Callable[[str], Caller]) -> Server[Any]:
    """The MCP server in front of `gate`. `caller` turns a client's name for itself into who is calling.

    What `caller` returns as principal and session must not rest on that name: a client can call itself anything.
    The tool list is made once: it must not differ between connections, nor change because of a call.
    """
    tools = listed(gate.tools())
    names = frozenset(tool.name for tool in tools)

    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        del ctx, params
        return types.ListToolsResult(tools=tools)

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        answer = await gate.call(params.name, params.arguments or {}, caller(client_of(ctx)), progress_of(ctx))
        if params.name not in names:  # the specification's answer; the gate has refused and recorded it
            raise MCPError(types.INVALID_PARAMS, f"unknown tool: `{printable(params.name[:100])}`")
        return result_of(answer)

    server: Server[Any] = Server(
        "byleave",
        version=__version__,
        title="byleave",
        instructions=INSTRUCTIONS,
        cache_hints={"tools/list": CacheHint(ttl_ms=300_000, scope="private")},
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # INVARIANT: outermost, and nothing else is in the chain (the SDK's tracing copies exception texts into spans).
    server.middleware[:] = [nothing_leaks]
    return server


async def nothing_leaks(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Turns an exception that nobody foresaw into a bare protocol error.

    Without it the SDK answers a handshake client with `str(exception)`, which may hold a path, a row or a secret.
    """
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):  # the SDK answers these without their details
        raise
    except Exception:
        log.exception("answering %s", printable(ctx.method))
        raise MCPError(types.INTERNAL_ERROR, "internal error") from None


def client_of(ctx: Context) -> str:
    """How the client calls itself, `name/version`. A label for the log, never an identity."""
    params = ctx.session.client_params
    if params is None:
        return "unknown"
    info = params.client_info
    return printable(f"{info.name}/{info.version}"[:100])


def progress_of(ctx: Context) -> Progress:
    """The gate's lines of progress as MCP notifications, counted from 1. Without the client's token they go nowhere."""
    sent = 0

    async def tell(line: str) -> None:
        nonlocal sent
        sent += 1
        await ctx.session.report_progress(sent, None, plain(line))

    return tell


def result_of(answer: Answer) -> types.CallToolResult:
    """The gate's answer on the wire.

    Structured content goes out only with a table and never with an error: two of four clients then drop the text, and
    another shows the model both.
    """
    structured = None if answer.is_error or answer.data is None else plain_json(answer.data)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=plain(answer.text))],
        structured_content=structured,
        is_error=answer.is_error,
        _meta={
            RECEIPT: answer.receipt,
            EFFECTS: [effect.as_json() for effect in answer.effects[:EFFECTS_SHOWN]],
            LOG: answer.log,
        },
    )
