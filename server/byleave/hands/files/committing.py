"""Letting file changes count: each step knows its way back until all of them stand.

For each change, in order (renameat2(2), linkat(2)):
1. the folder is opened again by its canonical path, and must be the one that the survey opened;
2. what lies there must be what was held (bytes and rights; times do not count), else conflict and nothing done;
3. missing folders are made; what is new gets a temporary name beside the target (where nothing lies, its own at once);
4. the two are exchanged in one step, so that what was displaced lies under the temporary name, and is compared again:
   a writer who raced loses nothing, the exchange is taken back;
5. when every change stands, the folders are synced;
6. what was displaced is taken away. From here on nothing is taken back.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from byleave.capability import Refused, Sort, Word
from byleave.effects import printable
from byleave.hands.files import system
from byleave.hands.files.building import Draft, build, place, raze, rmdir_if_empty, sync_folder, unlink_ours, unmake
from byleave.hands.files.ground import Ground
from byleave.hands.files.manifest import Change, joined
from byleave.hands.files.nodes import Nodes, alike, look_at
from byleave.hands.files.resolve import Descriptor, Landing, refusal

GONE = ".gone"  # marks a displaced tree that was compared and is being taken away: a part of it may be missing already


@dataclass(frozen=True, slots=True)
class Work:
    """A change with the places it was surveyed at. `origin` is where a moved thing comes from."""

    change: Change
    landing: Landing
    draft: Draft | None = None
    origin: Landing | None = None


class HalfDone(Exception):  # noqa: N818  (a state, not an error of ours: `settle` looks at the world again)
    """A commit failed and could not be put back whole. The manifest and the temporary names tell what there is."""


class _Conflict(Exception):  # noqa: N818
    """Someone else changed `path`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Commit:
    """One commit under the workspace's lock."""

    def __init__(self, ground: Ground, works: list[Work]) -> None:
        self._ground = ground
        self._works = works
        self._backs: list[Callable[[], object]] = []
        self._touched: list[Descriptor] = []
        self._displaced: list[tuple[Descriptor, str, bool]] = []

    def run(self) -> None:
        at = self._works[0].change.path
        try:
            for work in self._works:
                self._check(work)
            for work in self._works:
                at = work.change.path
                self._install(work)
            self._sync()
        except _Conflict as conflict:
            self._put_back(conflict.path)
            raise Refused(
                Word.CONFLICT,
                f"`{printable(conflict.path)}` changed meanwhile",
                "nothing was done; read it again and repeat the change on what is there now",
            ) from None
        except OSError as error:
            self._put_back(at)
            if error.errno in (errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENOTEMPTY):
                raise Refused(
                    Word.CONFLICT, f"`{printable(at)}` changed meanwhile", "nothing was done; read it again"
                ) from None
            if error.errno == errno.EXDEV:
                raise Refused(
                    Word.FAILED, f"`{printable(at)}` lies on another file system", "write it there and remove it here"
                ) from None
            raise refusal(error, at) from None
        except BaseException:  # an image that is gone, a defect: whatever it is, nothing of the call may stay
            self._put_back(at)
            raise
        self._finish()

    # -- looking ----------------------------------------------------------------------------------------------

    def _check(self, work: Work) -> None:
        change = work.change
        self._ground.step("check")
        self._is_there(work.landing, change.path)
        if not work.landing.missing:
            self._is_before(work.landing, change)
        if change.source is not None and work.origin is not None:
            self._is_there(work.origin, change.source)
            self._is_thing(work.origin.folder, work.origin.name, change)

    def _is_there(self, landing: Landing, path: str) -> None:
        """INVARIANT: the folder acted on lies at its canonical path beneath the root, as it did for the survey."""
        try:
            now = self._ground.resolver.open_below(self._ground.resolver.root.fd, landing.parts)
        except OSError:
            raise _Conflict(path) from None
        if landing.folder is None or not os.path.samestat(os.fstat(now.fd), os.fstat(landing.folder.fd)):
            raise _Conflict(path)

    def _is_like(self, folder: Descriptor | None, name: str, wanted: Nodes | None, path: str) -> None:
        if folder is None or not alike(self._look(folder.fd, name), wanted):
            raise _Conflict(path)

    def _is_before(self, landing: Landing, change: Change) -> None:
        """A tree is only looked at from outside here: all of it is compared once nobody can write to it by name."""
        before = change.before
        if before is None or len(before) == 1 or landing.folder is None:
            self._is_like(landing.folder, landing.name, before, change.path)
        elif os.stat(landing.name, dir_fd=landing.folder.fd, follow_symlinks=False).st_ino != before[0].inode:
            raise _Conflict(change.path)

    def _is_thing(self, folder: Descriptor | None, name: str, change: Change) -> None:
        """A moved thing: a file by its bytes, a folder by being that folder; what is in it goes along as it is."""
        thing = change.after
        if folder is None or thing is None:
            raise _Conflict(change.path)
        if thing[0].sort is not Sort.FOLDER:
            self._is_like(folder, name, thing, change.source or change.path)
            return
        seen = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        if seen.st_ino != thing[0].inode:
            raise _Conflict(change.source or change.path)

    def _carries_nothing_hidden(self, folder: Descriptor, name: str, change: Change) -> None:
        """What came into a moved folder after it was judged goes along, but for what no tool may move: it would lie
        under a name that hides it no more. A parked move waits for hours."""
        thing = change.after or ()
        if not thing or thing[0].sort is not Sort.FOLDER:
            return
        known = {node.rel for node in thing}
        for node in look_at(self._ground.resolver, folder.fd, name, digests=False) or ():
            names = [joined(place, node.rel) for place in (change.path, change.source or change.path)]
            if node.rel not in known and (node.names > 1 or any(map(self._ground.locator.hides, names))):
                raise _Conflict(change.source or change.path)

    def _look(self, folder: int, name: str) -> Nodes | None:
        try:
            return look_at(self._ground.resolver, folder, name)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ELOOP, errno.ENOTDIR, errno.ENOENT):
                return ()  # like nothing that could have been held
            raise

    # -- acting -----------------------------------------------------------------------------------------------

    def _install(self, work: Work) -> None:
        folder = self._folders(work)
        change, name = work.change, work.landing.name
        if change.source is not None:
            self._move(work, folder)
        elif change.after is None:
            self._ground.step("displace")
            system.rename_new(folder.fd, name, folder.fd, change.temp)
            self._back(lambda: system.rename_new(folder.fd, change.temp, folder.fd, name))
            self._verify(folder, change.temp, change.before, change.path)
        elif change.before is None and work.draft is not None and work.draft.linkable:
            self._ground.step("link")
            place(work.draft, folder.fd, name, change.after[0])
            linked = os.fstat(work.draft.held.fd)
            self._back(lambda: unlink_ours(folder, name, linked))
        else:
            self._make(work.draft, folder, change.temp, change.after)
            if change.before is None:
                self._ground.step("rename")
                system.rename_new(folder.fd, change.temp, folder.fd, name)
                self._back(lambda: system.rename_new(folder.fd, name, folder.fd, change.temp))
            else:
                self._ground.step("exchange")
                system.exchange(folder.fd, change.temp, folder.fd, name)
                self._back(lambda: system.exchange(folder.fd, change.temp, folder.fd, name))
                self._verify(folder, change.temp, change.before, change.path)
        self._touched.append(folder)

    def _move(self, work: Work, folder: Descriptor) -> None:
        change, name, origin = work.change, work.landing.name, work.origin
        if origin is None or origin.folder is None:
            raise _Conflict(change.path)
        home, old = origin.folder, origin.name
        if change.refill is not None:
            self._make(None, home, change.temp, change.refill)
        self._ground.step("move")
        swap = system.rename_new if change.before is None else system.exchange
        swap(home.fd, old, folder.fd, name)
        self._back(lambda: swap(folder.fd, name, home.fd, old))
        self._is_thing(folder, name, change)
        self._carries_nothing_hidden(folder, name, change)
        match change.before, change.refill:
            case None, None:
                pass
            case None, _:
                self._ground.step("refill")
                system.rename_new(home.fd, change.temp, home.fd, old)
                self._back(lambda: system.rename_new(home.fd, old, home.fd, change.temp))
            case before, None:
                self._ground.step("displace")
                system.rename_new(home.fd, old, home.fd, change.temp)
                self._back(lambda: system.rename_new(home.fd, change.temp, home.fd, old))
                self._verify(home, change.temp, before, change.path)
            case before, _:
                self._ground.step("refill")
                system.exchange(home.fd, change.temp, home.fd, old)
                self._back(lambda: system.exchange(home.fd, change.temp, home.fd, old))
                self._verify(home, change.temp, before, change.path)
        self._touched.append(home)

    def _make(self, draft: Draft | None, folder: Descriptor, temp: str, nodes: Nodes) -> None:
        self._ground.step("make")
        self._back(lambda: raze(self._ground.resolver, folder.fd, temp))
        if draft is not None:
            place(draft, folder.fd, temp, nodes[0])
        else:
            build(self._ground.resolver, folder.fd, temp, nodes, self._ground.keeper.image)

    def _verify(self, folder: Descriptor, temp: str, before: Nodes | None, path: str) -> None:
        """What was displaced is what was held, to the byte: else someone wrote between the look and the exchange."""
        self._ground.step("verify")
        self._is_like(folder, temp, before, path)
        self._displaced.append((folder, temp, len(before or ()) > 1))

    def _folders(self, work: Work) -> Descriptor:
        """The folder to act in; those missing are made, and it is remembered which."""
        at = work.landing.folder
        if at is None:
            raise _Conflict(work.change.path)
        for name in work.landing.missing:
            self._ground.step("folder")
            try:
                os.mkdir(name, 0o777, dir_fd=at.fd)
            except FileExistsError:
                pass  # made by someone else meanwhile, or by this call: not ours to take away
            else:
                self._back(partial(rmdir_if_empty, at, name))
                self._touched.append(at)
            at = self._ground.resolver.open_below(at.fd, (name,))
        return at

    def _sync(self) -> None:
        self._ground.step("sync folders")
        done: set[tuple[int, int]] = set()
        for folder in self._touched:
            seen = os.fstat(folder.fd)
            if (seen.st_dev, seen.st_ino) not in done:
                done.add((seen.st_dev, seen.st_ino))
                sync_folder(folder)

    def _finish(self) -> None:
        """Nothing may fail from here on: what is left over is hidden from everyone, and recovery takes it away."""
        for folder, temp, is_tree in self._displaced:
            with suppress(OSError):
                self._ground.step("take away")
                if is_tree:
                    os.rename(temp, temp + GONE, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
                    self._ground.step("take away more")
                    raze(self._ground.resolver, folder.fd, temp + GONE)
                else:
                    raze(self._ground.resolver, folder.fd, temp)
        for work in self._works:
            with suppress(OSError):
                self._ground.step("unmake")
                unmake(self._ground.resolver, work.change.unmade)

    # -- back -------------------------------------------------------------------------------------------------

    def _back(self, step: Callable[[], object]) -> None:
        self._backs.append(step)

    def _put_back(self, path: str) -> None:
        for step in reversed(self._backs):
            try:
                self._ground.step("back")
                step()
            except FileNotFoundError:
                continue
            except OSError:
                raise HalfDone(
                    f"`{printable(path)}`: the change failed, and a part of it could not be put back"
                ) from None
