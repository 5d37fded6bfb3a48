"""Looking at the world through a manifest: has it moved on, how to reverse it, what a crash left behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from byleave.capability import Refused, Sort, Word
from byleave.effects import printable
from byleave.hands.files import system
from byleave.hands.files.building import Draft, build, draft, raze, sync_folder, unmake
from byleave.hands.files.committing import GONE, Work
from byleave.hands.files.ground import Ground
from byleave.hands.files.manifest import Change, changes_of, joined
from byleave.hands.files.nodes import Node, Nodes, alike, look_at
from byleave.hands.files.resolve import Descriptor, Landing, Written, refusal
from byleave.hands.files.staging import FileStage, without_setid
from byleave.hands.stage import Settled

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class _State(Enum):
    BEFORE = auto()
    AFTER = auto()
    BETWEEN = auto()  # ours, in the middle of it
    OTHER = auto()  # someone else's


@dataclass(frozen=True, slots=True)
class _Side:
    """A place as it is now. `folder` is None where its folder is not there any more."""

    folder: Descriptor | None
    name: str
    nodes: Nodes | None


def moved_on(ground: Ground, manifest: Mapping[str, object]) -> tuple[str, ...]:
    """The paths at which the world is not as the call left it: undo would overwrite someone's work there.

    Refused for another workspace's change: the same names here say nothing about it.
    """
    if manifest.get("workspace") != ground.resolver.real:
        raise Refused(Word.FAILED, "this was another workspace's change", "nothing was done. a person undoes it there")
    return tuple(path for change in changes_of(manifest) for path in _moved(ground, change))


def reversed_stage(ground: Ground, manifest: Mapping[str, object]) -> FileStage:
    """A stage that takes the manifest's changes back. Refused where the world moved on, or an image was not kept."""
    changed = moved_on(ground, manifest)
    if changed:
        shown = ", ".join(f"`{printable(path)}`" for path in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise Refused(
            Word.CONFLICT,
            f"changed since: {shown}{more}",
            "nothing was done; undo what came later first, or edit by hand",
        )
    stage = FileStage(ground, None)
    for change in reversed(changes_of(manifest)):
        lost = [node for node in change.before or () if not node.kept]
        if lost:
            where = printable(joined(change.path, lost[0].rel))
            raise Refused(Word.FAILED, f"`{where}` was too large for a before-image to be kept")
        try:
            stage.fill(_reverse(ground, change, stage))
        except OSError as error:
            raise refusal(error, change.path) from None
    return stage


def settle(ground: Ground, manifest: Mapping[str, object]) -> Settled:
    """After a crash: all of it, or nothing of it. Where the world matches neither, nothing is touched."""
    changes = changes_of(manifest)
    with ground.lock():
        try:
            return _settled(ground, changes)
        except (OSError, Refused):  # not ours to read or to write any more, or an image is gone
            return Settled.UNKNOWN


def _settled(ground: Ground, changes: Sequence[Change]) -> Settled:
    states = [_state(ground, change) for change in changes]
    if _State.OTHER in states:
        return Settled.UNKNOWN
    if all(state is _State.AFTER for state in states):
        for change in changes:
            _clean(ground, change)
            unmake(ground.resolver, change.unmade)
        return Settled.COMMITTED
    for change, state in zip(reversed(changes), reversed(states), strict=True):
        if state is not _State.BEFORE:
            _put_back(ground, change)
    for change in reversed(changes):
        _clean(ground, change)
        unmake(ground.resolver, change.made)
    if all(state is _State.BEFORE for state in states):
        return Settled.DISCARDED
    after = [_state(ground, change) for change in changes]
    return Settled.REPAIRED if all(state is _State.BEFORE for state in after) else Settled.UNKNOWN


# -- reversing ------------------------------------------------------------------------------------------------------


def _moved(ground: Ground, change: Change) -> Iterator[str]:
    now = _side(ground, change.path)
    if change.source is None:
        if not alike(now.nodes, change.after):
            yield change.path
        return
    if not _is_thing(now.nodes, change.after):
        yield change.path
    if not alike(_side(ground, change.source).nodes, change.refill):
        yield change.source


def _reverse(ground: Ground, change: Change, stage: FileStage) -> Work:
    landing, temp = _landing(ground, change.path), stage.temp()
    if change.source is None:
        now = stage.look(landing)
        after = without_setid(change.before)
        turned = Change(
            change.path, now, after, temp, made=_missing(landing) if after else (), unmade=change.made
        )  # fmt: skip
        return Work(turned, landing, draft=_drafted(ground, landing, after))
    home = _landing(ground, change.source)
    now = None if landing.folder is None else _look(ground, landing.folder.fd, landing.name, like=change.after)
    turned = Change(
        change.source, change.refill, now, temp, source=change.path, refill=without_setid(change.before),
        made=_missing(home), unmade=change.made,
    )  # fmt: skip
    return Work(turned, home, origin=landing)


def _drafted(ground: Ground, landing: Landing, after: Nodes | None) -> Draft | None:
    if after is None or after[0].sort is not Sort.FILE or landing.folder is None:
        return None
    node = after[0]
    return draft(landing.folder.fd, ground.private, ground.keeper.image(node.digest or ""), node, time=True)


def _landing(ground: Ground, path: str) -> Landing:
    """A canonical path again; that it still is canonical is part of the world not having moved on."""
    landing = ground.resolver.resolve(Written(tuple(path.split("/")), False, path), follow=False, warm=False)
    if landing.outside is not None or landing.path != path:
        raise Refused(Word.CONFLICT, f"`{printable(path)}` leads elsewhere now", "nothing was done")
    return landing


def _missing(landing: Landing) -> tuple[str, ...]:
    return tuple("/".join((*landing.parts, *landing.missing[: count + 1])) for count in range(len(landing.missing)))


# -- settling -------------------------------------------------------------------------------------------------------


def _state(ground: Ground, change: Change) -> _State:
    if change.source is not None:
        return _state_of_move(ground, change)
    now = _side(ground, change.path)
    if alike(now.nodes, change.after) and not _is_marked_other(ground, change, now):
        return _State.AFTER
    return _State.BEFORE if alike(now.nodes, change.before) else _State.OTHER


def _is_marked_other(ground: Ground, change: Change, now: _Side) -> bool:
    """Displaced, and then written to by someone who held it open: not what was to be replaced."""
    if now.folder is None or change.before is None:
        return False
    left = _look(ground, now.folder.fd, change.temp)
    return left is not None and not alike(left, change.before)


def _state_of_move(ground: Ground, change: Change) -> _State:
    target, source = _side(ground, change.path), _side(ground, change.source or "")
    if _is_thing(target.nodes, change.after):
        if alike(source.nodes, change.refill):
            return _State.AFTER
        return _State.BETWEEN if source.nodes is None or alike(source.nodes, change.before) else _State.OTHER
    if _is_thing(source.nodes, change.after) and alike(target.nodes, change.before):
        return _State.BEFORE
    return _State.OTHER


def _put_back(ground: Ground, change: Change) -> None:
    """From after, or from between, to before: from what lies under the temporary name, else from the images."""
    if change.source is not None:
        _put_back_move(ground, change)
        return
    now = _side(ground, change.path)
    if now.folder is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), change.path)
    if change.before is None:
        raze(ground.resolver, now.folder.fd, now.name)
        sync_folder(now.folder)
        return
    left = _look(ground, now.folder.fd, change.temp)
    if not alike(left, change.before):
        raze(ground.resolver, now.folder.fd, change.temp)
        build(ground.resolver, now.folder.fd, change.temp, change.before, ground.keeper.image)
    swap = system.rename_new if now.nodes is None else system.exchange
    swap(now.folder.fd, change.temp, now.folder.fd, now.name)
    sync_folder(now.folder)


