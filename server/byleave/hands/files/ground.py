"""What one workspace's views and stages share."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from byleave.capability import Refused, Sort, Word
from byleave.hands.files.locating import Locator
from byleave.hands.files.manifest import Change, joined
from byleave.hands.files.nodes import Node
from byleave.hands.files.resolve import Resolver
from byleave.hands.stage import Keeper

_LOCK_SECONDS = 10.0
_LOCK_PAUSE = 0.005


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of before-images kept: of one file, of one call. Beyond that an effect's undo is `none`."""

    each_file: int = 100 << 20
    each_call: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Ground:
    """The workspace as its stages share it. `step` is called before each act of a commit: faults are put in there."""

    locator: Locator
    keeper: Keeper
    private: Path
    limits: Limits
    step: Callable[[str], None]

    @property
    def resolver(self) -> Resolver:
        return self.locator.resolver

    def new_id(self) -> str:
        return base64.b32encode(os.urandom(10)).decode().lower()

    def traits_at(self, path: str, node: Node) -> frozenset[str]:
        """What a name does not show of what lies there now. Looks again only for what has other names."""
        if node.names > 1 and node.sort is Sort.FILE:
            try:
                return self.locator.locate(path, follow=False, warm=False).traits
            except Refused:  # a name that cannot be asked for: doubt is hidden
                return frozenset({"hidden-alias"})
        return self.locator.traits(path, sort=node.sort, mode=node.mode, uid=node.uid, names=node.names)

    def traits_of(self, change: Change) -> dict[str, frozenset[str]]:
        """Of every path that a change touches: of those that are there by looking, of those that will be by name."""
        there = [(change.path, change.before), (change.source, change.after if change.source else None)]
        to_come = [(change.path, change.after), (change.source, change.refill)]
        out: dict[str, frozenset[str]] = {}
        for sides, is_there in ((there, True), (to_come, False)):
            for path, nodes in sides:
                for node in nodes or () if path is not None else ():
                    where = joined(path or "", node.rel)
                    traits = self.traits_at(where, node) if is_there else self.locator.traits_by_name(where)
                    out[where] = out.get(where, frozenset[str]()) | traits
        return out

    @contextmanager
    def lock(self) -> Generator[None]:
        """One commit to this workspace at a time, across processes (flock(2): gone with the process that held it)."""
        name = hashlib.sha256(os.fsencode(self.resolver.real)).hexdigest()[:32]
        folder = self.private / "locks"
        try:
            for made in (self.private, folder):  # each by itself: `parents=True` gives the upper one the umask's mode
                made.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            raise Refused(Word.FAILED, "the state directory cannot be written", "nothing was done") from None
        try:
            until = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise Refused(
                            Word.CONFLICT, "another call has been committing to this workspace for long", "try again"
                        ) from None
                    time.sleep(_LOCK_PAUSE)
            yield
        finally:
            os.close(fd)
