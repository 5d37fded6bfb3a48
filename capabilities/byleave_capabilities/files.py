"""Files of the workspace: write, edit, move, remove. Reading and searching: `looking.py`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from byleave.capability import Arguments, FileHands, Hints, Located, Refused, Result, Sort, Tool, Tree, View, Word
from byleave.effects import Effect, Extent, Plan, Target, Undo, Unit, Verb, files, printable, unknown
from byleave_capabilities.editing import Edit, edited
from byleave_capabilities.looking import UNSEEN, PathArgument, require_there, tree_of
from byleave_capabilities.text import decode, is_binary, recode, unified

MAX_EDITED = 10 << 20  # bytes of a file that is edited, or compared before it is replaced
MAX_KEPT = 100 << 20  # bytes of a before-image


@dataclass(frozen=True, slots=True)
class Present:
    """A file to be changed, and its content where it is small enough to be compared."""

    at: Located
    content: bytes | None

    @property
    def before(self) -> str | None:
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()


async def _present(path: str, view: View, *, follow: bool = True) -> Present:
    at = await view.files.locate(path, follow=follow)
    seen = at.sort is Sort.FILE and at.size <= MAX_EDITED and not at.traits & UNSEEN
    return Present(at, await view.files.content(at, MAX_EDITED) if seen else None)


def _changing(facts: Present, content: bytes | None) -> Effect:
    """One file created or replaced."""
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    if not facts.at.exists:
        return Effect(Verb.CREATE, facts.at.target, files(1), Undo.TRIVIAL, content=digest, traits=facts.at.traits)
    return Effect(
        Verb.UPDATE,
        facts.at.target,
        files(1),
        _undo(facts.at),
        before=facts.before,
        content=digest,
        traits=facts.at.traits,
    )


class WriteArgs(Arguments):
    path: PathArgument
    text: Annotated[str, Field(max_length=10_000_000, description="The whole content")]


class WriteFile(Tool[WriteArgs, Present, FileHands]):
    """Create a file, or replace the whole of it; missing folders are made. Encoding, line endings and mode of a file
    that is replaced are kept. Undoable with gate_undo. Refused: paths outside the workspace, hidden files, folders. To
    change a part of a file use files_edit."""

    name = "files_write"
    title = "Write a file"
    capability = "files"
    hints = Hints(read_only=False, destructive=True, idempotent=True)

    async def survey(self, args: WriteArgs, view: View) -> Present:
        return await _present(args.path, view)

    def plan(self, args: WriteArgs, facts: Present) -> Plan:
        _require_file(args.path, facts.at)
        return Plan((_changing(facts, recode(args.text, facts.content)[0]),), staged=True)

    def preview(self, args: WriteArgs, facts: Present) -> str:
        return unified(_shown(facts.content), args.text, printable(facts.at.path))

    async def perform(self, args: WriteArgs, facts: Present, hands: FileHands) -> Result:
        content, kept = recode(args.text, facts.content)
        if content == facts.content:
            return Result(f"`{printable(args.path)}` has exactly this content already: nothing changed")
        await hands.write(facts.at, content)
        done = "replaced" if facts.at.exists else "created"
        notes = [kept] if kept else []
        if "hard-link" in facts.at.traits:
            notes.append("its other names (hard links) keep the old content")
        return Result(
            f"{done} `{printable(args.path)}`, {Extent(Unit.BYTES, len(content))}" + "".join(f" [{n}]" for n in notes)
        )


class EditArgs(Arguments):
    path: PathArgument
    edits: Annotated[list[Edit], Field(min_length=1, max_length=200)]


class EditFile(Tool[EditArgs, Present, FileHands]):
    """Replace exact text in a file, one edit after the other, all of them or none. `old` must be there exactly once,
    unless `all`. Use \\n for line ends: CRLF files keep theirs. Undoable with gate_undo. Refused: text not found (the
    nearest is told) or found more than once (the lines are told), hidden files, paths outside the workspace."""

    name = "files_edit"
    title = "Edit a file"
    capability = "files"
    hints = Hints(read_only=False, destructive=True, idempotent=False)

    async def survey(self, args: EditArgs, view: View) -> Present:
        return await _present(args.path, view)

    def plan(self, args: EditArgs, facts: Present) -> Plan:
        require_there(args.path, facts.at)
        _require_file(args.path, facts.at)
        if facts.at.size > MAX_EDITED:
            raise Refused(
                Word.FAILED,
                f"`{printable(args.path)}` is larger than {MAX_EDITED:,} bytes",
                "ask a person to change it",
            )
        try:
            content = _edited(args, facts, tell=False)
        except Refused:  # what stands there is told only by `perform`, after it was judged that it may be
            content = None
        return Plan((_changing(facts, content),), staged=True)

    def preview(self, args: EditArgs, facts: Present) -> str:
        return unified(_shown(facts.content), _shown(_edited(args, facts)), printable(facts.at.path))

    async def perform(self, args: EditArgs, facts: Present, hands: FileHands) -> Result:
        await hands.write(facts.at, _edited(args, facts))
        count = len(args.edits)
        return Result(f"edited `{printable(args.path)}`: {count} edit{'s' if count > 1 else ''} made")


def _edited(args: EditArgs, facts: Present, *, tell: bool = True) -> bytes:
    if facts.content is None:
        raise Refused(Word.FAILED, f"`{printable(args.path)}` cannot be read")
    return edited(facts.content, args.edits, args.path, most=MAX_EDITED, tell=tell)


@dataclass(frozen=True, slots=True)
class Moving:
    source: Present
    target: Present
    tree: Tree


class MoveArgs(Arguments):
    source: PathArgument
    target: Annotated[str, Field(description="The new path in full, not the folder to move into")]


class MoveFile(Tool[MoveArgs, Moving, FileHands]):
    """Move or rename a file, a link or a folder with all that is in it; missing folders are made. An existing file at
    the target is replaced if the policy allows it; a folder never is. Undoable with gate_undo. Refused: hidden files,
    paths outside the workspace, a folder into itself."""

    name = "files_move"
    title = "Move a file or folder"
    capability = "files"
    hints = Hints(read_only=False, destructive=True, idempotent=False)

    async def survey(self, args: MoveArgs, view: View) -> Moving:
        source = await _present(args.source, view, follow=False)
        target = await _present(args.target, view, follow=False)
        return Moving(source, target, await tree_of(source.at, view))

    def plan(self, args: MoveArgs, facts: Moving) -> Plan:
        source, target = facts.source.at, facts.target.at
        require_there(args.source, source)
        if target.sort is Sort.FOLDER:
            full = f"{args.target.rstrip('/')}/{source.path.split('/')[-1]}"
            raise Refused(
                Word.INVALID_ARGUMENTS,
                f"`{printable(args.target)}` is a folder",
                f"give the new path in full, such as `{printable(full)}`",
            )
        if not facts.tree.complete:
            whole = unknown(Unit.FILES)
            return Plan(
                (
                    Effect(Verb.UPDATE, source.target, whole, Undo.SNAPSHOT, waits=True, traits=facts.tree.traits),
                    Effect(Verb.CREATE, target.target, whole, Undo.TRIVIAL, waits=True, traits=target.traits),
                ),
                staged=True,
            )
        gone = [
            Effect(
                Verb.UPDATE, each.target, _one(each), Undo.SNAPSHOT,
                before=facts.source.before if each.path == source.path else None,
                traits=each.traits | {"moved-away"},
            )
            for each in facts.tree.below
        ]  # fmt: skip
        come = [
            Effect(Verb.CREATE, _moved(each, source, target), _one(each), Undo.TRIVIAL, traits=target.traits & UNSEEN)
            for each in facts.tree.below[1:]
        ]
        first = _changing(facts.target, None)
        first = Effect(
            first.verb, first.target, _one(source), first.undo,
            before=first.before, content=facts.source.before, traits=first.traits,
        )  # fmt: skip
        return Plan((*gone, first, *come), staged=True)

    async def perform(self, args: MoveArgs, facts: Moving, hands: FileHands) -> Result:
        await hands.move(facts.source.at, facts.target.at)
        over = ", replacing what was there" if facts.target.at.exists else ""
        return Result(f"moved `{printable(args.source)}` to `{printable(args.target)}`{over}")


@dataclass(frozen=True, slots=True)
class Leaving:
    present: Present
    tree: Tree


class RemoveArgs(Arguments):
    path: PathArgument
    recursive: Annotated[bool, Field(description="Needed for a folder that is not empty")] = False


class RemoveFile(Tool[RemoveArgs, Leaving, FileHands]):
    """Remove a file, a link (not what it leads to), an empty folder, or with `recursive` a folder and all that is in
    it. Every file is kept as it was: undoable with gate_undo. Refused: hidden files and folders that hold some, paths
    outside the workspace, the workspace itself; many files at once may need a person's approval."""

    name = "files_remove"
    title = "Remove a file or folder"
    capability = "files"
    hints = Hints(read_only=False, destructive=True, idempotent=False)

    async def survey(self, args: RemoveArgs, view: View) -> Leaving:
        present = await _present(args.path, view, follow=False)
        return Leaving(present, await tree_of(present.at, view))

    def plan(self, args: RemoveArgs, facts: Leaving) -> Plan:
        at = facts.present.at
        require_there(args.path, at)
        if not facts.tree.complete:
            traits = facts.tree.traits
            effect = Effect(Verb.DELETE, at.target, unknown(Unit.FILES), Undo.SNAPSHOT, waits=True, traits=traits)
            return Plan((effect,), staged=True)
        return Plan(
            tuple(
                Effect(
                    Verb.DELETE, each.target, _one(each), _undo(each),
                    before=facts.present.before if each.path == at.path else None, traits=each.traits,
                )
                for each in facts.tree.below
            ),
            staged=True,
        )  # fmt: skip

    def preview(self, args: RemoveArgs, facts: Leaving) -> str:
        del args
        return "\n".join(printable(each.path) for each in facts.tree.below[:200])

    async def perform(self, args: RemoveArgs, facts: Leaving, hands: FileHands) -> Result:
        tree = facts.tree
        if tree.files + tree.folders > 1 and not args.recursive:
            raise Refused(
                Word.FAILED,
                f"`{printable(args.path)}` is a folder that holds {files(tree.files)}",
                "nothing was removed; set `recursive` to remove all of it",
            )
        await hands.remove(facts.present.at, recursive=args.recursive)
        if facts.present.at.sort is not Sort.FOLDER:
            return Result(f"removed `{printable(args.path)}`")
        held = files(tree.files) if tree.complete else "everything"
        return Result(f"removed the folder `{printable(args.path)}` and {held} in it")


def _moved(each: Located, source: Located, target: Located) -> Target:
    return Target.file(target.target.name + each.target.name[len(source.target.name) :])


def _one(at: Located) -> Extent:
    return files(0 if at.sort is Sort.FOLDER else 1)


def _undo(at: Located) -> Undo:
    return Undo.NONE if at.sort is Sort.FILE and at.size > MAX_KEPT else Undo.SNAPSHOT


def _shown(content: bytes | None) -> str:
    return "" if content is None or is_binary(content) else decode(content)[0]


def _require_file(path: str, at: Located) -> None:
    if at.sort in (Sort.FOLDER, Sort.SPECIAL) and not at.traits & UNSEEN:
        what = "a folder" if at.sort is Sort.FOLDER else "a device, socket or pipe"
        raise Refused(Word.INVALID_ARGUMENTS, f"`{printable(path)}` is {what}", "give the path of a file")
