"""A gate that does what a test tells it: to look at the wire alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from mcp.server.lowlevel import Server

from byleave.answers import Answer
from byleave.capability import Tool
from byleave.gate import Gate
from byleave.ledger import Caller, Progress
from byleave.wire.server import server_for
from byleave_capabilities import TOOLS

Answering = Callable[[str, Mapping[str, object], Caller, Progress], Awaitable[Answer]]


class FakeGate:
    """Lists the real tools; what a call answers is given. Remembers every call it was asked for."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.asked: list[tuple[str, Mapping[str, object], Caller]] = []

    def tools(self) -> tuple[Tool[Any, Any, Any], ...]:
        return TOOLS

    async def call(self, tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress) -> Answer:
        self.asked.append((tool, arguments, caller))
        return await self._answering(tool, arguments, caller, progress)


def answer(text: str, **more: Any) -> Answer:
    return Answer(**{"text": text, "is_error": False, "receipt": "r-abc", "log": "7:9c1e", **more})


def always(given: Answer) -> FakeGate:
    async def answering(tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress) -> Answer:
        del tool, arguments, caller, progress
        return given

    return FakeGate(answering)


def server_before(gate: FakeGate) -> Server[Any]:
    return server_for(cast("Gate", gate), caller=lambda client: Caller("user:test", "s-test", client))
