"""The program that matches a pattern, run by `scanning.py` as a process of its own: a pattern that never ends is killed
with it, and holds nobody else up. It sees text on its standard input and opens nothing. Standard library only.

Frames, big-endian length first: in comes the pattern, then one text after the other; out goes, for each, a JSON list of
the line numbers that match (for the pattern: null, or the error with its position).
"""

from __future__ import annotations

import json
import re
import struct
import sys
from typing import BinaryIO

MAX_LINE = 10_000  # characters of a line that are matched: what is longer is data


def frame(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def read_frame(source: BinaryIO) -> bytes | None:
    head = source.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack(">I", head)
    return source.read(size)


def main() -> None:
    source, out = sys.stdin.buffer, sys.stdout.buffer
    pattern = read_frame(source) or b""
    try:
        find = re.compile(pattern.decode()).search
    except (re.error, RecursionError, OverflowError) as error:
        told = {"error": getattr(error, "msg", "too large"), "position": getattr(error, "pos", None)}
        out.write(frame(json.dumps(told).encode()))
        return
    out.write(frame(b"null"))
    out.flush()
    while (text := read_frame(source)) is not None:
        lines = text.decode("utf-8", "surrogatepass").split("\n")
        hits = [number for number, line in enumerate(lines, 1) if find(line[:MAX_LINE].removesuffix("\r"))]
        if hits and lines[-1] == "" and hits[-1] == len(lines):
            hits.pop()  # what follows the last line feed is no line
        out.write(frame(json.dumps(hits).encode()))
        out.flush()


if __name__ == "__main__":
    main()
