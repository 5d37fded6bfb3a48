"""The second run: the same calls through the real server, a child process over stdio, by the MCP SDK's own client."""

from __future__ import annotations

import site
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import get_default_environment, stdio_client
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent

from byleave.demo.story import UNWANTED, Step
from byleave.demo.world import Census, Host, census

#: How the command is started here: this very installation, whatever the PATH holds, and (`-P`) never a module that
#: lies in the working directory, where the agent writes.
COMMAND = (sys.executable, "-P", "-c", "from byleave.cli import main; main()")


class DidNotServe(Exception):  # noqa: N818 - what it says is the sentence that a person reads
    """The server ended before its time; the message is what it said on its way out."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer as the model gets it."""

    text: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What the run left: the answers, the world after it, the undo's answer, the world after that, and the log."""

    answers: tuple[Said, ...]
    after: Census
    undo: Said
    after_undo: Census
    verified: bool
    verify: str


async def play(host: Host, steps: tuple[Step, ...], errors: Path) -> Run:
    """Trust the shop's policy, start the server, make every call, undo the unwanted one, verify the log.

    The log is held against the head that the last answer named: the transcript is its witness. The server's own words
    (its stderr) go to the file `errors`.
    """
    env = {
        **get_default_environment(),
        "BYLEAVE_STATE_DIR": str(host.state),
        "HOME": str(host.home),
        "PYTHONUSERBASE": site.getuserbase(),  # found by HOME otherwise: an installation with `pip --user`
        "NO_COLOR": "1",
    }
    serve = ("serve", "--workspace", str(host.shop))
    server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *serve], env=env, cwd=host.home)
    await _command(host, env, "trust", str(host.policy))  # as the person who wrote it would
    with errors.open("w") as stderr:
        try:
            async with Client(stdio_client(server, errlog=stderr)) as client:
                answers = [await _call(client, step.tool, dict(step.arguments)) for step in steps]
                after = census(host)
                undo = await _call(client, "gate_undo", {"receipt": _receipt(answers[UNWANTED].text)})
        except (MCPError, ExceptionGroup) as error:
            raise DidNotServe((await anyio.Path(errors).read_text()).strip()) from error
    verify = await _command(host, env, "log", "verify", "--expect", _witness(undo.text))
    return Run(
        answers=tuple(answers),
        after=after,
        undo=undo,
        after_undo=census(host),
        verified=verify.returncode == 0,
        verify=verify.stdout.decode().strip() or verify.stderr.decode().strip(),
    )


async def _command(host: Host, env: dict[str, str], *words: str) -> CompletedProcess[bytes]:
    return await anyio.run_process([*COMMAND, *words], env=env, cwd=host.home, check=False)


async def _call(client: Client, tool: str, arguments: dict[str, object]) -> Said:
    answer = await client.call_tool(tool, arguments)
    text = "\n".join(part.text for part in answer.content if isinstance(part, TextContent))
    return Said(text, refused=bool(answer.is_error))


def _receipt(text: str) -> str:
    """The receipt in an answer's last line: `receipt r-8f3a... · log 1042:9c1e`."""
    return _last_words(text)[1]


def _witness(text: str) -> str:
    """The record's number and the head of the log with it, from the same line."""
    return _last_words(text)[-1]


def _last_words(text: str) -> list[str]:
    words = text.splitlines()[-1].split() if text else []
    return words if words[:1] == ["receipt"] else ["", "", ""]
