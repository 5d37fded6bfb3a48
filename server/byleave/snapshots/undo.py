"""Undo, whatever kind of thing was changed: a manifest goes to the hands that can read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from byleave.capability import Refused, Word
from byleave.hands.stage import Settled, Stage


class Reverses(Protocol):
    """Hands that can take back what their stages committed."""

    def reverse(self, manifest: Mapping[str, object]) -> Stage:
        """A stage already filled with the reversed changes; `Refused(CONFLICT)` where the world moved on."""
        ...

    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]:
        """What has changed since, by name: undo would overwrite it."""
        ...

    def settle(self, manifest: Mapping[str, object]) -> Settled:
        """After a crash: all of it or nothing of it counts."""
        ...


class Reversers:
    """The hands by the `kind` that their manifests carry."""

    def __init__(self, hands: Mapping[str, Reverses]) -> None:
        self._hands = hands

    def reverse(self, manifest: Mapping[str, object]) -> Stage:
        return self._of(manifest).reverse(manifest)

    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return self._of(manifest).moved_on(manifest)

    def settle(self, manifest: Mapping[str, object]) -> Settled:
        """`UNKNOWN` for a kind that no hands read any more: nothing is touched."""
        hands = self._hands.get(str(manifest.get("kind")))
        return Settled.UNKNOWN if hands is None else hands.settle(manifest)

    def _of(self, manifest: Mapping[str, object]) -> Reverses:
        hands = self._hands.get(str(manifest.get("kind")))
        if hands is None:
            raise Refused(
                Word.FAILED, "nothing here can undo this any more", "the policy no longer grants what it changed"
            )
        return hands