def _put_back_move(ground: Ground, change: Change) -> None:
    target, source = _side(ground, change.path), _side(ground, change.source or "")
    if target.folder is None or source.folder is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), change.path)
    there, home = target.folder, source.folder
    is_displaced = change.before is not None and alike(source.nodes, change.before)
    if not is_displaced:
        raze(ground.resolver, home.fd, source.name)  # the refill, if anything
    if change.before is None:
        system.rename_new(there.fd, target.name, home.fd, source.name)
    else:
        if not is_displaced:
            if not alike(_look(ground, home.fd, change.temp), change.before):
                raze(ground.resolver, home.fd, change.temp)
                build(ground.resolver, home.fd, change.temp, change.before, ground.keeper.image)
            system.rename_new(home.fd, change.temp, home.fd, source.name)
        system.exchange(there.fd, target.name, home.fd, source.name)
    sync_folder(there)
    sync_folder(home)


def _clean(ground: Ground, change: Change) -> None:
    """Take our temporary names away."""
    side = _side(ground, change.source or change.path)
    if side.folder is not None:
        for name in (change.temp, change.temp + GONE, change.temp + ".aside"):
            raze(ground.resolver, side.folder.fd, name)


# -- looking --------------------------------------------------------------------------------------------------------


def _side(ground: Ground, path: str) -> _Side:
    parts = path.split("/")
    try:
        folder = ground.resolver.open_below(ground.resolver.root.fd, parts[:-1])
    except OSError as error:
        if error.errno in _GONE:
            return _Side(None, parts[-1], None)
        raise
    return _Side(folder, parts[-1], _look(ground, folder.fd, parts[-1]))


def _look(ground: Ground, folder: int, name: str, like: Nodes | None = None) -> Nodes | None:
    """What lies there; `()`, like nothing, where it is of a kind that could never have been ours."""
    by_name = like is not None and like[0].sort is Sort.FOLDER
    try:
        return look_at(ground.resolver, folder, name, digests=not by_name)
    except OSError as error:
        if error.errno in (errno.ENXIO, *_GONE):
            return ()
        raise


def _is_thing(now: Nodes | None, thing: Nodes | None) -> bool:
    """Whether what lies there is the moved thing: a folder by being one with its rights, whatever has come into it."""
    if not now or not thing:
        return False
    if thing[0].sort is Sort.FOLDER:
        return _as_root(now[0]).is_like(_as_root(thing[0]))
    return alike(now, thing)


def _as_root(node: Node) -> Node:
    return replace(node, rel="")
