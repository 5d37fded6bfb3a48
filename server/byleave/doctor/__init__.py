"""A look at an installation: what weakens the gate here, with a remedy for each. Nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from byleave.audit.recorded import Recorded
from byleave.checking import CannotOpen, Exit, open_checker
from byleave.doctor import clients, machine, places
from byleave.doctor.finding import Finding, Gravity, Kind
from byleave.effects import printable
from byleave.store.entry import StoreDown
from byleave.store.place import owner_of
from byleave.store.reading import Reader

__all__ = ["Finding", "Gravity", "Kind", "examine"]


def examine(
    *,
    workspace: Path,
    policy: str | None,
    state_dir: Path,
    home: Path,
    environ: Mapping[str, str],
    now: float,
    uid: int,
) -> tuple[Finding, ...]:
    """Everything that was found, the serious first. `now` in Unix seconds."""
    root = workspace.resolve()
    found = [*places.workspace(workspace), *places.state(state_dir, root)]
    if found_no_folder := not root.is_dir():
        root = home
    loaded, wrong = places.policy(policy, root, state_dir)
    found += wrong
    if loaded is not None:
        found += places.backups(loaded.book.ground)
        if not found_no_folder:
            found += [
                *places.secrets(root, loaded.policy.workspace.hidden),
                *_databases(root, policy, state_dir, environ),
            ]
    last, log = _log(state_dir)
    found += [*log, *machine.engines(), *machine.kernel(root), *machine.search(root, dict(environ))]
    found += [*machine.clock(now, last), *machine.runner(root, uid), *clients.clients(root, home)]
    order = list(Gravity)
    return tuple(sorted(found, key=lambda finding: (order.index(finding.gravity), finding.kind)))


def _databases(root: Path, policy: str | None, state_dir: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        with open_checker(workspace=root, policy=policy, state_dir=state_dir, environ=environ) as checker:
            troubles = dict(checker.workbench.sql.troubles)
    except CannotOpen as no:
        if no.code is Exit.POLICY:  # it loads, and an example in it that is a call does not hold
            yield Finding(Kind.POLICY_BROKEN, Gravity.SERIOUS, no.message, no.hint)
        return  # the workspace has a finding of its own
    for name, trouble in troubles.items():
        yield Finding(
            Kind.DATABASE,
            Gravity.WARNING,
            f"the database `{printable(name)}` cannot be had: {trouble}",
            "correct its `url` in the policy, or where that takes its secret from",
        )


def _log(place: Path) -> tuple[float | None, list[Finding]]:
    """The time of the newest record, and what is wrong with the log or with who owns it."""
    if not (place / "log.db").exists():
        return None, []
    found: list[Finding] = []
    if (owner := owner_of(place)) is not None:
        what = f"process {owner} owns the log in `{printable(str(place))}`: others of your gates write through it"
        found.append(Finding(Kind.OWNER, Gravity.NOTE, what, "nothing; if a gate says that it does not answer, end it"))
    try:
        with Reader(place) as reader:
            newest = next((Recorded.read(seq, stored) for seq, stored in reader.newest()), None)
    except StoreDown as down:
        remedy = down.hint or "`byleave log verify` says more; keep a copy before anything else"
        return None, [*found, Finding(Kind.LOG_UNREADABLE, Gravity.SERIOUS, str(down), remedy)]
    if newest is not None and newest.kind == "damaged":
        what = "the newest record of the log is damaged"
        return None, [*found, Finding(Kind.LOG_UNREADABLE, Gravity.SERIOUS, what, "run `byleave log verify`")]
    return (None if newest is None else newest.at / 1e6), found
