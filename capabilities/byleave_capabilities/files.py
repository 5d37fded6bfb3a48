"""Files of the workspace: read, search, write, edit, move, remove."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from byleave.capability import (
    LOOKS,
    Arguments,
    FileHands,
    FileReading,
    Hints,
    Listed,
    Located,
    Refused,
    Result,
    Search,
    Sort,
    Tool,
    Tree,
    View,
    Word,
)
from byleave.effects import Effect, Extent, Plan, Target, Undo, Unit, Verb, files, printable, unknown
from byleave_capabilities.text import cut, decode, is_binary, kind_of, line_numbers, nearest, recode, unified

MAX_SHOWN = 20_000  # characters of one answer
MAX_LINE = 2_000  # characters of one line
MAX_EDITED = 10 << 20  # bytes of a file that is edited, or compared before it is replaced
MAX_KEPT = 100 << 20  # bytes of a before-image
_PIECE = 256 << 10
_ENOUGH = 1 << 20  # bytes from the first line shown: more than an answer can hold, even of long lines
_UNSEEN = frozenset({"hidden", "hidden-alias", "outside"})  # traits of what is judged by its name alone

PathArgument = Annotated[str, Field(description="Relative to the workspace, `/` between the parts")]


class ReadArgs(Arguments):
    path: PathArgument
    offset: Annotated[int, Field(ge=1, description="First line, from 1")] = 1
    limit: Annotated[int, Field(ge=1, le=10_000, description="Lines")] = 2_000


class ReadFile(Tool[ReadArgs, Located, FileReading]):
    """Read a text file with line numbers, or list a folder. Answers hold at most 20,000 characters and name the call
    that reads on. Binary files are described, not shown. Refused: paths outside the workspace and files that the policy
    hides; ask a person for those."""

    name = "files_read"
    title = "Read a file or folder"
    capability = "files"
    hints = LOOKS

    async def survey(self, args: ReadArgs, view: View) -> Located:
        return await view.files.locate(args.path)

    def plan(self, args: ReadArgs, facts: Located) -> Plan:
        _require_there(args.path, facts)
        return Plan((Effect(Verb.READ, facts.target, files(1), Undo.TRIVIAL, traits=facts.traits),))

    async def perform(self, args: ReadArgs, facts: Located, hands: FileReading) -> Result:
        if facts.sort is Sort.FOLDER:
            listed, more = await hands.entries(facts, args.offset - 1 + args.limit)
            return Result(_listing(args, listed[args.offset - 1 :], more=more))
        start = await hands.content(facts, 0, min(_PIECE, max(1, facts.size)))
        if is_binary(start):
            return Result(f"`{printable(args.path)}`: {kind_of(start)}, {facts.size:,} bytes; not text, so not shown")
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            if facts.size > MAX_EDITED:
                return Result(f"`{printable(args.path)}`: UTF-16 text of {facts.size:,} bytes; too large to show")
            whole = await hands.content(facts, 0, facts.size)
            return Result(_page(args, decode(whole)[0].split("\n"), 1, decode(whole)[1].name, ended=True))
        return Result(await _paged(args, facts, hands, start))


async def _paged(args: ReadArgs, facts: Located, hands: FileReading, start: bytes) -> str:
    """The asked lines, read by pieces: only what is shown is ever held."""
    shown, skip, piece, position = bytearray(), args.offset - 1, start, len(start)
    while piece:
        passed = min(skip, piece.count(b"\n"))
        skip -= passed
        if skip == 0:
            shown += piece.split(b"\n", passed)[passed] if passed else piece
        if len(shown) > _ENOUGH or shown.count(b"\n") > args.limit:
            break
        piece = await hands.content(facts, position, _PIECE) if position < facts.size else b""
        position += len(piece)
    if args.offset > 1 and not shown:
        raise Refused(Word.NOT_FOUND, f"`{printable(args.path)}` has no line {args.offset:,}")
    text, coding = decode(bytes(shown))
    return _page(args, text.split("\n"), args.offset, coding.name, ended=not piece)


def _page(args: ReadArgs, lines: list[str], first: int, coding: str, *, ended: bool) -> str:
    """Numbered lines, at most MAX_SHOWN characters; then what there is to know, and the call that reads on."""
    if first == 1 and args.offset > 1:
        lines, first = lines[args.offset - 1 :], args.offset
    if ended and lines and lines[-1] == "":
        lines = lines[:-1]
    shown: list[str] = []
    size = 0
    for number, line in enumerate(lines[: args.limit], first):
        numbered = f"{number:>6}\t{cut(line.rstrip(chr(13)), MAX_LINE)}"
        if size + len(numbered) > MAX_SHOWN:
            break
        shown.append(numbered)
        size += len(numbered) + 1
    after = first + len(shown)
    notes = [coding] if coding else []
    if not ended or len(shown) < len(lines):
        of = f" of {first + len(lines) - 1:,}" if ended else ""
        notes.append(f"lines {first:,} to {after - 1:,}{of}; read on: files_read path={args.path!r} offset={after}")
    if not shown:
        notes.append("the file is empty" if first == 1 else f"the file has {first - 1:,} lines at most")
    return "\n".join([*shown, *(f"[{printable(note)}]" for note in notes)])


def _listing(args: ReadArgs, listed: Iterable[Listed], *, more: bool) -> str:
    lines: list[str] = []
    size = 0
    for count, entry in enumerate(listed):
        match entry.sort:
            case Sort.FOLDER:
                line = f"{printable(entry.name)}/"
            case Sort.LINK:
                line = f"{printable(entry.name)} (link)"
            case Sort.SPECIAL:
                line = f"{printable(entry.name)} (device, socket or pipe)"
            case Sort.FILE | Sort.ABSENT:
                line = f"{printable(entry.name)}  {entry.size:,} bytes"
        size += len(line) + 1
        if size > MAX_SHOWN:
            more = True
            break
        lines.append(line)
        del count
    if more:
        lines.append(f"[there are more: files_read path={args.path!r} offset={args.offset + len(lines)}]")
    return "\n".join(lines) or "[the folder is empty]"


class SearchArgs(Arguments):
    pattern: str | None = Field(None, min_length=1, max_length=1_000, description="Regular expression, line by line")
    glob: str | None = Field(None, min_length=1, max_length=1_000, description="As in .gitignore: `*.py`, `src/**/a*`")
    path: PathArgument = "."
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class SearchFiles(Tool[SearchArgs, Located, FileReading]):
    """Search file contents by regular expression, or names by glob, or both together, below a folder. Passes over what
    .gitignore ignores, binary files and what the policy hides. Answers with path:line: text. Refused: paths outside
    the workspace, and a pattern that is no regular expression (the position is told)."""

    name = "files_search"
    title = "Search files"
    capability = "files"
    hints = LOOKS

    async def survey(self, args: SearchArgs, view: View) -> Located:
        return await view.files.locate(args.path)

    def plan(self, args: SearchArgs, facts: Located) -> Plan:
        if args.pattern is None and args.glob is None:
            raise Refused(Word.INVALID_ARGUMENTS, "nothing to look for", "give `pattern`, `glob` or both")
        _require_there(args.path, facts)
        return Plan((Effect(Verb.SEARCH, facts.target, files(1), Undo.TRIVIAL, traits=facts.traits),))

    async def perform(self, args: SearchArgs, facts: Located, hands: FileReading) -> Result:
        found = await hands.search(facts, Search(args.pattern, args.glob, args.limit))
        lines: list[str] = []
        size = 0
        note = found.note
        for match in found.matches:
            where = printable(match.path)
            line = where if match.line is None else f"{where}:{match.line}: {cut(match.text or '', 300)}"
            size += len(line) + 1
            if size > MAX_SHOWN:
                note = f"only the first {len(lines):,} are shown"
                break
            lines.append(line)
        if note:
            lines.append(f"[{note}; narrow it by path or glob]" if "narrow" not in note else f"[{note}]")
        return Result("\n".join(lines) or "[nothing found]")


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
    seen = at.sort is Sort.FILE and at.size <= MAX_EDITED and not at.traits & _UNSEEN
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
        return Plan((_changing(facts, _recoded(args.text, facts)[0]),), staged=True)

    def preview(self, args: WriteArgs, facts: Present) -> str:
        return unified(_shown(facts.content), args.text, printable(facts.at.path))

    async def perform(self, args: WriteArgs, facts: Present, hands: FileHands) -> Result:
        content, kept = _recoded(args.text, facts)
        if content == facts.content:
            return Result(f"`{printable(args.path)}` has exactly this content already: nothing changed")
        await hands.write(facts.at, content)
        done = "replaced" if facts.at.exists else "created"
        notes = [kept] if kept else []
        if "hard-link" in facts.at.traits:
            notes.append("its other names (hard links) keep the old content")
        return Result(f"{done} `{printable(args.path)}`, {len(content):,} bytes" + "".join(f" [{n}]" for n in notes))


def _recoded(text: str, facts: Present) -> tuple[bytes, str]:
    try:
        return recode(text, facts.content)
    except UnicodeEncodeError:
        raise Refused(Word.INVALID_ARGUMENTS, "the text is not valid Unicode") from None


class Edit(Arguments):
    old: Annotated[str, Field(min_length=1, description="Exact text, without line numbers")]
    new: str
    all: Annotated[bool, Field(description="Every occurrence, not the only one")] = False


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
        _require_there(args.path, facts.at)
        _require_file(args.path, facts.at)
        if facts.at.size > MAX_EDITED:
            raise Refused(Word.FAILED, f"`{printable(args.path)}` is larger than {MAX_EDITED:,} bytes", "use the shell")
        try:
            content = _edited(args, facts)
        except Refused:  # what stands there is told only by `perform`, after it was judged that it may be
            content = None
        return Plan((_changing(facts, content),), staged=True)

    def preview(self, args: EditArgs, facts: Present) -> str:
        return unified(_shown(facts.content), _shown(_edited(args, facts)), printable(facts.at.path))

    async def perform(self, args: EditArgs, facts: Present, hands: FileHands) -> Result:
        await hands.write(facts.at, _edited(args, facts))
        count = len(args.edits)
        return Result(f"edited `{printable(args.path)}`: {count} edit{'s' if count > 1 else ''} made")


def _edited(args: EditArgs, facts: Present) -> bytes:
    if facts.content is None:
        raise Refused(Word.FAILED, f"`{printable(args.path)}` cannot be read")
    if is_binary(facts.content):
        raise Refused(Word.FAILED, f"`{printable(args.path)}` is a {kind_of(facts.content)}, not text")
    text, coding = decode(facts.content)
    for number, edit in enumerate(args.edits, 1):
        old, new = (part.replace("\r\n", "\n") if coding.crlf else part for part in (edit.old, edit.new))
        where = f"edit {number} of {len(args.edits)}"
        if old == new:
            raise Refused(Word.INVALID_ARGUMENTS, f"{where}: `old` and `new` are the same")
        count = text.count(old)
        if count == 0:
            like = nearest(text, old)
            raise Refused(
                Word.NOT_FOUND,
                f"{where}: `old` is not in `{printable(args.path)}`",
                f"nothing was changed; {like or 'read the file again: nothing in it is like this'}",
            )
        if count > 1 and not edit.all:
            lines = line_numbers(text, old)
            shown = ", ".join(str(line) for line in lines[:10]) + (", …" if len(lines) > 10 else "")
            raise Refused(
                Word.INVALID_ARGUMENTS,
                f"{where}: `old` is there {count} times, at lines {shown}",
                "nothing was changed; add lines around it until it is the only one, or set `all`",
            )
        text = text.replace(old, new)
    try:
        return coding.encode(text)
    except UnicodeEncodeError:
        raise Refused(
            Word.FAILED,
            f"`{printable(args.path)}` is {coding.encoding.upper()}, which lacks a character of the new text",
        ) from None


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
        return Moving(source, target, await _tree(source.at, view))

    def plan(self, args: MoveArgs, facts: Moving) -> Plan:
        source, target = facts.source.at, facts.target.at
        _require_there(args.source, source)
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
            Effect(Verb.CREATE, _moved(each, source, target), _one(each), Undo.TRIVIAL, traits=target.traits & _UNSEEN)
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
        return Leaving(present, await _tree(present.at, view))

    def plan(self, args: RemoveArgs, facts: Leaving) -> Plan:
        at = facts.present.at
        _require_there(args.path, at)
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
                f"`{printable(args.path)}` is a folder that holds {tree.files:,} files",
                "nothing was removed; set `recursive` to remove all of it",
            )
        await hands.remove(facts.present.at, recursive=args.recursive)
        if facts.present.at.sort is not Sort.FOLDER:
            return Result(f"removed `{printable(args.path)}`")
        held = f"{tree.files:,} files" if tree.complete else "everything"
        return Result(f"removed the folder `{printable(args.path)}` and {held} in it")


async def _tree(at: Located, view: View) -> Tree:
    if at.sort is Sort.FOLDER and "outside" not in at.traits:
        return await view.files.tree(at)
    return Tree(1, 0, complete=True, below=(at,), traits=at.traits)


def _moved(each: Located, source: Located, target: Located) -> Target:
    return Target.file(target.target.name + each.target.name[len(source.target.name) :])


def _one(at: Located) -> Extent:
    return files(0 if at.sort is Sort.FOLDER else 1)


def _undo(at: Located) -> Undo:
    return Undo.NONE if at.sort is Sort.FILE and at.size > MAX_KEPT else Undo.SNAPSHOT


def _shown(content: bytes | None) -> str:
    return "" if content is None or is_binary(content) else decode(content)[0]


def _require_there(path: str, at: Located) -> None:
    """What is hidden or outside is never told to be missing: it is judged, and denied, by its name."""
    if not at.exists and not at.traits & _UNSEEN:
        raise Refused(
            Word.NOT_FOUND, f"`{printable(path)}` is not there", "look with files_read on the folder above it"
        )


def _require_file(path: str, at: Located) -> None:
    if at.sort in (Sort.FOLDER, Sort.SPECIAL) and not at.traits & _UNSEEN:
        what = "a folder" if at.sort is Sort.FOLDER else "a device, socket or pipe"
        raise Refused(Word.INVALID_ARGUMENTS, f"`{printable(path)}` is {what}", "give the path of a file")


FILES = (ReadFile(), SearchFiles(), WriteFile(), EditFile(), MoveFile(), RemoveFile())
