"""A first policy for a folder: what lies there, as suggestions that a person takes or leaves. Looks, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from byleave.effects import printable

_SQLITE = b"SQLite format 3\0"
_PASSED_OVER = frozenset(
    {".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", ".tox", "target", "dist"}
)
_BACKUPS = ("backup", "backups", "bak", "dump", "dumps", "snapshots")
_BACKUP_ENDINGS = (".bak", ".dump", ".sql.gz", ".backup")
#: Names looked at, so that a draft of a huge tree does not take minutes.
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds that a policy should speak about; paths relative to it, in order."""

    databases: tuple[str, ...]
    secrets: tuple[str, ...]
    backups: tuple[str, ...]


def look_around(folder: Path) -> Found:
    """Find SQLite databases, files of secrets and what looks like backups. Links are not followed."""
    databases: list[str] = []
    secrets: list[str] = []
    backups: set[str] = set()
    for path, is_folder in _names(folder):
        name = os.path.basename(path).lower()
        if is_folder:
            if name in _BACKUPS:
                backups.add(path)
        elif name.startswith(".env") and not name.endswith((".example", ".sample", ".template", ".dist")):
            secrets.append(path)
        elif name.endswith(_BACKUP_ENDINGS):
            backups.add(os.path.dirname(path) or path)
        elif _is_sqlite(folder / path):
            databases.append(path)
    kept = [path for path in databases if not any(path.startswith(f"{place}/") for place in backups)]
    return Found(tuple(sorted(kept)), tuple(sorted(secrets)), tuple(sorted(backups)))


def _names(folder: Path) -> Iterator[tuple[str, bool]]:
    seen = 0
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in (*folders, *sorted(names)):
            if (seen := seen + 1) > _MOST:
                return
            path = os.path.relpath(os.path.join(above, name), folder)
            if path.isprintable() and '"' not in path and "\\" not in path:
                yield path, name in folders


def _is_sqlite(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def draft(folder: Path, extends: str) -> str:
    """The text of a policy for `folder`, with what was found as comments: nothing is granted by a guess."""
    found = look_around(folder)
    return _TEMPLATE.format(
        name=printable(folder.name),
        extends=extends,
        hidden=_hidden(found.secrets),
        databases=_databases(found.databases),
        backups=_backups(folder, found.backups),
    )


def _hidden(secrets: tuple[str, ...]) -> str:
    if not secrets:
        return ""
    return f"# Found here and hidden already by the preset: {', '.join(secrets[:5])}\n"


def _databases(found: tuple[str, ...]) -> str:
    lines: list[str] = []
    for number, path in enumerate(found[:3] or ("data/app.db",)):
        name = "app" if number == 0 else f"app{number + 1}"
        lines += [
            f"# [databases.{name}]"
            + ("" if found else "                 # none was found here; this is how one looks"),
            f'# url = "sqlite:///{path}"',
            '# environment = "development"      # development | test | staging | production',
            '# write = []                       # tables in which rows may change; ["*"] for all',
            "# max_rows = 500                   # more than that in one call asks a person",
            "#",
        ]
    return "\n".join(lines[:-1])


def _backups(folder: Path, found: tuple[str, ...]) -> str:
    places = [str(folder / path) for path in found[:5]]
    said = ", ".join(f'"{place}"' for place in places) or '"/mnt/backups"'
    note = "   # looks like backups" if places else ""
    return f"# [backups]\n# protect = [{said}]{note}"


_TEMPLATE = """\
# What a coding agent may do in {name}, and what it may not. Read by byleave; explained in docs/policy.md.
#
#   byleave policy explain     what is in force, read aloud
#   byleave trust              let this file take effect, as it now is; again after each change

# The preset this builds on: read-only | develop | operate | ci.
extends = "{extends}"

# Files that are not there for the agent, by any route; patterns as in .gitignore, added to the preset's.
{hidden}# [workspace]
# hidden = ["config/payment.yml", "!certs/public.pem"]
# max_files = 200                  # more than that changed in one call asks a person

# Databases are reached through sql tools only, never as files.
{databases}

# Backups are out of reach of every tool, whatever else is said here.
{backups}

# [limits]
# rate = "120/minute"
# session = {{ calls = 5000, rows_deleted = 1000, files_deleted = 500 }}

# A rule of your own. The strictest verdict of all that speak holds, so their order does not matter.
# [[rule]]
# id = "project.migrations"
# when = {{ verb = ["update", "delete"], target = "file:migrations/**" }}
# verdict = "ask"                  # allow | delay | ask | deny
# because = "a migration that was applied is history"
# hint = "write a new migration instead"
# matches = [{{ verb = "update", target = "file:migrations/0001.sql" }}]
# spares = [{{ verb = "create", target = "file:migrations/0002.sql" }}]
"""
