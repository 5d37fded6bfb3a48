"""Read-only looking at the workspace: the survey's eyes, and the hands that only read."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from byleave.capability import Found, Listed, Located, Refused, Search, Sort, Tree, Word, WouldBlock
from byleave.effects import Effect, Target, Undo, Verb, files, printable
from byleave.hands.files.locating import MAX_WARM_BYTES, Locator, landing_of, opened, read_at
from byleave.hands.files.nodes import sort_of
from byleave.hands.files.resolve import refusal
from byleave.hands.files.searching import Finder
from byleave.hands.stage import Order

MAX_TREE_SECONDS = 0.5


class WorkspaceView:
    """`FileView` over one workspace."""

    def __init__(self, locator: Locator, *, warm: bool) -> None:
        self._locator = locator
        self._warm = warm

    async def locate(self, path: str, *, follow: bool = True) -> Located:
        return self._locator.locate(path, follow=follow, warm=self._warm)

    async def content(self, at: Located, limit: int) -> bytes:
        if self._warm and at.size > MAX_WARM_BYTES:
            raise WouldBlock
        held = opened(at)
        size = os.fstat(held.fd).st_size
        if size > limit:
            raise Refused(Word.FAILED, f"`{printable(at.path)}` is larger than {limit:,} bytes")
        content = read_at(held.fd, 0, min(limit, size) + 1, warm=self._warm)
        if len(content) > limit:
            raise Refused(Word.FAILED, f"`{printable(at.path)}` is larger than {limit:,} bytes")
        return content

    async def tree(self, at: Located, limit: int = 20_000) -> Tree:
        if self._warm:
            raise WouldBlock
        try:
            return self._tree(at, limit)
        except OSError as error:
            raise refusal(error, at.path) from None

    def _tree(self, at: Located, limit: int) -> Tree:
        landing, resolver = landing_of(at), self._locator.resolver
        if at.sort is not Sort.FOLDER or landing.folder is None:
            return Tree(files=1, folders=0, complete=True, below=(at,), traits=at.traits)
        until = time.monotonic() + MAX_TREE_SECONDS
        below, waiting, complete = [replace(at, handle=None)], [list[str]()], True
        top = resolver.open_below(landing.folder.fd, (landing.name,) if landing.name else ())
        prefix = "" if at.path == "." else f"{at.path}/"
        while waiting and complete:
            parts = waiting.pop()
            here = resolver.open_below(top.fd, parts, os.O_RDONLY | os.O_DIRECTORY)
            for name in sorted(os.listdir(here.fd)):
                if len(below) >= limit or time.monotonic() > until:
                    complete = False
                    break
                seen = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
                path = prefix + "/".join((*parts, name))
                below.append(self._locator.located(path, seen, handle=None, warm=False))
                if stat.S_ISDIR(seen.st_mode):
                    waiting.append([*parts, name])
        folders = sum(each.sort is Sort.FOLDER for each in below)
        traits = frozenset[str]().union(*(each.traits for each in below))
        return Tree(len(below) - folders, folders, complete, tuple(below), traits)


class ReadingStage:
    """`FileReading` as a stage: what it showed is what it observes, and nothing counts or is undone."""

    order = Order.RESTORABLE

    def __init__(self, locator: Locator, finder: Finder, *, warm: bool) -> None:
        self._locator = locator
        self._finder = finder
        self._warm = warm
        self._copied = 0
        self._looked: dict[tuple[Verb, Target], frozenset[str]] = {}

    @property
    def hands(self) -> ReadingStage:
        return self

    async def content(self, at: Located, offset: int, limit: int) -> bytes:
        held = opened(at)
        content = read_at(held.fd, offset, limit, warm=self._warm)
        self._copied += len(content)
        if self._warm and self._copied > MAX_WARM_BYTES:
            raise WouldBlock
        self._looked[Verb.READ, at.target] = at.traits
        return content

    async def entries(self, at: Located, limit: int) -> tuple[Sequence[Listed], bool]:
        if self._warm:
            raise WouldBlock
        landing = landing_of(at)
        if at.sort is not Sort.FOLDER or landing.folder is None:
            raise Refused(Word.FAILED, f"`{printable(at.path)}` is not a folder")
        prefix = "" if at.path == "." else f"{at.path}/"
        out: list[Listed] = []
        more = False
        try:
            parts = (landing.name,) if landing.name else ()
            here = self._locator.resolver.open_below(landing.folder.fd, parts, os.O_RDONLY | os.O_DIRECTORY)
            for name in sorted(os.listdir(here.fd)):
                if self._locator.hides(prefix + name):
                    continue
                if len(out) >= limit:
                    more = True
                    break
                try:
                    seen = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if not self._locator.aliases.has(seen, warm=False):
                    out.append(Listed(name, sort_of(seen.st_mode), seen.st_size))
        except OSError as error:
            raise refusal(error, at.path) from None
        self._looked[Verb.READ, at.target] = at.traits
        return tuple(out), more

    async def search(self, at: Located, search: Search) -> Found:
        if self._warm:
            raise WouldBlock
        found = self._finder.search(at, search)
        self._looked[Verb.SEARCH, at.target] = at.traits
        return found

    def observe(self) -> tuple[Effect, ...]:
        return tuple(
            Effect(verb, target, files(1), Undo.TRIVIAL, traits=traits)
            for (verb, target), traits in self._looked.items()
        )

    def hold(self) -> Mapping[str, object] | None:
        return None

    def commit(self) -> None:
        """Nothing to count."""

    def discard(self) -> None:
        """Nothing to leave."""

    def release(self) -> bool:
        return True
