"""Options that several commands take, each with one wording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., None])


def workspace(command: Command) -> Command:
    return click.option(
        "--workspace",
        type=click.Path(path_type=Path),
        default=".",
        metavar="DIR",
        help="The project's folder; the current one if not given.",
    )(command)


def policy(command: Command) -> Command:
    return click.option(
        "--policy",
        metavar="FILE|PRESET",
        help="A policy file, or read-only, develop, operate or ci. Not given: the workspace's byleave.toml where it is "
        "trusted, else develop.",
    )(command)


def state_dir(command: Command) -> Command:
    return click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="BYLEAVE_STATE_DIR",
        metavar="DIR",
        help="Where log, snapshots and trust lie, if not in the usual place.",
    )(command)


def as_json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print it as JSON, for a program.")(command)
