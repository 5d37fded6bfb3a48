"""Where a path lands: beneath the workspace, race-free, or outside and then nothing is opened.

Two ways, one answer. A straight path (no link, no `..`) is one openat2(2) with RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS
and RESOLVE_NO_SYMLINKS: what the kernel opened so is at the very path that was asked. Everything else, and all of it
where the kernel has no openat2 (before Linux 5.6, macOS, a seccomp filter that refuses it), is walked a component at
a time from an open folder, never following a link but reading its text and resolving that beneath the root by hand.
A magic link of `/proc` has a text like any other there, and leads nowhere by itself.

INVARIANT: no descriptor of a `Landing` was opened by a name of more than one component that may be a link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from byleave.capability import Refused, Word, WouldBlock
from byleave.effects import printable
from byleave.hands.files import system

#: Opens a name without opening the thing: no device is woken, no pipe waited for. macOS has none.
O_PATH: int | None = getattr(os, "O_PATH", None)
_FOLDER = (os.O_RDONLY if O_PATH is None else O_PATH) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STRAIGHT = system.RESOLVE_BENEATH | system.RESOLVE_NO_MAGICLINKS | system.RESOLVE_NO_SYMLINKS

MAX_PATH = 4096  # bytes, as Linux's PATH_MAX
MAX_LINKS = 40  # as path_resolution(7)
MAX_STEPS = 20_000  # of one walk: `..` starts again from the root, so that no stack of folders is held open
_CHUNK = 2000  # bytes given to one openat2; deeper folders take several


class Descriptor:
    """An open file descriptor that closes with the last that holds it (a parked stage may hold it for hours)."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class Landing:
    """A place beneath the root, held open.

    `folder` is the deepest folder that exists, `parts` its canonical path from the root; `missing` are the folders
    between it and `name` that are not there. `node` is the thing itself (None when absent, or without O_PATH).
    `name` is empty for the root. `passed` are the links gone through. `outside` is where it lands instead, if it does.
    """

    folder: Descriptor | None
    parts: tuple[str, ...]
    name: str
    missing: tuple[str, ...] = ()
    node: Descriptor | None = None
    stat: os.stat_result | None = None
    passed: tuple[str, ...] = ()
    outside: str | None = None

    @property
    def path(self) -> str:
        return "/".join((*self.parts, *self.missing, *((self.name,) if self.name else ()))) or "."


@dataclass(frozen=True, slots=True)
class Written:
    """A path as it was written, taken apart: parts below the root, or None where it is plainly elsewhere."""

    parts: tuple[str, ...] | None
    folder_only: bool
    text: str

    @property
    def ways(self) -> tuple[str, ...]:
        """The path with `.` and `..` taken by the letter, as the writer seems to mean it, and before it every place
        from which a `..` turns back."""
        out, ways = list[str](), list[str]()
        for part in self.parts or ():
            if part == "..":
                ways.append("/".join(out) or ".")
                del out[-1:]
            else:
                out.append(part)
        return (*ways, "/".join(out) or ".")


