"""`byleave pending`, `approve` and `refuse`: what waits for a person, and the person's answer.

Answering needs the approver's secret from the state directory, which no tool of the gate reaches.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import click

from byleave.approvals.requests import answer
from byleave.cli import options
from byleave.cli.confirming import confirmed
from byleave.cli.ending import Code, ended
from byleave.cli.saying import in_words
from byleave.effects import printable
from byleave.store.entry import Request, RequestState
from byleave.store.opening import default_state_dir, open_store, read_approver_key
from byleave.store.reading import Reader
from byleave.user import user


@click.command()
@options.state_dir
@options.as_json
def pending(state_dir: Path | None, as_json: bool) -> None:
    """List what waits for a person.

    The oldest first: id, tool, what it would do, how long it can still be answered.

    \b
    Examples:
      byleave pending
      byleave pending --json
    """
    now = time.time()
    with in_words(), Reader(state_dir or default_state_dir(os.environ)) as reader:
        requests = reader.requests(now)
    if as_json:
        click.echo(json.dumps([_plain(request) for request in requests]))
        return
    if not requests:
        click.echo("nothing waits for a person")
    for request in requests:
        effects = _texts(request.body.get("effects"))
        more = f" and {len(effects) - 1} more" if len(effects) > 1 else ""
        what = f"{effects[0]}{more}" if effects else "nothing that it can name"
        click.echo(f"{request.id}  {_text(request, 'tool'):<13}  {what}  ({_left(request, now)})")
    if requests:
        click.echo("\nto answer: byleave approve ID, or byleave refuse ID")


@click.command()
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask again. Needed where there is no terminal.")
@options.state_dir
@options.as_json
def approve(id: str, yes: bool, state_dir: Path | None, as_json: bool) -> None:  # noqa: A002  click names it after the argument
    """Give leave to what a request says, once.

    Shows the effects, the rule that asks and a preview, then asks. The leave is for exactly these effects, is spent by
    the act, and expires. A call that still waits goes on; otherwise the same call, made again, picks it up.

    \b
    Examples:
      byleave approve a-7k2m9x
      byleave approve a-7k2m9x --yes
    """
    _answer(id, state_dir, approving=True, yes=yes, as_json=as_json)


@click.command()
@click.argument("id")
@options.state_dir
@options.as_json
def refuse(id: str, state_dir: Path | None, as_json: bool) -> None:  # noqa: A002  click names it after the argument
    """Refuse what a request asks.

    The agent is told that a person said no, and not to try it another way. Nothing that waited for it happens.

    \b
    Example:
      byleave refuse a-7k2m9x
    """
    _answer(id, state_dir, approving=False, yes=True, as_json=as_json)


def _answer(number: str, state_dir: Path | None, *, approving: bool, yes: bool, as_json: bool) -> None:
    place = state_dir or default_state_dir(os.environ)
    with in_words(), Reader(place) as reader:
        request = next((r for r in reader.requests(time.time(), pending_only=False) if r.id == number), None)
    if request is None:
        raise ended(f"there is no request `{printable(number)}`", "`byleave pending` lists what waits")
    if request.state is not RequestState.PENDING:
        raise ended(f"request `{request.id}` is {request.state} already", "`byleave pending` lists what waits")
    if not as_json:
        show(request)
    if not confirmed("let this happen, once?", yes=yes, instead=f"byleave approve {request.id} --yes"):
        click.echo(f"request {request.id} still waits. To refuse it: byleave refuse {request.id}")
        sys.exit(Code.NO)
    with in_words():
        answered = anyio.run(partial(_record, place, request.id, approve=approving))
    if as_json:
        click.echo(json.dumps(_plain(answered)))
    elif approving:
        click.echo(
            f"approved {answered.id}, {_left(answered, time.time())}: the same call, made again, picks it up too"
        )
    else:
        click.echo(f"refused {answered.id}")


async def _record(place: Path, request: str, *, approve: bool) -> Request:
    session = f"cli-{secrets.token_hex(4)}"
    async with open_store(place, workspace=None, session=session) as store:
        return await answer(store, request, approve=approve, by=user(), proof=read_approver_key(place))


def show(request: Request) -> None:
    """The request as a person has to see it before answering: who, what, why, and a look at it."""
    click.echo(f"{_text(request, 'tool')} in {_text(request, 'workspace')}")
    click.echo(
        f"asked by {_text(request, 'principal')} through {_text(request, 'client')}; {_left(request, time.time())}"
    )
    for effect in _texts(request.body.get("effects")):
        click.echo(f"  would {effect}")
    for rule in cast("Sequence[Mapping[str, object]]", request.body.get("rules", ())):
        click.echo(f"  rule {printable(str(rule.get('id')))}: {printable(str(rule.get('because')))}")
    preview = str(request.body.get("preview") or "")
    if preview:
        click.echo("\n" + "\n".join(f"  | {printable(line)}" for line in preview.splitlines()))


def _plain(request: Request) -> dict[str, object]:
    return {
        "id": request.id,
        "state": request.state.value,
        "created": request.created,
        "expires": request.expires,
        "answered_by": request.answered_by,
        **request.body,
    }


def _text(request: Request, key: str) -> str:
    return printable(str(request.body.get(key, "?")))


def _texts(value: object) -> list[str]:
    return [printable(str(item)) for item in cast("Sequence[object]", value or ())]


def _left(request: Request, now: float) -> str:
    left = max(0, int(request.expires - now))
    return f"good for {left // 60} min {left % 60} s" if left >= 60 else f"good for {left} s"
