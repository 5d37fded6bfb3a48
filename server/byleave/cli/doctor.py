"""`byleave doctor`: what weakens the gate here."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from byleave.cli import options
from byleave.cli.ending import Code
from byleave.doctor import Gravity, examine
from byleave.store.opening import default_state_dir

_STYLES = {Gravity.SERIOUS: "bold red", Gravity.WARNING: "yellow", Gravity.NOTE: "dim"}


@click.command()
@options.workspace
@options.policy
@options.state_dir
@options.as_json
def doctor(workspace: Path, policy: str | None, state_dir: Path | None, as_json: bool) -> None:
    """Look for what weakens the gate here, and say what to do about it.

    Each finding has an id that never means anything else (docs/doctor.md). Nothing is changed.

    \b
    Examples:
      byleave doctor --workspace ~/shop
      byleave doctor --json
    \b
    Exit code: 1 when something is serious, else 0.
    """
    found = examine(
        workspace=workspace,
        policy=policy,
        state_dir=state_dir or default_state_dir(os.environ),
        home=Path.home(),
        environ=os.environ,
        now=time.time(),
        uid=os.geteuid(),
    )
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in found]))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for finding in found:
            console.print(Text(f"{finding.kind} {finding.gravity}: ", style=_STYLES[finding.gravity]) + finding.what)
            console.print(Text(f"    {finding.remedy}"))
        if not any(finding.gravity is not Gravity.NOTE for finding in found):
            console.print("nothing weakens the gate here")
    sys.exit(Code.NO if any(finding.gravity is Gravity.SERIOUS for finding in found) else Code.FINE)
