"""`byleave check`: the gate's own judgement of a call, without the call."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

import click

from byleave.capability import Refused, Word
from byleave.checking import CannotOpen, Checker, open_checker
from byleave.cli import options
from byleave.cli.ending import Code, ended
from byleave.consider import refused_line

#: How a call is written: as a line of a batch, and as the arguments of one.
_LINE = 'write {"tool": "files_read", "arguments": {"path": "README.md"}}'
_ARGUMENTS = 'write --arguments \'{"path": "README.md"}\''


@click.command()
@click.argument("tool", required=False)
@click.option("--arguments", metavar="JSON", help="The call's arguments, as a client would send them.  [default: {}]")
@click.option(
    "--batch", type=click.File("rb"), metavar="FILE|-", help="Many calls, one a line; `-` reads them from a pipe."
)
@options.workspace
@options.policy
@options.state_dir
def check(
    *,
    tool: str | None,
    arguments: str | None,
    batch: BinaryIO | None,
    workspace: Path,
    policy: str | None,
    state_dir: Path | None,
) -> None:
    """Say what would happen to a call, and do nothing.

    The same steps that a call goes: look, plan, judge. Nothing is recorded and nothing is asked. Each decision is one
    line of JSON: verdict, the rules that spoke, the effects (`waits`: measured in a stage before it counts).

    With --batch, FILE has one call a line, {"tool": ..., "arguments": {...}}; there is one decision for each, in
    order. A line that is no call is denied like any other, and the rest goes on.

    \b
    Examples:
      byleave check files_remove --arguments '{"path": "app", "recursive": true}'
      byleave check sql_change --policy shop.toml --arguments '{"database": "shop", "sql": "DELETE FROM orders"}'
      byleave check --batch calls.jsonl --workspace . --policy ci > decisions.jsonl
    \b
    Exit code for one call: 0 allow or delay, 1 deny, 6 ask. With --batch: 0, the verdicts are in the lines.
    """
    if (tool is None) == (batch is None):
        raise click.UsageError("name one TOOL, or give --batch FILE")
    if batch is not None and arguments is not None:
        raise click.UsageError("--arguments goes with a TOOL; in a batch each line has its own")
    logging.getLogger("byleave").setLevel(logging.CRITICAL)  # a decision that failed is in its line, as a deny
    try:
        with open_checker(workspace=workspace, policy=policy, state_dir=state_dir) as checker:
            if batch is not None:
                _print_all(checker, batch, at_once=batch.isatty() or batch is sys.stdin.buffer)
            else:
                sys.exit(_print_one(checker, cast("str", tool), arguments or "{}"))
    except CannotOpen as no:
        raise ended(no.message, no.hint, int(no.code)) from no


def _print_one(checker: Checker, tool: str, arguments: str) -> int:
    try:
        given: object = json.loads(arguments)
    except (ValueError, RecursionError):
        decision = _no_call("`--arguments` is no JSON", _ARGUMENTS)
    else:
        decision = _decide(checker, tool, given, _ARGUMENTS)
    click.echo(json.dumps(decision))
    match decision["verdict"]:
        case "deny":
            return Code.NO
        case "ask":
            return Code.ASK
        case _:
            return Code.FINE


def _print_all(checker: Checker, lines: Iterable[bytes], *, at_once: bool) -> None:
    """One line out for each line in. `at_once` for whoever writes a call and reads its decision before the next."""
    write, flush = sys.stdout.write, sys.stdout.flush
    for line in lines:
        write(json.dumps(_decide_line(checker, line)) + "\n")
        if at_once:
            flush()


def _decide_line(checker: Checker, line: bytes) -> dict[str, object]:
    """The decision over one line of a batch. What is no call is denied, with a rule that says so."""
    try:
        call: object = json.loads(line)
    except (ValueError, RecursionError):
        return _no_call("the line is no JSON")
    if not isinstance(call, dict):
        return _no_call("the line is no JSON object")
    fields = cast("dict[str, object]", call)
    return _decide(checker, fields.get("tool"), fields.get("arguments", {}))


def _decide(checker: Checker, tool: object, arguments: object, hint: str = _LINE) -> dict[str, object]:
    if not isinstance(tool, str):
        return _no_call("`tool` is no text, or is missing")
    if not isinstance(arguments, dict):
        return _no_call("`arguments` is no JSON object", hint)
    return checker.check(tool, cast("dict[str, object]", arguments))


def _no_call(reason: str, hint: str = _LINE) -> dict[str, object]:
    return refused_line(Refused(Word.INVALID_ARGUMENTS, reason, hint))
