"""Opening a gate: every part made and checked, in order, and closed again in reverse.

Nothing is served by halves: what cannot be opened safely is refused in words, with what to do about it.
"""

from __future__ import annotations

import os
import platform
import secrets
import sqlite3
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from byleave import __version__
from byleave.approvals.requests import Approvals, Manner
from byleave.audit import record
from byleave.audit.mask import Masker
from byleave.checking import CannotOpen, Checker, Exit, open_checker, sensible
from byleave.gate import Gate
from byleave.ledger import Ledger
from byleave.own import Own
from byleave.parking import Parking
from byleave.policy.load import Loaded
from byleave.rails.charge import Limits
from byleave.recovery import settle_all
from byleave.snapshots.keep import Snapshots
from byleave.store.entry import Entry, Kind, Store, StoreDown
from byleave.store.opening import default_state_dir, open_store

__all__ = ["CannotOpen", "Checker", "Exit", "open_checker", "open_gate"]


@asynccontextmanager
async def open_gate(
    *,
    workspace: Path,
    policy: str | None = None,
    state_dir: Path | None = None,
    headless: bool | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncGenerator[Gate]:
    """One gate over `workspace`, for one session, until the block ends. Raises `CannotOpen` in words.

    `headless`: nobody can be asked; None finds out (the policy says it, or `CI` in the environment). Calls that an
    earlier gate left in between are settled before the first call is taken.
    """
    root = sensible(workspace)
    place = state_dir or default_state_dir(environ)
    session = secrets.token_hex(8)
    try:
        async with open_store(place, workspace=root, session=session) as store:
            snapshots = Snapshots(place)
            with open_checker(
                workspace=root, policy=policy, state_dir=place, keeper=snapshots, environ=environ
            ) as checker:
                await _begin(store, snapshots, checker, str(root), session)
                try:
                    async with anyio.create_task_group() as group:
                        asked = (headless, checker.policy.policy.approvals.headless, nobody_there(environ))
                        alone = next(said for said in asked if said is not None)
                        yield _gate(store, snapshots, checker, str(root), session, headless=alone, group=group)
                        group.cancel_scope.cancel()
                finally:
                    with anyio.CancelScope(shield=True):
                        await _end(store, session)
    except StoreDown as down:
        raise CannotOpen(str(down), down.hint, Exit.STORE) from down


def _gate(
    store: Store,
    snapshots: Snapshots,
    checker: Checker,
    workspace: str,
    session: str,
    *,
    headless: bool,
    group: anyio.abc.TaskGroup,
) -> Gate:
    loaded, workbench = checker.policy, checker.workbench
    limits = _limits(loaded)
    own = Own(
        store,
        snapshots,
        workbench,
        session=session,
        workspace=workspace,
        limits=limits,
        policy=lambda: in_words(loaded),
    )
    ledger = Ledger(
        store,
        view=own,
        limits=limits,
        masker=Masker(),
        session=session,
        workspace=workspace,
        policy=loaded.digest,
        monotonic=time.monotonic,
    )
    asking = loaded.policy.approvals
    approvals = Approvals(store, Manner(asking.wait, asking.expire, headless), clock=time.time)
    parking = Parking(approvals, ledger, group)
    gate = Gate(
        policy=loaded,
        tools=tuple(checker.tools.values()),
        workbench=workbench,
        snapshots=snapshots,
        ledger=ledger,
        approvals=approvals,
        parking=parking,
    )
    parking.serve(gate.let_count)
    return gate


async def _begin(store: Store, snapshots: Snapshots, checker: Checker, workspace: str, session: str) -> None:
    """The session's first record, then what earlier ones left in between."""
    body = record.opened(
        session=session,
        workspace=workspace,
        policy=checker.policy.digest,
        version=__version__,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
    )
    await store.append(Entry(Kind.OPEN, "", body))
    await settle_all(store, snapshots, checker.workbench, workspace)


async def _end(store: Store, session: str) -> None:
    try:
        await store.append(Entry(Kind.CLOSE, "", record.closed(session=session, why="the session ended")))
    except StoreDown:
        return  # there is nothing left to do, and nobody left to tell: the next start finds it


def _limits(loaded: Loaded) -> Limits:
    limits = loaded.policy.limits
    return Limits(limits.rate, limits.session.calls, limits.session.rows_deleted, limits.session.files_deleted)


def nobody_there(environ: Mapping[str, str]) -> bool:
    """Whether this looks like a machine with nobody at it: every CI service sets `CI`."""
    return environ.get("CI", "").lower() not in ("", "0", "false")


def in_words(loaded: Loaded) -> tuple[str, ...]:
    """The policy in a few lines, for `gate_status`."""
    policy = loaded.policy
    databases = [
        f"database {name} ({d.environment}): rows of {', '.join(d.write)} may change, up to {d.max_rows:,} at once"
        if d.write
        else f"database {name} ({d.environment}): reading only"
        for name, d in policy.databases.items()
    ]
    return (f"policy: {loaded.origin}, digest {loaded.digest[:12]}", *loaded.notices, *databases)
