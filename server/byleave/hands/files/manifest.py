"""What a stage is about to do, in plain values: from this alone undo and the recovery after a crash work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from byleave.capability import Sort
from byleave.effects import Effect, Target, Undo, Verb, files
from byleave.hands.files.nodes import Node, Nodes, alike, nodes_from, nodes_json

KIND = "files"


@dataclass(frozen=True, slots=True)
class Change:
    """One change at `path`: `before` lies there now, `after` will (None: nothing).

    With `source`, `after` is the thing that lies at `source` now and is moved; `refill` is what will lie at the source
    then (only undo fills it). `made` are the folders above `path` that have to be made first, `unmade` those that go
    with it when they are empty. `temp` is a name used for a moment beside `path` (beside `source` for a move).
    """

    path: str
    before: Nodes | None
    after: Nodes | None
    temp: str
    source: str | None = None
    refill: Nodes | None = None
    made: tuple[str, ...] = ()
    unmade: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return self.source is None and alike(self.before, self.after)

    def as_json(self) -> dict[str, object]:
        return {
            "path": self.path,
            "before": nodes_json(self.before),
            "after": nodes_json(self.after),
            "temp": self.temp,
            "source": self.source,
            "refill": nodes_json(self.refill),
            "made": list(self.made),
            "unmade": list(self.unmade),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Change:
        return cls(
            path=value["path"],
            before=nodes_from(value["before"]),
            after=nodes_from(value["after"]),
            temp=value["temp"],
            source=value["source"],
            refill=nodes_from(value["refill"]),
            made=tuple(value["made"]),
            unmade=tuple(value["unmade"]),
        )

    def effects(self, root: str, traits: Mapping[str, frozenset[str]], *, restoring: bool) -> list[Effect]:
        """One for each path that is really made, changed or gone, in order of name. Restoring has its own verb."""
        changed = (
            list(_differences(root, self.path, self.before, self.after, traits))
            if self.source is None
            else [
                *_departures(root, self.source, self.after or (), self.refill, traits),
                *_differences(root, self.path, self.before, self.after, traits),
            ]
        )
        if not restoring:
            return changed
        return [
            Effect(Verb.RESTORE, e.target, e.extent, e.undo, before=e.before, content=e.content, traits=e.traits)
            for e in changed
        ]


def as_manifest(root: str, changes: Sequence[Change]) -> dict[str, object]:
    return {"kind": KIND, "workspace": root, "changes": [change.as_json() for change in changes]}


def changes_of(manifest: Mapping[str, object]) -> tuple[Change, ...]:
    """The changes again. Raises ValueError for what is no manifest of files."""
    if manifest.get("kind") != KIND:
        raise ValueError("not a manifest of files")
    return tuple(Change.from_json(each) for each in cast("list[Mapping[str, Any]]", manifest["changes"]))


def joined(path: str, rel: str) -> str:
    return f"{path}/{rel}" if rel else path


def _target(root: str, path: str) -> Target:
    return Target.file(f"{root.rstrip('/')}/{path}")


def _count(node: Node) -> int:
    return 0 if node.sort is Sort.FOLDER else 1


def _differences(
    root: str, path: str, before: Nodes | None, after: Nodes | None, traits: Mapping[str, frozenset[str]]
) -> list[Effect]:
    old = {node.rel: node for node in before or ()}
    new = {node.rel: node for node in after or ()}
    out: list[Effect] = []
    for rel in sorted({*old, *new}):
        was, will = old.get(rel), new.get(rel)
        if was is not None and will is not None and was.is_like(will):
            continue
        where = joined(path, rel)
        known = traits.get(where, frozenset[str]())
        target = _target(root, where)
        undo = Undo.SNAPSHOT if was is not None and was.kept else Undo.NONE
        if will is None and was is not None:
            out.append(Effect(Verb.DELETE, target, files(_count(was)), undo, before=was.digest, traits=known))
        elif will is not None and was is None:
            content = will.digest
            out.append(Effect(Verb.CREATE, target, files(_count(will)), Undo.TRIVIAL, content=content, traits=known))
        elif will is not None and was is not None:
            out.append(
                Effect(
                    Verb.UPDATE,
                    target,
                    files(max(_count(was), _count(will))),
                    undo,
                    before=was.digest,
                    content=will.digest,
                    traits=known,
                )
            )
    return out


def _departures(
    root: str, source: str, gone: Nodes, refill: Nodes | None, traits: Mapping[str, frozenset[str]]
) -> list[Effect]:
    """A moved thing is gone from its source: nothing is lost, and still it is not there any more."""
    content = refill[0].digest if refill else None
    return [
        Effect(
            Verb.UPDATE,
            _target(root, joined(source, node.rel)),
            files(_count(node)),
            Undo.SNAPSHOT,
            before=node.digest,
            content=content if not node.rel else None,
            traits=traits.get(joined(source, node.rel), frozenset[str]()) | {"moved-away"},
        )
        for node in sorted(gone, key=lambda node: node.rel)
    ]
