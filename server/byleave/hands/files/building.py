"""Making things, so that they are whole before anything names them, and taking things away."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from byleave.capability import Sort
from byleave.hands.files import system
from byleave.hands.files.nodes import Node, Nodes, dress, pieces, xattrs_of
from byleave.hands.files.resolve import Descriptor, Resolver

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TMPFILE: int | None = getattr(os, "O_TMPFILE", None)
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS})

_SYNCED_EACH = 64  # more files than these are synced with their whole file system at once

Image = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that has no name yet. `linkable`: it lies on the target's file system and needs only a name."""

    held: Descriptor
    linkable: bool


def draft(folder: int, private: Path, content: bytes, like: Node | None, *, time: bool = False) -> Draft:
    """Write content where nobody can name it, dressed as `like` (None: as the umask and the folder's ACL say).

    O_TMPFILE on the target's folder where the file system has it; else a nameless file in the private folder, which is
    copied when it counts.
    """
    made: Draft | None = None
    if _TMPFILE is not None and os.path.exists("/proc/self/fd"):
        try:
            made = Draft(Descriptor(os.open(".", _TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=folder)), True)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
    if made is None:
        private.mkdir(mode=0o700, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=private)
        os.unlink(name)
        made = Draft(Descriptor(fd), False)
        os.fchmod(fd, 0o666 & ~_umask(private))
    write_all(made.held.fd, content)
    if like is not None:
        dress(made.held.fd, like, time=time)
    return made


def node_of(drafted: Draft, digest: str, size: int) -> Node:
    """The draft as a node: what will lie there."""
    seen = os.fstat(drafted.held.fd)
    return Node(
        "", Sort.FILE, stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_mtime_ns, size, digest,
        xattrs=xattrs_of(drafted.held.fd), inode=seen.st_ino,
    )  # fmt: skip


def write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def place(drafted: Draft, folder: int, name: str, like: Node) -> None:
    """Give the draft a name (EEXIST where it is taken). What is not linkable is copied, synced, and dressed alike."""
    if drafted.linkable:
        os.link(f"/proc/self/fd/{drafted.held.fd}", name, dst_dir_fd=folder, follow_symlinks=True)
        return
    held = Descriptor(os.open(name, _NEW, 0o600, dir_fd=folder))
    for piece in pieces(drafted.held.fd):
        write_all(held.fd, piece)
    dress(held.fd, like, time=True)
    os.fsync(held.fd)


def build(resolver: Resolver, folder: int, name: str, nodes: Nodes, image: Image) -> None:
    """Make a tree under `name`, synced, to the byte, mode, time and attribute. OSError leaves a part: raze it."""
    each = len(nodes) <= _SYNCED_EACH
    if nodes[0].sort is not Sort.FOLDER:
        _make(folder, name, nodes[0], image, sync=each)
    else:
        _build_tree(resolver, folder, name, nodes, image, sync=each)
    if not each:
        held = Descriptor(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder))
        system.sync_file_system(held.fd)


def _build_tree(resolver: Resolver, folder: int, name: str, nodes: Nodes, image: Image, *, sync: bool) -> None:
    os.mkdir(name, 0o700, dir_fd=folder)
    held = resolver.open_below(folder, (name,))
    folders = [node for node in nodes if node.sort is Sort.FOLDER]
    for node in folders[1:]:
        above = resolver.open_below(held.fd, node.rel.split("/")[:-1])
        os.mkdir(node.rel.split("/")[-1], 0o700, dir_fd=above.fd)
    for node in nodes:
        if node.sort is not Sort.FOLDER:
            above = resolver.open_below(held.fd, node.rel.split("/")[:-1])
            _make(above.fd, node.rel.split("/")[-1], node, image, sync=sync)
    for node in reversed(folders):  # last, and the deepest first: making what is in it moves a folder's time
        parts = node.rel.split("/") if node.rel else []
        made = resolver.open_below(held.fd, parts, os.O_RDONLY | os.O_DIRECTORY)
        dress(made.fd, node, time=True)
        if sync:
            os.fsync(made.fd)


def _make(folder: int, name: str, node: Node, image: Image, *, sync: bool) -> None:
    if node.sort is Sort.LINK:
        os.symlink(node.link or "", name, dir_fd=folder)
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (now.st_uid, now.st_gid) != (node.uid, node.gid):
            os.chown(name, node.uid, node.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(name, ns=(node.mtime_ns, node.mtime_ns), dir_fd=folder, follow_symlinks=False)
        return
    held = Descriptor(os.open(name, _NEW, 0o600, dir_fd=folder))
    write_all(held.fd, image(node.digest or ""))
    dress(held.fd, node, time=True)
    if sync:
        os.fsync(held.fd)


def raze(resolver: Resolver, folder: int, name: str) -> None:
    """Take away a file, a link or a whole tree, never through a link. Folders that forbid it are opened up first."""
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(seen.st_mode):
        os.unlink(name, dir_fd=folder)
        return
    _open_up(resolver, folder, (name,))
    top = resolver.open_below(folder, (name,))
    order: list[tuple[str, ...]] = []
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        order.append(parts)
        here = resolver.open_below(top.fd, parts, os.O_RDONLY | os.O_DIRECTORY)
        for entry in os.listdir(here.fd):
            if stat.S_ISDIR(os.stat(entry, dir_fd=here.fd, follow_symlinks=False).st_mode):
                _open_up(resolver, here.fd, (entry,))
                waiting.append((*parts, entry))
            else:
                os.unlink(entry, dir_fd=here.fd)
    for parts in reversed(order[1:]):
        above = resolver.open_below(top.fd, parts[:-1])
        os.rmdir(parts[-1], dir_fd=above.fd)
    os.rmdir(name, dir_fd=folder)


def _open_up(resolver: Resolver, folder: int, parts: tuple[str, ...]) -> None:
    held = resolver.open_below(folder, parts)
    seen = os.fstat(held.fd)
    if seen.st_mode & 0o700 == 0o700:
        return
    try:
        os.chmod(f"/proc/self/fd/{held.fd}", 0o700)
    except FileNotFoundError:
        os.chmod(parts[-1], 0o700, dir_fd=folder)


def sync_folder(folder: Descriptor) -> None:
    """Make the names in a folder durable. A file system that has no such thing says EINVAL."""
    held = Descriptor(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.fd))
    try:
        os.fsync(held.fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def unmake(resolver: Resolver, folders: tuple[str, ...]) -> None:
    """Take away folders that a call had made, the deepest first, where nothing else has come into them."""
    for path in reversed(folders):
        parts = path.split("/")
        try:
            above = resolver.open_below(resolver.root.fd, parts[:-1])
            os.rmdir(parts[-1], dir_fd=above.fd)
        except FileNotFoundError:  # taken away already, or never made: those above it may still be there
            continue
        except OSError:
            return


def unlink_ours(folder: Descriptor, name: str, linked: os.stat_result) -> None:
    """Take our name away again, and only ours."""
    if os.path.samestat(os.stat(name, dir_fd=folder.fd, follow_symlinks=False), linked):
        os.unlink(name, dir_fd=folder.fd)


def rmdir_if_empty(at: Descriptor, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=at.fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _umask(private: Path) -> int:
    """The process's umask, read from a file made under it: asking the system for it would change it for a moment."""
    probe = private / f"umask-{os.getpid()}-{os.urandom(4).hex()}"
    fd = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return 0o666 & ~stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
        os.unlink(probe)
