"""`byleave serve`: what a client starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import click

from byleave.cli import options
from byleave.cli.ending import Code, ended
from byleave.wire.descriptors import Wire, take_wire
from byleave.wire.stderr import log_to_stderr


@click.command()
@click.option("--workspace", metavar="DIR", help="The project's folder that the agent works in. Always needed.")
@options.policy
@options.state_dir
@click.option(
    "--headless/--attended",
    default=None,
    help="Nobody can be asked: refuse at once what would need leave. Not given: the policy says it, or `CI` is set.",
)
def serve(workspace: str | None, policy: str | None, state_dir: Path | None, headless: bool | None) -> None:
    """Stand between a client and a workspace, over standard input and output.

    A client (Cursor, Claude Desktop, Claude Code, Codex, ...) starts this and speaks MCP with it. It ends when the
    client closes its end, or on SIGINT, SIGTERM or SIGHUP; calls under way are settled first. Messages go to
    standard error.

    \b
    Examples:
      byleave serve --workspace /home/me/shop
      byleave serve --workspace . --policy read-only
      byleave serve --workspace "$GITHUB_WORKSPACE" --policy ci.toml --headless
    """
    if not workspace:
        raise ended("no workspace was named", _lines_to_add(policy), Code.WORKSPACE)
    if os.isatty(0):
        click.echo("byleave: waiting for MCP on standard input, as a client sends it. Ctrl-C ends this", err=True)
    try:
        wire = take_wire()
    except OSError:
        raise ended("standard input, output or error is closed", "let a client start this", Code.USAGE) from None
    log_to_stderr()
    _serve(wire, Path(workspace), policy, state_dir, headless)


def _serve(wire: Wire, workspace: Path, policy: str | None, state_dir: Path | None, headless: bool | None) -> None:
    import anyio  # noqa: PLC0415  half a second of imports, after the wire is safe and the arguments are right

    from byleave.opening import CannotOpen, open_gate  # noqa: PLC0415
    from byleave.wire.stdio import serve as serve_on  # noqa: PLC0415

    opening = open_gate(workspace=workspace, policy=policy, state_dir=state_dir, headless=headless)
    try:
        anyio.run(serve_on, opening, wire)
    except CannotOpen as no:
        hint = _lines_to_add(policy, str(workspace)) if int(no.code) == Code.WORKSPACE else no.hint
        raise ended(no.message, hint, int(no.code)) from no
    # INVARIANT: here every call is settled and every file closed. Taking the interpreter apart would be nine tenths of
    # the time that ending takes, and a client that restarts the gate waits for it.
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(Code.FINE)


def _lines_to_add(policy: str | None, given: str = "") -> str:
    """The entry for each client, with this very command: what a person has to paste, whole."""
    command = _this_command()
    end = ["--policy", policy] if policy else []

    def entry(workspace: str, **more: str) -> str:
        args = ["serve", "--workspace", workspace, *end]
        return json.dumps({"mcpServers": {"byleave": {**more, "command": command, "args": args}}}, ensure_ascii=False)

    unfilled = "the client did not fill in the variable: write the whole path instead.\n" if "${" in given else ""
    return f"""{unfilled}name the project's folder in the client's configuration:
  Cursor, .cursor/mcp.json in the project:
    {entry("${workspaceFolder}", type="stdio")}
  Claude Code, .mcp.json in the project:
    {entry("${CLAUDE_PROJECT_DIR:-.}", type="stdio")}
  Claude Desktop, claude_desktop_config.json:
    {entry("/path/to/project")}"""


def _this_command() -> str:
    """The command as a client finds it: by its whole path, since a client started from a desktop has another PATH."""
    beside = Path(sys.executable).with_name("byleave")
    return str(beside) if beside.exists() else shutil.which("byleave") or "byleave"
