"""The stage of file changes: everything is prepared where nobody can name it, and counts only at commit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from byleave.capability import Located, Refused, Sort, Word
from byleave.effects import Effect, Plan, Target, Verb, printable
from byleave.hands.files.building import Draft, draft, node_of
from byleave.hands.files.committing import Commit, Work
from byleave.hands.files.ground import Ground
from byleave.hands.files.locating import OURS, landing_of
from byleave.hands.files.manifest import Change, as_manifest
from byleave.hands.files.nodes import Budget, Nodes, alike, look_at
from byleave.hands.files.resolve import Landing, refusal
from byleave.hands.stage import Order

_MAX_BUFFER = 8 << 20  # bytes of before-images held in memory between looking and keeping; the rest is read again


@dataclass(frozen=True, slots=True)
class Declared:
    """What the plan said of each target."""

    effects: Mapping[Target, tuple[Effect, ...]]

    @classmethod
    def of(cls, plan: Plan) -> Declared:
        held: dict[Target, tuple[Effect, ...]] = {}
        for effect in plan.effects:
            held[effect.target] = (*held.get(effect.target, ()), effect)
        return cls(held)

    def require(self, at: Located, *verbs: Verb) -> Effect:
        """The effect that covers an act, or a refusal: hands do nothing that was not declared."""
        for effect in self.effects.get(at.target, ()):
            if effect.verb in verbs:
                return effect
        raise Refused(Word.DENIED, f"`{printable(at.path)}`: the plan did not declare this", rule="hands.undeclared")


class FileStage:
    """`FileHands` over one workspace, as a stage.

    One act for one path: what overlaps an act of the same call is refused, so that order cannot hide anything.
    """

    order = Order.RESTORABLE

    def __init__(self, ground: Ground, declared: Declared | None) -> None:
        self._ground = ground
        self._declared = declared
        self._id = ground.new_id()
        self._works: list[Work] = []
        self._budget = Budget(ground.limits.each_file, ground.limits.each_call)
        self._buffer: dict[str, bytes] = {}
        self._buffered = 0

    # -- hands ------------------------------------------------------------------------------------------------

    @property
    def hands(self) -> FileStage:
        return self

    async def write(self, at: Located, content: bytes) -> None:
        landing = self._free(at)
        effect = self._require(at, Verb.UPDATE if at.exists else Verb.CREATE)
        digest = hashlib.sha256(content).hexdigest()
        if effect.content is not None and effect.content != digest:
            raise Refused(Word.DENIED, f"`{printable(at.path)}`: not the content that was declared")
        if at.sort not in (Sort.FILE, Sort.ABSENT):
            raise Refused(Word.FAILED, f"`{printable(at.path)}` is a {at.sort}, not a file")
        try:
            before = self.look(landing)
            self._same(at, before, effect)
            like = before[0] if before else None
            made = draft(_folder(landing), self._ground.private, content, like)
        except OSError as error:
            raise refusal(error, at.path) from None
        after = (node_of(made, digest, len(content)),)
        self._add(landing, Change(at.path, before, after, self.temp(), made=_missing(landing)), draft=made)

    async def move(self, source: Located, target: Located) -> None:
        origin, landing = self._free(source), self._free(target)
        effect = self._require(source, Verb.UPDATE, Verb.DELETE)
        over = self._require(target, Verb.UPDATE if target.exists else Verb.CREATE)
        _movable(source, target)
        try:
            before = self.look(landing) if target.exists else None
            thing = look_at(self._ground.resolver, _folder(origin), origin.name, digests=source.sort is not Sort.FOLDER)
        except OSError as error:
            raise refusal(error, source.path) from None
        if thing is None:
            raise _changed(source)
        self._same(source, thing, effect)
        self._same(target, before, over)
        change = Change(
            target.path, before, thing, self.temp(), source=source.path, made=_missing(landing)
        )  # fmt: skip
        self._add(landing, change, origin=origin)

    async def remove(self, at: Located, *, recursive: bool) -> None:
        landing = self._free(at)
        effect = self._require(at, Verb.DELETE)
        if not landing.name:
            raise Refused(Word.DENIED, "the workspace itself cannot be removed")
        try:
            before = self.look(landing)
        except OSError as error:
            raise refusal(error, at.path) from None
        if before is None:
            raise _changed(at)
        self._same(at, before, effect)
        if len(before) > 1 and not recursive:
            raise Refused(Word.FAILED, f"`{printable(at.path)}` is a folder with something in it", "say recursive")
        self._add(landing, Change(at.path, before, None, self.temp()))

    # -- stage ------------------------------------------------------------------------------------------------

    def observe(self) -> tuple[Effect, ...]:
        root, restoring = self._ground.resolver.real, self._declared is None
        return tuple(
            effect
            for change in (work.change for work in self._works)
            for effect in change.effects(
                root, self._ground.traits_of(change) if not restoring else {}, restoring=restoring
            )
        )

    def hold(self) -> Mapping[str, object] | None:
        works = self._counting()
        if not works:
            return None
        try:
            for work in works:
                if work.draft is not None:
                    self._ground.step("sync")
                    os.fsync(work.draft.held.fd)
                self._keep(work)
        except OSError as error:
            raise refusal(error, works[0].change.path) from None
        return as_manifest(self._ground.resolver.real, [work.change for work in works])

    def commit(self) -> None:
        works = self._counting()
        if works:
            with self._ground.lock():
                Commit(self._ground, works).run()
        self._works.clear()

    def discard(self) -> None:
        self._works.clear()
        self._buffer.clear()

    def release(self) -> bool:
        return True

    # -- filled for undo --------------------------------------------------------------------------------------

    def fill(self, work: Work) -> None:
        """Take a ready-made change: for a stage that reverses a manifest."""
        self._works.append(work)

    def temp(self) -> str:
        """A name for a moment, for the change that is added next."""
        return f"{OURS}{self._id}-{len(self._works)}"

    def look(self, landing: Landing) -> Nodes | None:
        """What lies there now, its bytes held in memory where they are few: they are kept only if it comes to that."""
        if landing.missing:
            return None
        return look_at(self._ground.resolver, _folder(landing), landing.name, keep=self._hold_back, budget=self._budget)

    # -- inside -----------------------------------------------------------------------------------------------

    def _counting(self) -> list[Work]:
        return [work for work in self._works if not work.change.is_nothing]

    def _require(self, at: Located, *verbs: Verb) -> Effect:
        if self._declared is None:
            raise Refused(Word.DENIED, "this stage only restores")
        return self._declared.require(at, *verbs)

    def _free(self, at: Located) -> Landing:
        landing = landing_of(at)
        for work in self._works:
            for taken in (work.change.path, work.change.source):
                if taken is not None and _overlap(taken, at.path):
                    raise Refused(Word.FAILED, f"`{printable(at.path)}` is changed twice in one call")
        return landing

    def _hold_back(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._buffer and self._buffered + len(content) <= _MAX_BUFFER:
            self._buffer[digest] = content
            self._buffered += len(content)
        return digest

    def _keep(self, work: Work) -> None:
        """Give the before-images to the keeper: from memory, or read again, and then they must be what was seen."""
        change = work.change
        wanted = {n.digest for n in change.before or () if n.sort is Sort.FILE and n.kept and n.digest is not None}
        held = {digest for digest in wanted if digest in self._buffer}
        for digest in held:
            self._ground.keeper.keep(self._buffer[digest])
        if wanted == held:
            return
        landing = work.landing
        budget = Budget(self._ground.limits.each_file, self._ground.limits.each_call)
        again = look_at(
            self._ground.resolver, _folder(landing), landing.name, keep=self._ground.keeper.keep, budget=budget
        )
        if not alike(again, change.before):
            raise Refused(Word.CONFLICT, f"`{printable(change.path)}` changed meanwhile", "read it again")

    def _same(self, at: Located, now: Nodes | None, effect: Effect) -> None:
        """Still what the survey saw: by identity, or by the digest that the plan names."""
        if (now is None) != (at.identity is None):
            raise _changed(at)
        if now is None or at.identity is None:
            return
        if effect.before is not None:
            if effect.before != now[0].digest:
                raise _changed(at)
            return
        seen = (now[0].inode, now[0].size, now[0].mtime_ns)  # of a folder only which it is: it changes with its content
        if now[0].sort is not at.sort or seen[:1] != at.identity[1:2]:
            raise _changed(at)
        if at.sort is Sort.FILE and seen != at.identity[1:]:
            raise _changed(at)

    def _add(
        self, landing: Landing, change: Change, *, draft: Draft | None = None, origin: Landing | None = None
    ) -> None:
        self._works.append(Work(change, landing, draft=draft, origin=origin))


def _folder(landing: Landing) -> int:
    if landing.folder is None:
        raise Refused(Word.DENIED, "outside the workspace")
    return landing.folder.fd


def _missing(landing: Landing) -> tuple[str, ...]:
    return tuple("/".join((*landing.parts, *landing.missing[: count + 1])) for count in range(len(landing.missing)))


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _movable(source: Located, target: Located) -> None:
    if source.path == "." or target.path == ".":
        raise Refused(Word.DENIED, "the workspace itself cannot be moved")
    if target.path == source.path or target.path.startswith(f"{source.path}/"):
        raise Refused(Word.INVALID_ARGUMENTS, f"`{printable(source.path)}` cannot be moved into itself")
    if source.sort is Sort.SPECIAL:
        raise Refused(Word.FAILED, f"`{printable(source.path)}` is a device, socket or pipe")
    if target.sort in (Sort.FOLDER, Sort.SPECIAL) or (target.exists and source.sort is Sort.FOLDER):
        raise Refused(
            Word.FAILED, f"`{printable(target.path)}` is there already", "name a target that is not there, in full"
        )


def _changed(at: Located) -> Refused:
    return Refused(Word.CONFLICT, f"`{printable(at.path)}` changed meanwhile", "nothing was done; read it again")


def without_setid(nodes: Nodes | None) -> Nodes | None:
    """As a tree can be made again: files never get back setuid, setgid or sticky."""
    if nodes is None:
        return None
    return tuple(replace(n, mode=n.mode & 0o777) if n.sort is Sort.FILE else n for n in nodes)
