"""Where a SQLite database lies, and being sure that it is that file and no other.

The path of the policy is resolved once, when the gate opens. From then on every open refuses links (one that someone
puts there later leads nowhere) and makes sure that the name still leads to the file that SQLite holds:

    1 lstat the resolved path: a regular file, and not the gate's own
    2 SQLite opens it with NOFOLLOW, without CREATE
    3 SQLITE_FCNTL_HAS_MOVED: the name leads to what SQLite opened
    4 lstat again: the same device and inode as in 1

Never open the file in any other way: closing any descriptor of it drops all locks this process holds on it (POSIX
locks, https://www.sqlite.org/howtocorrupt.html 2.2), SQLite's own included.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.policy.ways import ways

#: What SQLite may put beside a database. Out of the agent's reach like the file itself.
BESIDE = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file it is."""

    device: int
    inode: int

    def __str__(self) -> str:
        return f"{self.device}:{self.inode}"


@dataclass(frozen=True, slots=True)
class Place:
    """One database file. `path` is absolute and canonical."""

    database: str
    path: str
    forbidden: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # that lead there: at the next start they decide which file it is

    @property
    def files(self) -> tuple[str, ...]:
        return (*(self.path + end for end in BESIDE), *self.links)

    def look(self) -> Identity:
        """Which file lies there now. Raises `Refused` where it is none that may be opened."""
        named = f"database `{printable(self.database)}`"
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            raise Refused(
                Word.NOT_FOUND, f"{named}: its file does not exist", "the gate never creates one; ask a person"
            ) from None
        except OSError as error:
            raise Refused(
                Word.FAILED, f"{named}: {os.strerror(error.errno or 0).lower()}", "ask a person to look at it"
            ) from None
        if stat.S_ISLNK(found.st_mode):
            raise Refused(Word.CONFLICT, f"{named}: a link lies where its file was", "ask a person to look at it")
        if not stat.S_ISREG(found.st_mode):
            raise Refused(Word.FAILED, f"{named}: it is no regular file", "ask a person to look at it")
        if any(self.path == folder or self.path.startswith(folder.rstrip("/") + "/") for folder in self.forbidden):
            raise Refused(
                Word.DENIED, f"{named} lies among the gate's own files", "a person has to move it", rule="sql.own-files"
            )
        return Identity(found.st_dev, found.st_ino)


def place_of(database: str, url: str, *, workspace: Path, forbidden: tuple[str, ...]) -> Place:
    """The file that a URL names: `sqlite:///app.db` lies in the workspace, `sqlite:////srv/app.db` is absolute.

    Raises ValueError in words for a URL that names no file.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or parts.query or parts.fragment or not path or "\x00" in path:
        raise ValueError(
            "write `sqlite:///app.db` for a file in the workspace, `sqlite:////srv/app.db` for an absolute path"
        )
    # Resolved here, once: from now on a link in the path is a change that nobody made on purpose.
    place, *links = ways(workspace / path, workspace)
    return Place(database, place, tuple(os.path.realpath(folder) for folder in forbidden), tuple(links))
