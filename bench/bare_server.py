"""The yardstick: `files_read` and `files_write` written straight on the SDK's low-level server. No gate, no log.

    python bench/bare_server.py WORKSPACE

Does what a plain tool would do, honestly: paths beneath the folder, a line-numbered read, an atomic write (a temporary
file, renamed). It syncs nothing, as plain tools do.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from pydantic import BaseModel, ConfigDict


class Read(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str


class Write(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str
    text: str


TOOLS: dict[str, type[BaseModel]] = {"files_read": Read, "files_write": Write}
WORKSPACE = Path(sys.argv[1]).resolve()


def beneath(path: str) -> Path:
    found = (WORKSPACE / path).resolve()
    if not found.is_relative_to(WORKSPACE):
        raise ValueError(path)
    return found


def read(args: Read) -> str:
    lines = beneath(args.path).read_text().splitlines()
    return "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(lines, 1))


def write(args: Write) -> str:
    path = beneath(args.path)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(args.text)
    os.replace(name, path)
    return f"wrote {args.path}"


async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[types.Tool(name=name, input_schema=model.model_json_schema()) for name, model in TOOLS.items()]
    )


async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    args = TOOLS[params.name].model_validate(params.arguments or {})
    match args:
        case Read():
            text = read(args)
        case Write():
            text = write(args)
        case _:
            raise ValueError(params.name)
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


async def main() -> None:
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
