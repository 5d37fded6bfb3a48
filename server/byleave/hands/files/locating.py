"""A path, turned into a place that is held open, with what its name does not show."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from byleave.capability import Located, Refused, Sort, Word, WouldBlock
from byleave.effects import Target, printable
from byleave.hands.files.aliases import Aliases
from byleave.hands.files.nodes import open_file, sort_of
from byleave.hands.files.resolve import Descriptor, Landing, Resolver, refusal

MAX_WARM_BYTES = 1 << 20  # more is copied by a worker thread: the loop answers others meanwhile
OURS = ".byleave-"  # how names begin that a commit uses for a moment; nobody else sees or touches them
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


@dataclass(frozen=True, slots=True)
class Handle:
    """What a `Located` holds open: the landing, made by this view's workspace."""

    landing: Landing


class Locator:
    """Turns paths into places: the resolver, what is hidden, and other names of it."""

    def __init__(
        self, resolver: Resolver, hides: Callable[[str], bool], protected: Callable[[], Iterable[str]]
    ) -> None:
        self.resolver = resolver
        self._hides = hides
        self._owners = frozenset({os.geteuid(), os.fstat(resolver.root.fd).st_uid})
        self.aliases = Aliases(resolver, self.hides, protected)

    def hides(self, path: str) -> bool:
        """Whether the policy hides a path relative to the workspace; our own names of a moment are hidden too."""
        return any(part.startswith(OURS) for part in path.split("/")) or self._hides(path)

    def target(self, path: str) -> Target:
        return Target.file(self.resolver.real if path == "." else f"{self.resolver.real.rstrip('/')}/{path}")

    def locate(self, path: str, *, follow: bool, warm: bool) -> Located:
        written = self.resolver.read(path)
        if (hidden := next((way for way in written.ways if self.hides(way)), None)) is not None:
            # Whether there is such a thing, and of which sort, must not show by how the way through it fails or does
            # not; so what is only passed through is not even looked at.
            return Located(path, self.target(hidden), Sort.ABSENT, traits=frozenset({"hidden"}))
        try:
            landing = self.resolver.resolve(written, follow=follow, warm=warm)
        except OSError as error:
            raise refusal(error, path) from None
        if landing.outside is not None:
            return Located(
                path=path,
                target=Target.file(os.path.normpath("/" + landing.outside.lstrip("/")))
                if landing.outside.startswith("/")
                else Target.file(os.path.normpath(f"{self.resolver.real}/{landing.outside}")),
                sort=Sort.ABSENT,
                traits=frozenset({"outside"}),
            )
        found = self.located(landing.path, landing.stat, handle=Handle(landing), warm=warm)
        if any(self.hides(other) for other in landing.passed):
            return replace(found, traits=found.traits | {"hidden"})
        return found

    def located(self, path: str, seen: os.stat_result | None, *, handle: Handle | None, warm: bool) -> Located:
        """A place by its canonical path, with what its name does not show."""
        if seen is None:
            return Located(path, self.target(path), Sort.ABSENT, traits=self.traits_by_name(path), handle=handle)
        sort, mode = sort_of(seen.st_mode), stat.S_IMODE(seen.st_mode)
        traits = self.traits(path, sort=sort, mode=mode, uid=seen.st_uid, names=seen.st_nlink)
        if self.aliases.has(seen, warm=warm):
            traits |= {"hidden-alias"}
        identity = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)
        return Located(path, self.target(path), sort, seen.st_size, mode, identity, traits, handle)

    def traits(self, path: str, *, sort: Sort, mode: int, uid: int, names: int) -> frozenset[str]:
        """All that can be told without looking for other names of it."""
        return self.traits_by_name(path).union(
            trait
            for trait, holds in (
                ("hard-link", names > 1 and sort is Sort.FILE),
                ("readonly", not mode & 0o222 and sort is not Sort.LINK),
                ("other-user", uid not in self._owners),
            )
            if holds
        )

    def traits_by_name(self, path: str) -> frozenset[str]:
        return frozenset({"hidden"}) if path != "." and self.hides(path) else frozenset()


def landing_of(at: Located) -> Landing:
    """The open place behind a `Located`. What lies outside, and what no view of ours located, has none."""
    if not isinstance(at.handle, Handle):
        raise Refused(Word.DENIED, f"`{printable(at.path)}` is not in the workspace", "nothing was opened")
    return at.handle.landing


def opened(at: Located) -> Descriptor:
    """The very file that was located, open for reading."""
    landing = landing_of(at)
    if at.sort is not Sort.FILE or landing.folder is None:
        raise Refused(Word.FAILED, f"`{printable(at.path)}` is not a regular file")
    try:
        return open_file(landing.folder.fd, landing.name, landing.node)
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise Refused(Word.CONFLICT, f"`{printable(at.path)}` was replaced meanwhile", "read it again") from None
        raise refusal(error, at.path) from None


def read_at(fd: int, offset: int, limit: int, *, warm: bool) -> bytes:
    """Up to `limit` bytes from `offset`; short only at the end. `warm` reads what is cached, or raises `WouldBlock`."""
    if warm and (limit > MAX_WARM_BYTES or not _NOWAIT):
        raise WouldBlock
    out = bytearray()
    while len(out) < limit:
        wanted = min(limit - len(out), 1 << 20)
        if warm:
            held = bytearray(wanted)
            try:
                got = os.preadv(fd, [held], offset + len(out), _NOWAIT)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise WouldBlock from None
                raise
            piece = bytes(held[:got])
        else:
            piece = os.pread(fd, wanted, offset + len(out))
        if not piece:
            break
        out += piece
    return bytes(out)
