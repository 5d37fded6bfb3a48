"""Our own engine, where there is no ripgrep: Python's regular expressions, in a process that can be killed."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from byleave.capability import Refused, Word
from byleave.effects import printable
from byleave.hands.files.matcher import frame

_MATCHER = Path(__file__).with_name("matcher.py")


class TimeIsUp(Exception):  # noqa: N818  (no error: what was found until then is shown)
    """The search took as long as it may."""


class Scanner:
    """A matcher process for one pattern. Raises `Refused(INVALID_ARGUMENTS)` for what is no pattern."""

    def __init__(self, pattern: str, until: float) -> None:
        self._until = until
        self._child = subprocess.Popen(  # noqa: S603  our own file, with our own interpreter
            [sys.executable, "-I", "-S", os.fspath(_MATCHER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        try:
            answer = cast("dict[str, Any] | None", self._ask(pattern.encode("utf-8", "surrogatepass")))
        except BaseException:
            self.close()
            raise
        if answer is not None:
            self.close()
            raise bad_pattern(pattern, str(answer["error"]), answer["position"])

    def __enter__(self) -> Scanner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hits(self, text: str) -> list[int]:
        """The numbers of the lines that match. Raises `TimeIsUp`."""
        return cast("list[int]", self._ask(text.encode("utf-8", "surrogatepass")))

    def close(self) -> None:
        self._child.kill()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        self._child.wait()

    def _ask(self, content: bytes) -> object:
        source, out = self._child.stdin, self._child.stdout
        if source is None or out is None:
            raise TimeIsUp
        try:
            source.write(frame(content))
            source.flush()
        except BrokenPipeError:
            raise TimeIsUp from None
        (size,) = struct.unpack(">I", self._take(out.fileno(), 4))
        return json.loads(self._take(out.fileno(), size))

    def _take(self, fd: int, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            ready, _, _ = select.select([fd], [], [], max(0.0, self._until - time.monotonic()))
            piece = os.read(fd, size - len(got)) if ready else b""
            if not piece:
                raise TimeIsUp
            got += piece
        return bytes(got)


def bad_pattern(pattern: str, problem: str, position: int | None) -> Refused:
    where = "" if position is None else f" at character {position + 1}"
    return Refused(
        Word.INVALID_ARGUMENTS,
        f"`{printable(pattern)}` is no regular expression: {printable(problem).lower()}{where}",
        "write `\\(`, `\\[` and so on for the characters themselves",
    )
