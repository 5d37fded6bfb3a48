"""The names under which a protected thing is reached: where it lies, and the links on the way there."""

from __future__ import annotations

import os
from pathlib import Path

from byleave.policy.names import lies_in

_MAX_LINKS = 40  # as path_resolution(7)


def ways(path: Path, workspace: Path) -> tuple[str, ...]:
    """The canonical place of `path`, then the canonical name of each link in `workspace` that leads there.

    Who may move such a link away decides what the gate takes for its database or its backups at the next start.
    """
    root, at = os.path.realpath(workspace), "/"
    todo = os.path.abspath(path).split("/")
    links: list[str] = []
    passed = 0
    while todo and passed <= _MAX_LINKS:
        part = todo.pop(0)
        if part == "..":
            at = os.path.dirname(at)
        elif part not in ("", "."):
            here = os.path.join(at, part)
            if not os.path.islink(here):
                at = here
                continue
            passed += 1
            links += [here] if lies_in(here, root) else []
            text = os.readlink(here)
            at = "/" if text.startswith("/") else at
            todo = [*text.split("/"), *todo]
    return (os.path.realpath(path), *dict.fromkeys(links))
