"""The state directory: where it is, whether it can be trusted, and the small files in it besides the store.

    log.db, -wal, -shm    the store                      log.lock      held by the process that owns it
    approver.key          what approving needs           owner.sock    where other processes reach the owner
    sessions/ID.lock      held while a session lives

Everything is made for its owner alone (0700, 0600). None of it is ever within a workspace.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from byleave.effects import printable
from byleave.store.entry import StoreDown

_CHOOSE = "choose another one with BYLEAVE_STATE_DIR"
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


class UnsafePlace(StoreDown):
    """The state directory cannot be trusted with the log; the message says why."""


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """`BYLEAVE_STATE_DIR`, else where this system keeps a user's state (`~/.local/state/byleave`)."""
    chosen = environ.get("BYLEAVE_STATE_DIR")
    return Path(chosen).expanduser() if chosen else platformdirs.user_state_path("byleave", appauthor=False)


def claim_state_dir(state_dir: Path, workspace: Path | None) -> Path:
    """Make the directory where it is missing, and return its real path, or raise UnsafePlace.

    `workspace` may be None where there is none (a command line that only looks after the store).
    """
    named = printable(str(state_dir))
    if state_dir.is_symlink():
        raise UnsafePlace(f"the state directory `{named}` is a symbolic link", f"name the real directory, or {_CHOOSE}")
    place = state_dir.parent.resolve() / state_dir.name
    if workspace is not None:
        _apart(place, workspace.resolve(), named)
    try:
        _make(place)
        found = place.stat(follow_symlinks=False)
    except OSError as error:
        raise UnsafePlace(f"the state directory `{named}` cannot be made: {error.strerror}", _CHOOSE) from error
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafePlace(f"the state directory `{named}` is no directory", _CHOOSE)
    if found.st_uid != os.geteuid():
        raise UnsafePlace(f"the state directory `{named}` belongs to another user", _CHOOSE)
    if found.st_mode & 0o022:
        raise UnsafePlace(
            f"the state directory `{named}` can be written by others", f"run `chmod 700` on it, or {_CHOOSE}"
        )
    for above in place.parents:
        _not_for_everyone(above, named)
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise UnsafePlace(f"the state directory `{named}` is read-only", f"make it writable, or {_CHOOSE}")
    return place


def _apart(place: Path, workspace: Path, named: str) -> None:
    if any(_same(above, workspace) for above in (place, *place.parents)):
        words = f"the state directory `{named}` is inside the workspace, where the agent writes"
        raise UnsafePlace(words, _CHOOSE)
    if any(_same(above, place) for above in workspace.parents):
        raise UnsafePlace(f"the state directory `{named}` holds the workspace, where the agent writes", _CHOOSE)


def _same(one: Path, other: Path) -> bool:
    """The same directory, however it is spelled (letter case, bind mounts)."""
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False  # one of them is not there yet


def _make(place: Path) -> None:
    missing = [place] if not place.exists() else []
    while missing and not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _not_for_everyone(above: Path, named: str) -> None:
    found = above.stat()
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        words = f"the state directory `{named}` lies in `{printable(str(above))}`, where everyone can replace it"
        raise UnsafePlace(words, _CHOOSE)


def approver_key(state_dir: Path) -> str:
    """The secret that answering a request needs, made at the first call. Readable by its owner alone."""
    path = state_dir / "approver.key"
    if not path.exists():
        fresh = path.with_name(f"approver.{secrets.token_hex(4)}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)  # whole or not at all: nobody reads half a key
        fresh.unlink()
    return read_approver_key(state_dir)


def read_approver_key(state_dir: Path) -> str:
    """The approver's secret, for the command line that answers. Raises StoreDown where it is missing or open."""
    path = state_dir / "approver.key"
    named = printable(str(path))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StoreDown(f"the approver's secret `{named}` cannot be read: {error.strerror}") from error
    with open(fd, encoding="ascii") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            hint = "remove it; a new one is made at the next start"
            raise StoreDown(f"the approver's secret `{named}` is open to others", hint)
        key = file.read(65).strip()
    if len(key) != 64:
        raise StoreDown(f"the approver's secret `{named}` is damaged", "remove it; a new one is made at the next start")
    return key


def owner_of(state_dir: Path) -> int | None:
    """The process that owns the store in `state_dir`; None where none does, or where only Linux would tell."""
    try:
        lock = (state_dir / "log.lock").stat(follow_symlinks=False)
        held = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    place = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    owners = (words[4] for words in map(str.split, held.splitlines()) if words[1] == "FLOCK" and words[5] == place)
    return int(next(owners, "0")) or None


class Lock:
    """An advisory lock on one file, held until `release` or the end of the process, however it ends."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """The lock, or None where another holder lives. Raises OSError where the file cannot be made."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    return cls(fd)
            except BlockingIOError:
                os.close(fd)
                return None
            except FileNotFoundError:
                pass  # removed between opening and locking: a lock on it would mean nothing
            os.close(fd)

    def release(self) -> None:
        os.close(self._fd)


class Sessions:
    """Which sessions are alive: each holds a lock of its own, which its end releases whatever that end was."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "sessions"
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def begin(self, session: str) -> Lock:
        """Mark the session as alive. Raises StoreDown where another process already is that session."""
        if not _SESSION.fullmatch(session):
            raise ValueError("a session is named by up to 64 letters, digits, `-` and `_`")
        lock = Lock.take(self._folder / f"{session}.lock")
        if lock is None:
            raise StoreDown(f"the session `{session}` is already open")
        return lock

    def end(self, session: str, lock: Lock) -> None:
        (self._folder / f"{session}.lock").unlink(missing_ok=True)
        lock.release()

    def is_alive(self, session: str) -> bool:
        """Whether its process lives. What a dead one left behind is cleared away."""
        path = self._folder / f"{session}.lock"
        if not _SESSION.fullmatch(session) or not path.exists():
            return False
        lock = Lock.take(path)
        if lock is None:
            return True
        self.end(session, lock)
        return False
