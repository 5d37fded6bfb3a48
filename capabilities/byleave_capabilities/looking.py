"""Looking at the workspace: read a file or a folder, search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from byleave.capability import (
    LOOKS,
    Arguments,
    FileReading,
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
from byleave.effects import Effect, Extent, Plan, Undo, Unit, Verb, files, printable
from byleave_capabilities.text import cut, decode, is_binary, kind_of

MAX_SHOWN = 20_000  # characters of one answer
MAX_LINE = 2_000  # characters of one line
MAX_WHOLE = 10 << 20  # bytes of a file that is held whole, where it cannot be read by pieces
_PIECE = 256 << 10
_ENOUGH = 1 << 20  # bytes from the first line shown: more than an answer can hold, even of long lines
UNSEEN = frozenset({"hidden", "hidden-alias", "outside"})  # traits of what is judged by its name alone

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
        require_there(args.path, facts)
        return Plan((Effect(Verb.READ, facts.target, files(1), Undo.TRIVIAL, traits=facts.traits),))

    async def perform(self, args: ReadArgs, facts: Located, hands: FileReading) -> Result:
        if facts.sort is Sort.FOLDER:
            listed, more = await hands.entries(facts, args.offset - 1 + args.limit)
            return Result(_listing(args, listed[args.offset - 1 :], more=more))
        start = await hands.content(facts, 0, min(_PIECE, max(1, facts.size)))
        if is_binary(start):
            return Result(
                f"`{printable(args.path)}`: {kind_of(start)}, {Extent(Unit.BYTES, facts.size)}; not text, so not shown"
            )
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            if facts.size > MAX_WHOLE:
                return Result(
                    f"`{printable(args.path)}`: UTF-16 text of {Extent(Unit.BYTES, facts.size)}; too large to show"
                )
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
    return _page(args, text.split("\n"), args.offset, coding.name, ended=not piece or position >= facts.size)


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
        where = f"line {first:,}" if len(shown) == 1 else f"lines {first:,} to {after - 1:,}"
        notes.append(f"{where}{of}; read on: {_onwards(args, after)}")
    if not shown:
        notes.append("the file is empty" if first == 1 else f"the file has {first - 1:,} lines at most")
    return "\n".join([*shown, *(f"[{printable(note)}]" for note in notes)])


def _onwards(args: ReadArgs, offset: int) -> str:
    """The call that reads on, as it is to be made."""
    return f"files_read {json.dumps({'path': args.path, 'offset': offset}, ensure_ascii=False)}"


def _listing(args: ReadArgs, listed: Sequence[Listed], *, more: bool) -> str:
    lines: list[str] = []
    size = 0
    for entry in listed:
        lines.append(_entry(entry))
        size += len(lines[-1]) + 1
        if size > MAX_SHOWN:
            lines.pop()
            more = True
            break
    if more:
        lines.append(f"[there are more: {printable(_onwards(args, args.offset + len(lines)))}]")
    return "\n".join(lines) or "[the folder is empty]"


def _entry(entry: Listed) -> str:
    name = printable(entry.name)
    match entry.sort:
        case Sort.FOLDER:
            return f"{name}/"
        case Sort.LINK:
            return f"{name} (link)"
        case Sort.SPECIAL:
            return f"{name} (device, socket or pipe)"
        case Sort.FILE | Sort.ABSENT:
            return f"{name}  {Extent(Unit.BYTES, entry.size)}"


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
        require_there(args.path, facts)
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
                note = "there are more"
                break
            lines.append(line)
        if note:
            lines.append(f"[{note}; narrow it by path or glob]" if "narrow" not in note else f"[{note}]")
        return Result("\n".join(lines) or "[nothing found]")


async def tree_of(at: Located, view: View) -> Tree:
    """Everything below a place: of what is no folder, or not ours to look into, itself."""
    if at.sort is Sort.FOLDER and "outside" not in at.traits:
        return await view.files.tree(at)
    return Tree(1, 0, complete=True, below=(at,), traits=at.traits)


def require_there(path: str, at: Located) -> None:
    """What is hidden or outside is never told to be missing: it is judged, and denied, by its name."""
    if not at.exists and not at.traits & UNSEEN:
        raise Refused(
            Word.NOT_FOUND, f"`{printable(path)}` is not there", "look with files_read on the folder above it"
        )
