"""Which files a search looks into: in order of name, hidden, ignored and special ones passed over, no link followed."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from byleave.hands.files.ignoring import Patterns
from byleave.hands.files.locating import Locator, read_at
from byleave.hands.files.nodes import open_file
from byleave.hands.files.resolve import Descriptor
from byleave.hands.files.scanning import TimeIsUp

_MAX_IGNORE_BYTES = 1 << 20
_IGNORE_FILES = (".gitignore", ".ignore")


@dataclass(frozen=True, slots=True)
class _Ignoring:
    """The rules of one folder's ignore files, for paths below that folder."""

    depth: int
    patterns: Patterns


def walk(locator: Locator, start: Sequence[str], until: float) -> Iterator[tuple[str, Descriptor, str]]:
    """Each searchable file below the folder `start`: its path in the workspace, its open folder, its name. Raises
    `TimeIsUp` at `until` (monotonic seconds), also where it finds nothing for long."""
    rules: list[_Ignoring] = []
    for depth in range(len(start)):
        rules += _rules(locator, list(start[:depth]), depth)
    waiting: list[tuple[list[str], list[_Ignoring]]] = [(list(start), rules)]
    while waiting:
        parts, above = waiting.pop()
        try:
            here = locator.resolver.open_below(locator.resolver.root.fd, parts, os.O_RDONLY | os.O_DIRECTORY)
            names = sorted(os.listdir(here.fd))
        except OSError:  # gone meanwhile, or not ours to read
            continue
        ours = [*above, *_rules(locator, parts, len(parts))]
        folders: list[tuple[list[str], list[_Ignoring]]] = []
        for name in names:
            if time.monotonic() > until:
                raise TimeIsUp
            path = [*parts, name]
            try:
                seen = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
            except OSError:
                continue
            is_folder = stat.S_ISDIR(seen.st_mode)
            if name == ".git" or locator.hides("/".join(path)) or _is_ignored(ours, path, is_folder=is_folder):
                continue
            if is_folder:
                folders.append((path, ours))
            elif stat.S_ISREG(seen.st_mode) and not locator.aliases.has(seen, warm=False):
                yield "/".join(path), here, name
        waiting.extend(reversed(folders))


def _rules(locator: Locator, parts: list[str], depth: int) -> list[_Ignoring]:
    out: list[_Ignoring] = []
    for name in _IGNORE_FILES:
        try:
            folder = locator.resolver.open_below(locator.resolver.root.fd, parts)
            held = open_file(folder.fd, name)
            text = read_at(held.fd, 0, _MAX_IGNORE_BYTES, warm=False).decode("utf-8", "replace")
            out.append(_Ignoring(depth, Patterns(text.split("\n"))))
        except OSError:
            continue
    return out


def _is_ignored(rules: Sequence[_Ignoring], path: Sequence[str], *, is_folder: bool) -> bool:
    """The nearest folder's rules speak first, as in gitignore(5); a folder that is ignored is never entered."""
    for rule in reversed(rules):
        relative = "/".join(path[rule.depth :]) + ("/" if is_folder else "")
        verdict = rule.patterns.verdict(relative)
        if verdict is not None:
            return verdict
    return False
