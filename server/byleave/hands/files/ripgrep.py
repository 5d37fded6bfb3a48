"""ripgrep as the engine that finds candidates fast. Nothing it says is shown unread: see `searching.py`."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

from byleave.hands.files.locating import Locator
from byleave.hands.files.scanning import TimeIsUp, bad_pattern

#: No configuration file, no following of links, no binary files, no git's own folder; dot files are files like others.
_OPTIONS = (
    "--no-config", "--json", "--hidden", "--no-require-git", "--no-ignore-global", "--no-ignore-exclude",
    "--no-messages", "--glob=!.git", "--sort=path", "--no-crlf",
)  # fmt: skip

#: In the place of a line's number: it cannot be told which line it was.
TOO_LONG = 0

_MAX_EVENT = (
    1 << 20
)  # bytes of one match as ripgrep tells it: 45 for each place in the line, so an agent can make it huge
_PATH = re.compile(rb'\{"type":"match","data":\{"path":(\{"(?:text|bytes)":"(?:[^"\\]|\\.)*"\})')


class Ripgrep:
    """Runs ripgrep over a folder of one workspace."""

    def __init__(self, path: str, locator: Locator) -> None:
        self._path = path
        self._locator = locator

    def hits(self, pattern: str, start: Sequence[str], until: float, max_bytes: int) -> Iterator[tuple[str, int, str]]:
        """Path in the workspace, line number and line, as ripgrep saw them; of a line that matches in very many places
        only the path, and `TOO_LONG`. Raises `TimeIsUp`, or `Refused` for what is no pattern."""
        if "\0" in pattern:
            raise bad_pattern(pattern, "it holds a NUL", pattern.index("\0"))
        root = self._locator.resolver.root.fd
        child = subprocess.Popen(  # noqa: S603  found outside the workspace; the pattern and the path are plain arguments
            [
                self._path, *_OPTIONS, f"--max-filesize={max_bytes}", f"--regexp={pattern}", "--",
                "/".join((".", *start)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=f"/proc/self/fd/{root}" if os.path.exists("/proc/self/fd") else self._locator.resolver.real,
            pass_fds=(root,),
            env={"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        clock = threading.Timer(max(0.0, until - time.monotonic()), child.kill)
        clock.start()
        try:
            for line in _events(child.stdout):
                if not line.endswith(b"\n"):
                    if (found := _PATH.match(line)) is not None:
                        yield _text(json.loads(found[1])).removeprefix("./"), TOO_LONG, ""
                    continue
                event: dict[str, Any] = json.loads(line)
                if event["type"] == "match":
                    data = event["data"]
                    yield _text(data["path"]).removeprefix("./"), data["line_number"], _text(data["lines"])
            told = child.stderr.read().decode("utf-8", "replace") if child.stderr else ""
            code = child.wait()
            if code < 0:
                raise TimeIsUp
            if code == 2 and told:
                raise _refusal(pattern, told)
        finally:
            clock.cancel()
            child.kill()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
            child.wait()


def _events(out: IO[bytes] | None) -> Iterator[bytes]:
    """The lines of ripgrep's answer; of one that is too long its beginning, without a line feed."""
    while out is not None and (line := out.readline(_MAX_EVENT)):
        yield line
        while not line.endswith(b"\n") and (line := out.readline(_MAX_EVENT)):
            pass


def _text(value: dict[str, str]) -> str:
    if "text" in value:
        return value["text"]
    return base64.b64decode(value["bytes"]).decode("utf-8", "surrogateescape")


def _refusal(pattern: str, told: str) -> Exception:
    """ripgrep shows the pattern, as `(?:pattern)`, with a caret under the place."""
    lines = told.splitlines()
    problem = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "")
    caret = next((line for line in lines if re.fullmatch(r" +\^+ *", line)), None)
    position = None if caret is None else max(0, caret.index("^") - 4 - len("(?:"))
    return bad_pattern(pattern, problem or lines[0].removeprefix("rg: "), position)
