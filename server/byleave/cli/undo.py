"""`byleave undo`: a person takes back a call. It goes the way of every call, through the gate, and is recorded."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import click

from byleave.answers import Answer, call_of, receipt_id
from byleave.approvals.requests import answer
from byleave.audit.recorded import Recorded
from byleave.checking import CannotOpen
from byleave.cli import options
from byleave.cli.confirming import confirmed
from byleave.cli.ending import Code, ended
from byleave.cli.saying import in_words
from byleave.effects import printable
from byleave.ledger import Caller
from byleave.opening import open_gate
from byleave.store.opening import default_state_dir, open_store, read_approver_key
from byleave.store.reading import Reader
from byleave.user import user
from byleave.wire.stderr import log_to_stderr


@dataclass(frozen=True, slots=True)
class Done:
    """A call that counts, as the log tells it."""

    call: str
    workspace: str
    tool: str
    effects: tuple[str, ...]


@click.command()
@click.argument("receipt", required=False)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The project's folder, if no receipt is named; the current one if not given.",
)
@options.policy
@click.option("--yes", is_flag=True, help="Do not ask again. Needed where there is no terminal.")
@options.state_dir
@options.as_json
def undo(
    *,
    receipt: str | None,
    workspace: Path | None,
    policy: str | None,
    yes: bool,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Take back one call, or the last one.

    RECEIPT is what the call's answer ended with (r-...); `byleave log show` has them too. Files come back to the byte,
    rows of a database as they were. Where something has changed since, nothing is overwritten: the answer says what
    moved on. An undo is judged and recorded like any call, and can be undone; where the policy asks, to confirm it here
    is the leave. For rows, give the --policy that the gate
    ran with: it names the database.

    \b
    Examples:
      byleave undo
      byleave undo r-k2v7w3n5qa --policy shop.toml
    """
    place = state_dir or default_state_dir(os.environ)
    with in_words(), Reader(place) as reader:
        done = _named(reader, call_of(receipt)) if receipt else _last(reader, str((workspace or Path()).resolve()))
    if not as_json:
        click.echo(f"{receipt_id(done.call)}: {done.tool} in {printable(done.workspace)}")
        for effect in done.effects:
            click.echo(f"  did {effect}")
    if not confirmed("take this back?", yes=yes, instead=f"byleave undo {receipt_id(done.call)} --yes"):
        sys.exit(Code.NO)
    log_to_stderr()
    try:
        said = anyio.run(partial(_undo, done, policy, place))
    except CannotOpen as no:
        raise ended(no.message, no.hint, int(no.code)) from no
    click.echo(json.dumps({"undone": not said.is_error, "text": said.text}) if as_json else said.text)
    sys.exit(Code.NO if said.is_error else Code.FINE)


async def _undo(done: Done, policy: str | None, place: Path) -> Answer:
    caller = Caller(principal=f"user:{user()}", session="", client="byleave undo")

    async def give_leave(line: str) -> None:
        """Where the policy asks, the person who confirmed this very undo here is the one to be asked."""
        del line
        async with open_store(place, workspace=None, session=f"cli-{secrets.token_hex(4)}") as store:
            for request in await store.requests():
                if request.body.get("principal") == caller.principal and request.body.get("arguments") == asked:
                    await answer(store, request.id, approve=True, by=user(), proof=read_approver_key(place))

    asked: dict[str, object] = {"receipt": receipt_id(done.call)}
    async with open_gate(workspace=Path(done.workspace), policy=policy, state_dir=place, headless=False) as gate:
        return await gate.call("gate_undo", asked, caller, give_leave)


def _named(reader: Reader, call: str) -> Done:
    for record in _records(reader):
        if record.call == call and record.kind == "intent":
            return _done(record)
    raise ended(f"no call `{printable(receipt_id(call))}` that changed anything is in the log", "`byleave log show`")


def _last(reader: Reader, workspace: str) -> Done:
    """The newest call in `workspace` that kept a snapshot and was not taken back, whichever session made it."""
    kept = set[str]()
    taken_back = set[str]()
    for record in _records(reader):
        if record.kind == "outcome" and record.body.restores:
            taken_back.add(record.body.restores)
        elif record.kind == "outcome" and record.body.snapshot and record.call not in taken_back:
            kept.add(record.call)
        elif record.kind == "intent" and record.call in kept and record.body.workspace == workspace:
            return _done(record)
    raise ended(f"nothing in `{printable(workspace)}` can be taken back", "name a receipt: `byleave log show` has them")


def _records(reader: Reader) -> Iterator[Recorded]:
    return (Recorded.read(seq, stored) for seq, stored in reader.newest())


def _done(record: Recorded) -> Done:
    body = record.body
    return Done(record.call, body.workspace, printable(body.tool), tuple(printable(str(e)) for e in body.effects[:20]))
