"""`byleave status`: what is in force here."""

from __future__ import annotations

import json
import os
import time
from itertools import islice
from pathlib import Path
from typing import Any

import click

from byleave.audit.recorded import Recorded
from byleave.cli import options
from byleave.cli.ending import Code, ended
from byleave.cli.saying import in_words
from byleave.effects import printable
from byleave.policy.load import PolicyError, load
from byleave.store.opening import default_state_dir
from byleave.store.place import Sessions
from byleave.store.reading import Reader

#: Records in which a running gate's start is looked for.
LOOKED_BACK = 50_000


@click.command()
@options.workspace
@options.policy
@options.state_dir
@options.as_json
def status(workspace: Path, policy: str | None, state_dir: Path | None, as_json: bool) -> None:
    """Say what is in force here: policy, log, requests, gates that run.

    What a session has left of its budgets is told by the tool gate_status within it.

    \b
    Examples:
      byleave status
      byleave status --workspace ~/shop --json
    """
    place = state_dir or default_state_dir(os.environ)
    try:
        loaded = load(policy, workspace=workspace, state_dir=place)
    except PolicyError as error:
        raise ended(str(error), error.hint, Code.POLICY) from error
    told: dict[str, object] = {
        "workspace": loaded.book.ground.workspace,
        "policy": {"origin": loaded.origin, "digest": loaded.digest, "notices": list(loaded.notices)},
        "databases": sorted(loaded.policy.databases),
        "state_dir": str(place),
        "log": None,
        "pending": 0,
        "gates": [],
    }
    if (place / "log.db").exists():
        with in_words(), Reader(place) as reader:
            told |= _told_by(reader, place)
    if as_json:
        click.echo(json.dumps(told))
    else:
        _tell(told)


def _told_by(reader: Reader, place: Path) -> dict[str, object]:
    last = reader.last()
    found = [(seq, body, head) for seq, body, _, head in reader.rows(max(0, last - 1))]
    return {
        "log": {"records": found[-1][0], "head": found[-1][2].hex(), "at": Recorded.read(last, found[-1][1]).at / 1e6}
        if found
        else None,
        "pending": len(reader.requests(time.time())),
        "gates": _gates(reader, place),
    }


def _gates(reader: Reader, place: Path) -> list[dict[str, object]]:
    """Gates that run now: a session that was opened, and whose process still holds its lock."""
    sessions = Sessions(place)
    alive = {lock.stem for lock in (place / "sessions").glob("*.lock") if sessions.is_alive(lock.stem)}
    gates: list[dict[str, object]] = []
    for seq, stored in islice(reader.newest(), LOOKED_BACK if alive else 0):
        record = Recorded.read(seq, stored)
        if record.kind == "open" and record.body.session in alive:
            alive.remove(record.body.session)
            since = record.at / 1e6
            gates.append({"session": record.body.session, "workspace": record.body.workspace, "since": since})
        if not alive:
            break
    return gates


def _tell(told: dict[str, Any]) -> None:
    policy, log = told["policy"], told["log"]
    click.echo(f"workspace   {printable(told['workspace'])}")
    click.echo(f"policy      {printable(policy['origin'])}, digest {policy['digest'][:12]}")
    for notice in policy["notices"]:
        click.echo(f"notice      {notice}")
    click.echo(f"databases   {', '.join(map(printable, told['databases'])) or 'none'}")
    click.echo(f"state       {printable(told['state_dir'])}")
    if log is None:
        click.echo("log         nothing recorded yet")
    else:
        at = (
            ""
            if log["at"] is None
            else f", the last at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(log['at']))}"
        )
        click.echo(f"log         {log['records']:,} records{at}, head {log['head'][:12]}")
    click.echo(f"pending     {told['pending'] or 'nothing waits for a person'}")
    for gate in told["gates"]:
        click.echo(f"gate        {printable(gate['workspace'])} since {_when(gate['since'])}")
    if not told["gates"]:
        click.echo("gate        none runs")


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
