"""Undo as a stage: what a manifest says, put back by the hands that can read it, and held until the gate commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import anyio.to_thread

from byleave.capability import Kept, Refused, Word
from byleave.effects import Effect, Verb
from byleave.hands.stage import Order, Stage
from byleave.snapshots.undo import Reversers

#: In the manifest of an undo: the call that it put back.
RESTORES = "restores"


class Undoing:
    """The stage of one undo, and its `UndoHands`. It becomes the reversed stage of whatever was changed."""

    order = Order.TRANSACTION

    def __init__(self, reversers: Reversers) -> None:
        self._reversers = reversers
        self._stage: Stage | None = None
        self._call = ""

    @property
    def hands(self) -> Undoing:
        return self

    async def restore(self, kept: Kept) -> None:
        if self._stage is not None:
            raise Refused(Word.FAILED, "one call undoes one receipt")
        manifest = cast("Mapping[str, object]", kept.handle)
        self._call = kept.receipt.removeprefix("r-")
        self._stage = await anyio.to_thread.run_sync(self._reversers.reverse, manifest)

    def observe(self) -> tuple[Effect, ...]:
        return tuple(replace(effect, verb=Verb.RESTORE) for effect in self._stage.observe()) if self._stage else ()

    def hold(self) -> Mapping[str, object] | None:
        manifest = self._stage.hold() if self._stage else None
        return None if manifest is None else {**manifest, RESTORES: self._call}

    def commit(self) -> None:
        if self._stage is not None:
            self._stage.commit()

    def discard(self) -> None:
        if self._stage is not None:
            self._stage.discard()

    def release(self) -> bool:
        return self._stage.release() if self._stage else False
