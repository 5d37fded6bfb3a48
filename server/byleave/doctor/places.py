"""Findings about places: the state directory and its log, the policy, backups, secrets that others can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from byleave.checking import CannotOpen, sensible
from byleave.doctor.finding import Finding, Gravity, Kind
from byleave.effects import printable
from byleave.policy.floor import Ground
from byleave.policy.hiding import Hiding
from byleave.policy.load import Loaded, PolicyError, load
from byleave.store.entry import StoreDown
from byleave.store.place import UnsafePlace, claim_state_dir

#: Names looked at for secrets, the nearest folders first: enough for a project, over before anyone waits.
LOOKED_AT = 20_000

#: Where a reboot, or a cleaner, takes what lies there.
_VOLATILE = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108  looked for, not written to


def workspace(folder: Path) -> Iterator[Finding]:
    try:
        sensible(folder)
    except CannotOpen as no:
        yield Finding(Kind.WORKSPACE, Gravity.SERIOUS, no.message, no.hint)


def state(place: Path, folder: Path) -> Iterator[Finding]:
    if not place.exists() and not place.is_symlink():
        return  # made at the first start, as it has to be
    try:
        real = claim_state_dir(place, folder)
    except UnsafePlace as unsafe:
        yield Finding(Kind.STATE_UNSAFE, Gravity.SERIOUS, str(unsafe), unsafe.hint)
        return
    except StoreDown as down:
        yield Finding(Kind.STATE_UNSAFE, Gravity.SERIOUS, str(down), down.hint)
        return
    if stat.S_IMODE(real.stat().st_mode) & 0o077:
        yield Finding(
            Kind.STATE_UNSAFE,
            Gravity.WARNING,
            f"the state directory `{printable(str(real))}` can be read by others",
            f"run `chmod 700 {printable(str(real))}`",
        )
    if any(real.is_relative_to(volatile) for volatile in _VOLATILE):
        yield Finding(
            Kind.STATE_VOLATILE,
            Gravity.WARNING,
            f"the state directory `{printable(str(real))}` does not survive a reboot or a cleaner",
            "choose another one with BYLEAVE_STATE_DIR: log and snapshots lie there",
        )


def policy(source: str | None, folder: Path, place: Path) -> tuple[Loaded | None, list[Finding]]:
    """The policy in force, if there is one, and what is wrong with it."""
    try:
        loaded = load(source, workspace=folder, state_dir=place)
    except PolicyError as error:
        return None, [Finding(Kind.POLICY_BROKEN, Gravity.SERIOUS, str(error), error.hint)]
    notices = [
        Finding(Kind.POLICY_NOT_TRUSTED, Gravity.WARNING, notice, "`byleave trust`, after reading it")
        for notice in loaded.notices
    ]
    return loaded, notices


def backups(ground: Ground) -> Iterator[Finding]:
    """A backup on the disk of what it protects goes with that disk."""
    guarded = {path: device for path in (ground.workspace, *ground.databases) if (device := _device(path)) is not None}
    for place in ground.protected:
        device = _device(place)
        if device is None:
            yield Finding(
                Kind.BACKUP_MISSING,
                Gravity.WARNING,
                f"the protected backups `{printable(place)}` are not there",
                "correct `[backups] protect`, or mount them",
            )
        elif same := [path for path, other in guarded.items() if other == device]:
            yield Finding(
                Kind.BACKUP_SAME_DISK,
                Gravity.WARNING,
                f"the backups `{printable(place)}` are on the same disk as `{printable(same[0])}`",
                "keep a copy on another machine: whoever loses the disk loses both",
            )


def secrets(folder: Path, hidden: tuple[str, ...]) -> Iterator[Finding]:
    """Files that the policy hides from the agent, and that any other user of this machine can read."""
    hiding = Hiding(hidden)
    open_to_all: list[str] = []
    looked = 0
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", "node_modules", ".venv")]
        inside = os.path.relpath(at, folder)
        for name in files:
            looked += 1
            relative = name if inside == "." else f"{inside}/{name}"
            if hiding.hides(relative) and _others_read(os.path.join(at, name)):
                open_to_all.append(relative)
        if looked > LOOKED_AT:
            break
    if open_to_all:
        shown = ", ".join(f"`{printable(path)}`" for path in sorted(open_to_all)[:5])
        more = f" and {len(open_to_all) - 5} more" if len(open_to_all) > 5 else ""
        yield Finding(
            Kind.SECRET_OPEN,
            Gravity.WARNING,
            f"hidden from the agent, and readable by every user of this machine: {shown}{more}",
            "run `chmod 600` on them",
        )


def _others_read(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IROTH)


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None
