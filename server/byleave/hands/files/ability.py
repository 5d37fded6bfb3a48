"""What the kernel and one file system can do for the hands, for whoever has to tell a person about it.

Each has its other way where it is missing (`resolve.py`, `building.py`, `system.py`), as strict, and slower.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from byleave.hands.files import system

_MISSING = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EISDIR})
#: No name of a file: asking the kernel to swap two of these tells whether it knows how, and does nothing.
_NO_NAME = ".byleave-no-such-name"


@dataclass(frozen=True, slots=True)
class Abilities:
    """Whether a path is resolved in one call, a file written without a name, and two names swapped in one step."""

    openat2: bool
    nameless: bool
    exchange: bool


def abilities(folder: str) -> Abilities:
    """What works in `folder`, which has to be there. Changes nothing. Raises OSError where it cannot be opened."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return Abilities(_openat2(root), _nameless(folder), system.can_exchange(root, _NO_NAME))
    finally:
        os.close(root)


def _openat2(root: int) -> bool:
    try:
        os.close(system.openat2(root, ".", os.O_RDONLY | os.O_DIRECTORY, system.RESOLVE_BENEATH))
    except OSError as error:
        return error.errno not in _MISSING | {errno.EPERM}
    return True


def _nameless(folder: str) -> bool:
    flag: int | None = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return False
    try:
        os.close(os.open(folder, flag | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno not in _MISSING
    return True
