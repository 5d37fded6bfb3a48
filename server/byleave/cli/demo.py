"""`byleave demo`: the founding story, played twice."""

from __future__ import annotations

import sys

import click

from byleave.cli import options
from byleave.demo import run


@click.command()
@click.option("--keep", is_flag=True, help="Leave the scratch folder behind, and say where it is.")
@options.as_json
def demo(keep: bool, as_json: bool) -> None:
    """Play the founding story in a scratch folder, without the gate and with it.

    An agent is told to clean up a project on the host that also holds the production database and its backups. The same
    calls run twice; what was lost is counted on disk. Takes a few seconds and touches nothing else.

    Exit code: 0 when the gate kept everything, else 1.
    """
    sys.exit(run(keep=keep, as_json=as_json))
