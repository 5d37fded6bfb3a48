"""Findings about the machine: its kernel, its engines, its clock, and who runs the gate on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from byleave.checking import ripgrep
from byleave.doctor.finding import Finding, Gravity, Kind
from byleave.effects import printable
from byleave.hands.files.ability import abilities
from byleave.store.engine import can_lose_a_wal, versions

#: Unix seconds of 2026-01-01: an earlier clock is wrong, this code is younger.
_NOT_BEFORE = 1_767_225_600


def engines() -> Iterator[Finding]:
    for role, version in versions().items():
        if can_lose_a_wal(version):
            yield Finding(
                Kind.SQLITE_WAL,
                Gravity.NOTE,
                f"SQLite {version} for the {role} has the WAL-reset bug, which two writing connections can meet",
                "the gate has one connection to its log; do not write to a database that it guards from elsewhere at "
                "the same time, or use a Python with SQLite 3.51.3 or newer",
            )


def kernel(workspace: Path) -> Iterator[Finding]:
    try:
        able = abilities(str(workspace))
    except OSError:
        return  # no workspace: that is a finding of its own
    if not able.openat2:
        yield Finding(
            Kind.NO_OPENAT2,
            Gravity.NOTE,
            "there is no openat2 here: paths are walked part by part, as strictly, a little slower",
            "Linux 5.6 or newer has it; a container's seccomp profile may hide it",
        )
    if not able.nameless:
        yield Finding(
            Kind.NO_NAMELESS,
            Gravity.NOTE,
            "the file system of the workspace has no O_TMPFILE: new content waits in a private folder instead",
            "ext4, XFS, Btrfs and tmpfs have it",
        )
    if not able.exchange:
        yield Finding(
            Kind.NO_EXCHANGE,
            Gravity.WARNING,
            "the kernel cannot swap two names in one step: a file that is replaced is missing for a moment",
            "Linux 3.15 or newer can",
        )


def search(workspace: Path, environ: dict[str, str]) -> Iterator[Finding]:
    if ripgrep(workspace, environ) is None:
        yield Finding(
            Kind.NO_RIPGREP,
            Gravity.NOTE,
            "ripgrep is not found: `files_search` looks through the files itself, several times slower",
            "install ripgrep, or `pip install 'byleave[search]'`",
        )


def clock(now: float, last_record: float | None) -> Iterator[Finding]:
    if now < _NOT_BEFORE:
        yield Finding(
            Kind.CLOCK, Gravity.WARNING, "the clock says a time long past", "set it: expiry and rates go by it"
        )
    elif last_record is not None and last_record > now + 60:
        ahead = int(last_record - now)
        yield Finding(
            Kind.CLOCK,
            Gravity.WARNING,
            f"the newest record of the log is {ahead:,} seconds in the future: the clock was set back",
            "set the clock; rates and expiry wait until it has caught up",
        )


def runner(workspace: Path, uid: int) -> Iterator[Finding]:
    if uid == 0:
        yield Finding(
            Kind.ROOT,
            Gravity.WARNING,
            "this runs as root: what gets past the gate can do anything",
            "let the client, and so the gate, run as an ordinary user",
        )
    own = {Path(sys.prefix).resolve(), Path(__file__).resolve().parents[1]}
    inside = next((path for path in own if path.is_relative_to(workspace)), None)
    if inside is not None:
        yield Finding(
            Kind.GATE_IN_WORKSPACE,
            Gravity.SERIOUS,
            f"the gate's own code lies in the workspace, in `{printable(str(inside))}`: the agent can change it",
            "install it outside: `uv tool install byleave` or `pipx install byleave`",
        )