class Resolver:
    """Resolves beneath one root. `kernel=False` takes the walk alone, as where there is no openat2."""

    def __init__(self, root: str, *, kernel: bool = True) -> None:
        self.real = os.path.realpath(root)
        self.root = Descriptor(os.open(self.real, _FOLDER))
        self.device = os.fstat(self.root.fd).st_dev
        self._names = tuple(dict.fromkeys(_split(p) for p in (self.real, os.path.abspath(root))))
        self._kernel = kernel and O_PATH is not None and system.LINUX

    def read(self, path: str) -> Written:
        """Take a path apart. Raises `Refused(INVALID_ARGUMENTS)` for what is no path."""
        try:
            size = len(path.encode())
        except UnicodeEncodeError:
            raise _no_path("the path is not valid Unicode") from None
        if not path:
            raise _no_path("the path is empty", "`.` is the workspace itself")
        if "\0" in path:
            raise _no_path("the path holds a NUL")
        if size > MAX_PATH:
            raise _no_path(f"the path is longer than {MAX_PATH:,} bytes")
        parts = self._beneath(path) if path.startswith("/") else _split(path)
        return Written(parts, path.endswith(("/", "/.")), path)

    def resolve(self, written: Written, *, follow: bool, warm: bool) -> Landing:
        """Where it lands. `warm` raises `WouldBlock` instead of asking a disk. OSErrors come as they are."""
        if written.parts is None:
            return Landing(None, (), "", outside=written.text)
        follow = follow or written.folder_only
        landing = self._straight(written.parts, follow=follow, warm=warm)
        if landing is None and warm:
            raise WouldBlock
        landing = landing or self._walk(written.parts, follow=follow)
        if written.folder_only and landing.stat is not None and not stat.S_ISDIR(landing.stat.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), written.text)
        return landing

    def open_below(self, top: int, parts: Sequence[str], flags: int = _FOLDER) -> Descriptor:
        """The folder `parts` below `top`, no link on the way (ELOOP or ENOTDIR), however deep. `flags` of the last."""
        if self._kernel:
            try:
                return self._open_chunks(top, parts, flags)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EAGAIN):
                    raise
        at = Descriptor(os.open(".", _FOLDER if parts else flags, dir_fd=top))
        for count, part in enumerate(parts, 1):
            at = Descriptor(os.open(part, (flags if count == len(parts) else _FOLDER) | os.O_NOFOLLOW, dir_fd=at.fd))
        return at

    # -- the kernel's way -------------------------------------------------------------------------------------

    def _straight(self, parts: tuple[str, ...], *, follow: bool, warm: bool) -> Landing | None:
        """The landing of a path without links; None where the walk must look (or, warm, the disk)."""
        if not self._kernel or O_PATH is None or ".." in parts:
            return None
        cached = system.RESOLVE_CACHED if warm else 0
        if not parts:
            return Landing(self.root, (), "", node=self.root, stat=os.fstat(self.root.fd))
        *above, name = parts
        try:
            folder = self.root
            if above:
                folder = Descriptor(system.openat2(self.root.fd, "/".join(above), _FOLDER, _STRAIGHT | cached))
            flags = O_PATH | os.O_NOFOLLOW
            node = Descriptor(system.openat2(folder.fd, name, flags, system.RESOLVE_BENEATH | cached))
        except OSError as error:
            if error.errno == errno.ENOSYS:
                self._kernel = False
            return None
        seen = os.fstat(node.fd)
        if (follow and stat.S_ISLNK(seen.st_mode)) or self._is_window(node, seen):
            return None
        return Landing(folder, tuple(above), name, node=node, stat=seen)

    def _open_chunks(self, top: int, parts: Sequence[str], flags: int) -> Descriptor:
        rest = os.fsencode("/".join(parts)) or b"."
        held: list[Descriptor] = []  # each is held until the next is open
        while len(rest) > _CHUNK and (cut := rest.rfind(b"/", 0, _CHUNK)) > 0:
            held = [Descriptor(system.openat2(held[0].fd if held else top, rest[:cut], _FOLDER, _STRAIGHT))]
            rest = rest[cut + 1 :]
        return Descriptor(system.openat2(held[0].fd if held else top, rest, flags, _STRAIGHT))

    # -- the walk ---------------------------------------------------------------------------------------------

    def _walk(self, parts: tuple[str, ...], *, follow: bool) -> Landing:  # noqa: PLR0912  (one arm for each kind of part)
        todo, done = deque(parts), list[str]()
        at, passed = self.root, list[str]()
        for _ in range(MAX_STEPS):
            if not todo:
                return self._ended(at, done, passed)
            part = todo.popleft()
            if part == "..":
                if not done:
                    return Landing(None, (), "", outside=f"{self.real}/{'/'.join((part, *todo))}", passed=tuple(passed))
                todo.extendleft(reversed(done[:-1]))
                at, done = self.root, []
                continue
            node, seen = _look(at.fd, part)
            if seen is None:
                if ".." in todo:  # POSIX: a missing folder has no parent to go back to
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), part)
                rest = (part, *todo)
                return Landing(at, tuple(done), rest[-1], missing=rest[:-1], passed=tuple(passed))
            if self._is_window(node, seen):
                return Landing(None, (), "", outside="/".join((self.real, *done, part)), passed=tuple(passed))
            if stat.S_ISLNK(seen.st_mode) and (todo or follow):
                passed.append("/".join((*done, part)))
                if len(passed) > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)
                text = os.readlink(part, dir_fd=at.fd) if node is None else os.readlink("", dir_fd=node.fd)
                onward = self._beneath(text) if text.startswith("/") else _split(text)
                if onward is None:
                    return Landing(None, (), "", outside=text, passed=tuple(passed))
                if text.startswith("/"):
                    at, done = self.root, []
                todo.extendleft(reversed(onward))
            elif not todo:
                return Landing(at, tuple(done), part, node=node, stat=seen, passed=tuple(passed))
            elif stat.S_ISDIR(seen.st_mode):
                at = node or Descriptor(os.open(part, _FOLDER, dir_fd=at.fd))
                done.append(part)
            else:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), part)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), "/".join(parts))

    def _ended(self, at: Descriptor, done: list[str], passed: list[str]) -> Landing:
        """The walk ran out of parts on a folder: name it in its parent."""
        if not done:
            return Landing(self.root, (), "", node=self.root, stat=os.fstat(self.root.fd), passed=tuple(passed))
        parent = self.open_below(self.root.fd, done[:-1])
        node, seen = _look(parent.fd, done[-1])
        if seen is None or not os.path.samestat(seen, os.fstat(at.fd)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), done[-1])
        return Landing(parent, tuple(done[:-1]), done[-1], node=node, stat=seen, passed=tuple(passed))

    def _beneath(self, absolute: str) -> tuple[str, ...] | None:
        parts = _split(absolute)
        for root in self._names:
            if parts[: len(root)] == root:
                return parts[len(root) :]
        return None

    def _is_window(self, node: Descriptor | None, seen: os.stat_result) -> bool:
        """Whether it lies on `/proc`, `/sys` or their like, mounted inside the workspace: nothing of it is touched."""
        return node is not None and seen.st_dev != self.device and system.is_kernel_file_system(node.fd)


