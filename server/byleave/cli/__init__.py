"""`byleave`: the command line. One file per group of commands; each is imported only when it is called, so that help,
completion and a refused start take no half second of imports."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import click
from click.shell_completion import CompletionItem

from byleave import __version__


@dataclass(frozen=True, slots=True)
class Listed:
    """A command as the list shows it: its module below `byleave.cli`, and its summary, the first line of its help."""

    module: str
    summary: str


SECTIONS: Mapping[str, Mapping[str, Listed]] = {
    "For clients": {
        "serve": Listed("serve", "Stand between a client and a workspace, over standard input and output."),
    },
    "Policy": {
        "init": Listed("policy", "Write a commented byleave.toml for a project."),
        "trust": Listed("policy", "Let the policy FILE take effect, exactly as it now is."),
        "policy": Listed("policy", "Read a policy: what it says, as a table, as text, as a schema for editors."),
        "check": Listed("check", "Say what would happen to a call, and do nothing."),
    },
    "Leave": {
        "pending": Listed("leave", "List what waits for a person."),
        "approve": Listed("leave", "Give leave to what a request says, once."),
        "refuse": Listed("leave", "Refuse what a request asks."),
    },
    "Afterwards": {
        "status": Listed("status", "Say what is in force here: policy, log, requests, gates that run."),
        "log": Listed("log", "Read the audit log, and check that it is what was written."),
        "undo": Listed("undo", "Take back one call, or the last one."),
    },
    "Setting up": {
        "doctor": Listed("doctor", "Look for what weakens the gate here, and say what to do about it."),
        "demo": Listed("demo", "Play the founding story in a scratch folder, without the gate and with it."),
        "completion": Listed("completion", "Print the completion script of a shell."),
    },
}

COMMANDS: Mapping[str, Listed] = {name: listed for section in SECTIONS.values() for name, listed in section.items()}


class Lazy(click.Group):
    """A group that knows its commands by name and summary, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"byleave.cli.{COMMANDS[cmd_name].module}")
        return cast("click.Command", getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, 1)
            ctx.fail(f"there is no command `{name}`" + (f": did you mean `{close[0]}`?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        width = max(map(len, COMMANDS))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), listed.summary) for name, listed in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(n, help=c.summary) for n, c in COMMANDS.items() if n.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)


EPILOG = """\
\b
Begin with:
  byleave doctor                                      what is missing here
  byleave init && byleave trust                       a policy for this project
  byleave serve --workspace /path/to/project          what the client is to start
\b
Exit codes: 0 fine, 1 a no, 2 usage, 3 workspace, 4 policy, 5 state or log, 6 a person would be asked.
"""


@click.group(
    cls=Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="byleave", message="%(prog)s %(version)s")
def main() -> None:
    """By your leave: the gate between a coding agent and the files and databases that it would otherwise hold raw.

    Every call of the agent is judged by what it does, recorded before it acts, and undoable where that is possible.
    """
