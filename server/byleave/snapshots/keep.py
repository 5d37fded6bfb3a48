"""Before-images on disk, out of the agent's reach: from here `undo` restores.

    snapshots/calls/CALL.json       the manifest of a call, and in it the images of a small one
    snapshots/images/AB/ABCD...     an image, named by the SHA-256 of its bytes

A small call costs one synced file and one synced folder. Everything is 0600 under 0700, written under another name and
renamed, and believed only when its digest matches. Who can change these files can change what undo restores, no more: a
manifest names paths only beneath its own workspace, and undo is judged as any other call.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from byleave.capability import Refused, Word
from byleave.hands.files.system import sync_file_system

_MAX_SMALL = 256 << 10  # bytes of an image that goes into the manifest itself
_MAX_INLINE = 16 << 20  # bytes of all of them
_SYNCED_EACH = 16  # more images than these are synced with their whole file system at once
_MAX_WAITING = 32 << 20  # bytes of images held in memory until their call is sealed; the oldest go to disk first
_CALL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_ADDRESS = re.compile(r"[0-9a-f]{64}")


class Snapshots:
    """`Keeper` on a folder of the state directory. Safe to use from several threads."""

    def __init__(self, state_dir: Path) -> None:
        self._calls = state_dir / "snapshots" / "calls"
        self._images = state_dir / "snapshots" / "images"
        for folder in (state_dir / "snapshots", self._calls, self._images):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._loaded: dict[str, bytes] = {}  # the images in the manifest that was read last

    # -- Keeper -----------------------------------------------------------------------------------------------

    def keep(self, content: bytes) -> str:
        address = hashlib.sha256(content).hexdigest()
        with self._lock:
            self._hold(address, content)
            while self._size > _MAX_WAITING:
                oldest = next(iter(self._waiting))
                self._write_images({oldest: self._waiting[oldest]})
                self._size -= len(self._waiting.pop(oldest))
        return address

    def image(self, address: str) -> bytes:
        if not _ADDRESS.fullmatch(address):
            raise Refused(Word.FAILED, "a snapshot names no image")
        with self._lock:
            held = self._waiting.get(address, self._loaded.get(address))
        if held is None:
            held = self._read_image(address)
        if held is None:
            held = next((found for found in self._inlined(address)), None)
        if held is None or hashlib.sha256(held).hexdigest() != address:
            raise Refused(Word.FAILED, f"the before-image `{address[:12]}` is gone or damaged", "nothing was done")
        return held

    def seal(self, call: str, manifest: Mapping[str, object]) -> None:
        path = self._path(call)
        named = sorted(_addresses(manifest))
        with self._lock:
            held = {address: self._waiting[address] for address in named if address in self._waiting}
        inline: dict[str, str] = {}
        room = _MAX_INLINE
        for address, content in sorted(held.items(), key=lambda item: len(item[1])):
            if len(content) <= min(room, _MAX_SMALL):
                room -= len(content)
                inline[address] = base64.b64encode(content).decode()
        self._write_images({address: content for address, content in held.items() if address not in inline})
        body = json.dumps({"call": call, "manifest": manifest, "images": inline}, separators=(",", ":"))
        seal = hashlib.sha256(body.encode()).hexdigest()
        _write(path, f"{seal}\n{body}\n".encode())

    # -- reading again ----------------------------------------------------------------------------------------

    def manifest(self, call: str) -> dict[str, Any] | None:
        """The manifest of a call, None where there is none. `Refused(FAILED)` where it is damaged."""
        loaded = self._load(call) if _CALL.fullmatch(call) else None
        return None if loaded is None else cast("dict[str, Any]", loaded["manifest"])

    def calls(self) -> list[str]:
        """The calls that have a manifest, the oldest first."""
        found: list[tuple[int, str]] = []
        with os.scandir(self._calls) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    with suppress(FileNotFoundError):  # dropped meanwhile
                        found.append((entry.stat().st_mtime_ns, entry.name.removesuffix(".json")))
        return [name for _, name in sorted(found)]

    def drop(self, call: str) -> None:
        """Forget a call. Its images stay until `sweep`, since others may name them."""
        self._path(call).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Take away images that no manifest names, and what a crash left half written. Only while nothing runs."""
        named = {address for call in self.calls() for address in _addresses(self.manifest(call) or {})}
        count = 0
        for path in [*self._images.glob("*/*"), *self._calls.glob("*.new")]:
            if path.suffix == ".new" or (path.parent.parent == self._images and path.name not in named):
                path.unlink(missing_ok=True)
                count += 1
        return count

    # -- inside -----------------------------------------------------------------------------------------------

    def _hold(self, address: str, content: bytes) -> None:
        if address not in self._waiting:
            self._size += len(content)
            self._waiting[address] = content
        self._waiting.move_to_end(address)

    def _path(self, call: str) -> Path:
        if not is_call(call):
            raise ValueError("not the id of a call")
        return self._calls / f"{call}.json"

    def _load(self, call: str) -> dict[str, Any] | None:
        try:
            content = self._path(call).read_bytes()
        except FileNotFoundError:
            return None
        seal, _, body = content.partition(b"\n")
        if hashlib.sha256(body.rstrip(b"\n")).hexdigest().encode() != seal:
            raise Refused(Word.FAILED, f"the snapshot of `{call}` is damaged", "nothing was done")
        loaded = cast("dict[str, Any]", json.loads(body))
        self._loaded = {address: base64.b64decode(image) for address, image in loaded["images"].items()}
        return loaded

    def _inlined(self, address: str) -> Iterator[bytes]:
        """From manifests, the newest first: a small image lies in the one that named it."""
        for call in reversed(self.calls()):
            self._load(call)
            if address in self._loaded:
                yield self._loaded[address]

    def _read_image(self, address: str) -> bytes | None:
        try:
            return (self._images / address[:2] / address).read_bytes()
        except FileNotFoundError:
            return None

    def _write_images(self, images: Mapping[str, bytes]) -> None:
        """On disk when it returns, each where it is looked for."""
        new = {address: content for address, content in images.items() if self._read_image(address) != content}
        each = len(new) <= _SYNCED_EACH
        for address, content in new.items():
            path = self._images / address[:2] / address
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write(path, content, sync=each)
        if new:
            _sync(self._images, whole=not each)


