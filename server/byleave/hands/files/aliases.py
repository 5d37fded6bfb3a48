"""Other names of hidden and protected files: a hard link has no name that a policy could hide.

A file with more than one name is compared, by device and inode, with every file that the policy hides and every file
that the installation protects. The list of them is read once and used again: a link made later than the list moves
the inode's change time (which only the system sets), and the list is read anew.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from byleave.capability import WouldBlock
from byleave.hands.files.resolve import Resolver

MAX_ENTRIES = 200_000
MAX_SECONDS = 3.0
_SLACK_NS = 2_000_000_000  # clocks of file systems run behind by up to a tick, of network ones by more

Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Listed:
    started_ns: int
    inodes: frozenset[Inode]
    complete: bool


class Aliases:
    """Tells whether a file is another name of one that must not be shown or touched. Doubt is yes."""

    def __init__(
        self, resolver: Resolver, hides: Callable[[str], bool], protected: Callable[[], Iterable[str]]
    ) -> None:
        self._resolver = resolver
        self._hides = hides
        self._protected = protected
        self._lock = threading.Lock()
        self._listed: _Listed | None = None

    def has(self, seen: os.stat_result, *, warm: bool) -> bool:
        """Whether `seen` is such a file. `warm` raises `WouldBlock` where the list would have to be read."""
        if seen.st_nlink < 2 or not stat.S_ISREG(seen.st_mode):
            return False
        inode = (seen.st_dev, seen.st_ino)
        listed = self._listed
        if listed is None or seen.st_ctime_ns > listed.started_ns - _SLACK_NS:
            if warm:
                raise WouldBlock
            with self._lock:
                listed = self._listed = self._read()
        if inode in listed.inodes or not listed.complete:
            return True
        if warm and any(True for _ in self._protected()):
            raise WouldBlock
        return inode in set(_inodes(self._protected()))

    def _read(self) -> _Listed:
        started, until = time.time_ns(), time.monotonic() + MAX_SECONDS
        inodes: set[Inode] = set()
        waiting: list[tuple[str, ...]] = [()]
        count = 0
        while waiting:
            parts = waiting.pop()
            try:
                here = self._resolver.open_below(self._resolver.root.fd, parts, os.O_RDONLY | os.O_DIRECTORY)
                with os.scandir(here.fd) as entries:
                    for entry in entries:
                        count += 1
                        if count > MAX_ENTRIES or time.monotonic() > until:
                            return _Listed(started, frozenset(inodes), complete=False)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((*parts, entry.name))
                        elif self._hides("/".join((*parts, entry.name))):
                            held = entry.stat(follow_symlinks=False)
                            inodes.add((held.st_dev, held.st_ino))
            except (
                OSError
            ):  # gone meanwhile, or not ours to read: what is in it can be linked by nobody who cannot reach it
                continue
        return _Listed(started, frozenset(inodes), complete=True)


def _inodes(paths: Iterable[str]) -> Iterable[Inode]:
    for path in paths:
        try:
            seen = os.stat(path)
        except OSError:
            continue
        yield seen.st_dev, seen.st_ino
