"""Which text is the policy: a preset's, a file's, or the one that a person last trusted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path

from byleave.effects import printable
from byleave.policy.names import lies_in
from byleave.policy.trust import POLICY_NAME, UnreadableError, place_of, read_policy_file, recall
from byleave.policy.values import PRESETS

#: Longer texts are refused: a policy is read by people.
SIZE_LIMIT = 256 * 1024


class PolicyError(Exception):
    """A policy that cannot be used. The message is `file:line: key: what is wrong`; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Source:
    """A text that is a policy, and what to call it in errors."""

    name: str
    text: str


#: The text, the files it stands for (as named, and where links lead), and notices.
Chosen = tuple[Source, tuple[Path, ...], tuple[str, ...]]


def choose(source: str | None, root: Path, state_dir: Path | None) -> Chosen:
    """The text in force over the workspace `root`. Raises PolicyError."""
    if source in PRESETS:
        return preset(source), (), ()
    path = place_of(Path(source).expanduser()) if source is not None else root / POLICY_NAME
    if not os.path.lexists(path):
        return _gone(source, path, state_dir)
    real = Path(os.path.realpath(path))
    where = (path, real)
    try:
        text = read_policy_file(real, SIZE_LIMIT)
    except UnreadableError as cause:
        text, why = None, str(cause)
    else:
        why = "has changed since it was trusted"
    outside = not lies_in(str(real), str(root)) and not lies_in(str(path), str(root))
    if outside:
        if text is None:
            raise PolicyError(f"{path}: {why}")
        return Source(str(path), text), where, ()
    trusted = recall(state_dir, path) if state_dir is not None else None
    if text is not None and trusted is not None and trusted.text == text:
        return Source(str(path), text), where, ()
    command = f"read it, then run `byleave trust {printable(str(path))}`"
    if trusted is not None:
        notice = f"`{printable(str(path))}` {why}: the text that was last trusted is in force. {command}"
        return Source(f"{path} (as last trusted)", trusted.text), where, (notice,)
    if source is not None:
        raise PolicyError(f"{path}: nobody has trusted this policy, and it lies in the workspace", command)
    notice = f"`{printable(str(path))}` is not trusted: the preset `develop` is in force. {command}"
    return preset("develop"), where, (notice,)


def _gone(source: str | None, path: Path, state_dir: Path | None) -> Chosen:
    """No file is there. One that was trusted stays in force: else deleting a strict policy would loosen it."""
    trusted = recall(state_dir, path) if state_dir is not None else None
    if trusted is not None:
        command = f"put it back, or run `byleave trust --forget {printable(str(path))}`"
        notice = f"`{printable(str(path))}` is gone: the text that was last trusted is in force. {command}"
        return Source(f"{path} (as last trusted)", trusted.text), (path,), (notice,)
    if source is not None:
        raise PolicyError(f"`{printable(source)}` is neither a preset nor a file", f"presets: {', '.join(PRESETS)}")
    return preset("develop"), (), ()


def preset(name: str) -> Source:
    """The text of a shipped preset."""
    text = (resources("byleave.policy") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return Source(f"preset {name}", text)
