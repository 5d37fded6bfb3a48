"""What lies at a place, written down: enough to know it again, and to make it again.

A `Node` is one file, folder or link with all that undo restores: bytes (by digest), mode, owner, time, extended
attributes. A tree is a tuple of nodes, the thing itself first (`rel` empty), each folder before what is in it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from byleave.capability import Sort
from byleave.hands.files.resolve import Descriptor, Resolver

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20

#: Attributes that a copy never carries: powers of a program (as setuid), and marks the kernel sets by itself.
_DROPPED = frozenset({"security.capability", "security.ima", "security.evm", "security.selinux"})

#: Takes a file's bytes (None: too large, only counted) under the digest it is given.
Keep = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in a tree. `digest` is the SHA-256 of a file's bytes or a link's text. `kept`: its bytes are images."""

    rel: str
    sort: Sort
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    digest: str | None = None
    link: str | None = None
    xattrs: tuple[tuple[str, str], ...] = ()
    kept: bool = True
    names: int = 1
    inode: int = 0

    def is_like(self, other: Node) -> bool:
        """The same content and rights: a stat-only change (time, inode) is none."""
        return (self.rel, self.sort, self.uid, self.gid, self.digest, self.xattrs) == (
            other.rel,
            other.sort,
            other.uid,
            other.gid,
            other.digest,
            other.xattrs,
        ) and (self.sort is Sort.LINK or self.mode == other.mode)

    def as_json(self) -> dict[str, object]:
        return {
            "rel": self.rel,
            "sort": self.sort.value,
            "mode": self.mode,
            "owner": [self.uid, self.gid],
            "mtime_ns": self.mtime_ns,
            "size": self.size,
            "digest": self.digest,
            "link": self.link,
            "xattrs": [list(pair) for pair in self.xattrs],
            "kept": self.kept,
            "names": self.names,
            "inode": self.inode,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Node:
        uid, gid = value["owner"]
        return cls(
            rel=value["rel"],
            sort=Sort(value["sort"]),
            mode=value["mode"],
            uid=uid,
            gid=gid,
            mtime_ns=value["mtime_ns"],
            size=value["size"],
            digest=value["digest"],
            link=value["link"],
            xattrs=tuple((name, content) for name, content in value["xattrs"]),
            kept=value["kept"],
            names=value["names"],
            inode=value["inode"],
        )


Nodes = tuple[Node, ...]


def alike(left: Nodes | None, right: Nodes | None) -> bool:
    """Whether two trees are the same to the byte and the right; times and inodes do not count."""
    if left is None or right is None:
        return left is right
    if len(left) != len(right):
        return False
    ordered = (sorted(side, key=lambda node: node.rel) for side in (left, right))
    return all(a.is_like(b) for a, b in zip(*ordered, strict=True))


def nodes_json(nodes: Nodes | None) -> list[dict[str, object]] | None:
    return None if nodes is None else [node.as_json() for node in nodes]


def nodes_from(value: object) -> Nodes | None:
    return None if value is None else tuple(Node.from_json(each) for each in cast("list[Mapping[str, Any]]", value))


def sort_of(mode: int) -> Sort:
    if stat.S_ISREG(mode):
        return Sort.FILE
    if stat.S_ISDIR(mode):
        return Sort.FOLDER
    return Sort.LINK if stat.S_ISLNK(mode) else Sort.SPECIAL


def open_file(folder: int, name: str, node: Descriptor | None = None) -> Descriptor:
    """A regular file for reading, and nothing else: no device is woken, no pipe waited for (OSError EINVAL).

    With `node`, exactly the file that it holds, whatever the name means by now.
    """
    fd = -1
    if node is not None:
        try:
            if not stat.S_ISREG(os.fstat(node.fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", name)
            fd = os.open(f"/proc/self/fd/{node.fd}", _READ & ~os.O_NOFOLLOW)
        except FileNotFoundError:  # no /proc here: by name, and compared below
            fd = -1
    held = Descriptor(fd if fd >= 0 else os.open(name, _READ, dir_fd=folder))
    seen = os.fstat(held.fd)
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", name)
    if node is not None and not os.path.samestat(seen, os.fstat(node.fd)):
        raise OSError(errno.ESTALE, "the file was replaced meanwhile", name)
    return held


def pieces(fd: int, limit: int | None = None) -> Iterator[bytes]:
    """The bytes of a file from its start, by pieces; at most `limit`."""
    offset = 0
    while limit is None or offset < limit:
        piece = os.pread(fd, _PIECE if limit is None else min(_PIECE, limit - offset), offset)
        if not piece:
            return
        offset += len(piece)
        yield piece


def xattrs_of(fd: int) -> tuple[tuple[str, str], ...]:
    """Extended attributes and ACLs (base64). None where the system or the file system has none."""
    if not hasattr(os, "listxattr"):
        return ()
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA):
            return ()
        raise
    out: list[tuple[str, str]] = []
    for name in sorted(names):
        if name in _DROPPED or name.startswith(("trusted.", "user.overlay.")):
            continue
        try:
            out.append((name, base64.b64encode(os.getxattr(fd, name)).decode()))
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EPERM, errno.EACCES):
                raise
    return tuple(out)


def dress(fd: int, like: Node, *, time: bool) -> None:
    """Give a new file or folder the owner, mode (never setuid, setgid of a file) and attributes of `like`.

    Order: owner (clears setid), attributes (an ACL changes the mode), mode, time. EPERM where it cannot have the owner.
    """
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (like.uid, like.gid):
        os.fchown(fd, like.uid if now.st_uid != like.uid else -1, like.gid if now.st_gid != like.gid else -1)
    wanted = dict(like.xattrs)
    if hasattr(os, "setxattr"):
        for name, _ in xattrs_of(fd):
            if name not in wanted:
                os.removexattr(fd, name)
        for name, content in wanted.items():
            os.setxattr(fd, name, base64.b64decode(content))
    os.fchmod(fd, like.mode & (0o777 if like.sort is Sort.FILE else 0o3777))
    if time:
        os.utime(fd, ns=(like.mtime_ns, like.mtime_ns))


def digest_of_link(text: str) -> str:
    return hashlib.sha256(b"link:" + os.fsencode(text)).hexdigest()


class Budget:
    """How much may be kept of one call: bytes of one file and of all. What is too large is counted, not kept."""

    def __init__(self, each: int, whole: int) -> None:
        self.each = each
        self.left = whole

    def takes(self, size: int) -> bool:
        if size > self.each or size > self.left:
            return False
        self.left -= size
        return True


def look_at(
    resolver: Resolver,
    folder: int,
    name: str,
    *,
    keep: Keep | None = None,
    budget: Budget | None = None,
    digests: bool = True,
) -> Nodes | None:
    """The whole of what lies at `name` in `folder`, links as themselves; None when nothing does.

    With `keep`, the bytes go there as they are read, so that digest and image are of one reading. Without `digests` no
    file is read. OSError ENXIO for a
    device, socket or pipe in it: such a thing can be neither kept nor made again.
    """

    def take(fd: int, size: int) -> tuple[str, bool]:
        kept = keep is not None and (budget is None or budget.takes(size))
        return _taken(fd, size, keep if kept else None), kept

    read = take if digests else None

    try:
        top = _node(folder, name, "", read)
    except FileNotFoundError:
        return None
    if top.sort is not Sort.FOLDER:
        return (top,)
    out = [top]
    held = resolver.open_below(folder, (name,))
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        here = resolver.open_below(held.fd, parts, _LIST)
        for entry in sorted(os.listdir(here.fd)):
            node = _node(here.fd, entry, "/".join((*parts, entry)), read)
            out.append(node)
            if node.sort is Sort.FOLDER:
                waiting.append((*parts, entry))
    return tuple(out)


def _node(folder: int, name: str, rel: str, take: Callable[[int, int], tuple[str, bool]] | None) -> Node:
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    sort = sort_of(seen.st_mode)
    mode = stat.S_IMODE(seen.st_mode)
    if sort is Sort.SPECIAL:
        raise OSError(errno.ENXIO, "a device, socket or pipe", name)
    if sort is Sort.LINK:
        text = os.readlink(name, dir_fd=folder)
        return Node(
            rel, sort, mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, len(text), digest_of_link(text), text,
            names=seen.st_nlink, inode=seen.st_ino,
        )  # fmt: skip
    if sort is Sort.FOLDER:
        held = Descriptor(os.open(name, _LIST, dir_fd=folder))
        seen = os.fstat(held.fd)
        mode = stat.S_IMODE(seen.st_mode)
        return Node(
            rel, sort, mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, xattrs=xattrs_of(held.fd), inode=seen.st_ino
        )
    if take is None:
        return Node(
            rel, sort, mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, seen.st_size,
            kept=False, names=seen.st_nlink, inode=seen.st_ino,
        )  # fmt: skip
    held = open_file(folder, name)
    seen = os.fstat(held.fd)
    digest, kept = take(held.fd, seen.st_size)
    return Node(
        rel, sort, stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_mtime_ns, seen.st_size, digest,
        xattrs=xattrs_of(held.fd), kept=kept, names=seen.st_nlink, inode=seen.st_ino,
    )  # fmt: skip


def _taken(fd: int, size: int, keep: Keep | None) -> str:
    if keep is not None:
        return keep(b"".join(pieces(fd, size)))
    digest = hashlib.sha256()
    for piece in pieces(fd):
        digest.update(piece)
    return digest.hexdigest()