def refusal(error: OSError, path: str) -> Refused:  # noqa: PLR0911  (a table)
    """An operating system's error in the contract's words. `path` is the user's."""
    shown = f"`{printable(path)}`"
    match error.errno:
        case errno.ENOENT:
            return Refused(Word.NOT_FOUND, f"{shown} is not there", "look with files_read on the folder above it")
        case errno.ENOTDIR:
            return Refused(Word.NOT_FOUND, f"{shown}: a part of the path is not a folder")
        case errno.ELOOP:
            return Refused(Word.FAILED, f"{shown}: links lead in a circle, or change while they are followed")
        case errno.ENAMETOOLONG:
            return Refused(Word.INVALID_ARGUMENTS, f"{shown}: a name is longer than the file system takes")
        case errno.EACCES | errno.EPERM:
            return Refused(Word.FAILED, f"{shown}: the operating system gives no permission")
        case errno.ENXIO:
            reason = f"{shown}: there is a device, socket or pipe, which can be neither read nor kept"
            return Refused(Word.FAILED, reason, "nothing was done")
        case errno.ENOSPC | errno.EDQUOT:
            return Refused(Word.FAILED, f"{shown}: no space left on the disk", "nothing was changed")
        case errno.EROFS:
            return Refused(Word.FAILED, f"{shown}: the file system is read-only")
        case _:
            return Refused(Word.FAILED, f"{shown}: {(error.strerror or 'the system call failed').lower()}")


def _no_path(reason: str, hint: str = "give a path relative to the workspace, such as `src/app.py`") -> Refused:
    return Refused(Word.INVALID_ARGUMENTS, reason, hint)


def _split(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _look(folder: int, name: str) -> tuple[Descriptor | None, os.stat_result | None]:
    """The thing at a name, a link being the thing itself: held open where the system can do that without opening it."""
    try:
        if O_PATH is None:
            return None, os.stat(name, dir_fd=folder, follow_symlinks=False)
        node = Descriptor(os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder))
    except FileNotFoundError:
        return None, None
    return node, os.fstat(node.fd)