def _addresses(value: object) -> set[str]:
    """Every string in a manifest that can be an address."""
    if isinstance(value, str):
        return {value} if _ADDRESS.fullmatch(value) else set()
    if isinstance(value, Mapping):
        return set[str]().union(*(_addresses(each) for each in cast("Mapping[str, object]", value).values()))
    if isinstance(value, list | tuple):
        return set[str]().union(*(_addresses(each) for each in cast("list[object]", value)))
    return set()


def _write(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Whole or not at all: another name, synced, renamed, and the folder synced."""
    new = path.with_name(f"{path.name}.{os.urandom(4).hex()}.new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, path)
        if sync:
            _sync(path.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        what = "no space left on the disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "the disk refused it"
        raise Refused(Word.FAILED, f"the snapshot cannot be written: {what}", "nothing was done") from None


def _sync(folder: Path, *, whole: bool = False) -> None:
    """Make the names in a folder durable; with `whole`, everything on its file system."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if whole:
            sync_file_system(fd)
        else:
            os.fsync(fd)
    finally:
        os.close(fd)


def is_call(name: str) -> bool:
    """Whether it can be the id of a call at all."""
    return _CALL.fullmatch(name) is not None


class Nowhere:
    """A `Keeper` that keeps nothing: for a check, whose stages are never committed."""

    def keep(self, content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    def image(self, address: str) -> bytes:
        raise Refused(Word.FAILED, f"the before-image `{address[:12]}` is not kept by a check")

    def seal(self, call: str, manifest: Mapping[str, object]) -> None:
        raise Refused(Word.FAILED, "a check cannot commit")
