"""Which files are not there: `[workspace] hidden`, in the language of `.gitignore`. Pure.

Names compare folded (`names.py`), because a secret is as readable through `.ENV` on a disk that folds case. What lies
in a hidden folder is hidden, and no `!pattern` brings it back, as in git.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import cast

from pathspec import GitIgnoreSpec

from byleave.policy.names import fold_parts, fold_path

# Folders remembered per instance: enough for a large tree, bounded for a hostile one.
_REMEMBERED = 16_384
_DEEP = 100
# How pathspec writes "in any folder".
_ANYWHERE = "(?:.+/)?"


class Hiding:
    """The compiled patterns."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises ValueError naming the pattern that is none."""
        self.patterns = tuple(patterns)
        for pattern in self.patterns:
            check_pattern(pattern)
        folded = [fold_parts(pattern) for pattern in self.patterns]
        self._spec = GitIgnoreSpec.from_lines(folded)
        # Nearly every path is settled by two regexes, of patterns that name a component and of those that name a path;
        # the patterns are asked in turn, with the last word to the last one, only where one of them may hide it.
        self._names = _one_regex(pattern for pattern in folded if "/" not in pattern.rstrip("/"))
        self._paths = _one_regex(pattern for pattern in folded if "/" in pattern.rstrip("/"))
        self._folder_hides: Callable[[str], bool] = lru_cache(maxsize=_REMEMBERED)(self.hides_folded)

    def hides(self, path: str) -> bool:
        """Whether `path` (relative to the workspace, POSIX form) is hidden, by its name or by a folder it lies in."""
        if not self.patterns or path in ("", "."):
            return False
        folded = fold_path(path)
        if folded.count("/") > _DEEP:  # from the top, and remembered: one step for each folder would end Python's stack
            parts = folded.split("/")
            if any(self._folder_hides("/".join(parts[:depth])) for depth in range(_DEEP, len(parts), _DEEP)):
                return True
        # `secret ` is `secret` on some disks, and a pattern may end in a space that is meant.
        return self.hides_folded(folded) or ((kept := fold_parts(path)) != folded and self.hides_folded(kept))

    def hides_folded(self, path: str) -> bool:
        """The same for a path that is folded already."""
        folder, _, name = path.rpartition("/")
        may = self._names.match(name + "/") or self._paths.match(path + "/")
        return (may is not None and self._matches(path)) or (folder != "" and self._folder_hides(folder))

    def _matches(self, path: str) -> bool:
        # As a file and as a folder: which of them it is, a name does not say.
        return self._spec.match_file(path) or self._spec.match_file(path + "/")


def _one_regex(patterns: Iterable[str]) -> re.Pattern[str]:
    """Matches whatever one of `patterns` hides, and some that another brings back: too much, never too little."""
    regexes: list[re.Pattern[str]] = []
    for pattern in GitIgnoreSpec.from_lines(patterns).patterns:
        regex = cast("re.Pattern[str] | None", pattern.regex)  # pyright: ignore[reportUnknownMemberType] (left open there)
        if pattern.include and regex is not None:
            regexes.append(regex)
    # "In any folder" stands once before all of them, not once in each: a regex tries every one at every folder.
    flat = [regex.pattern.replace("(?P<ps_d>", "(?:").removeprefix("^") for regex in regexes]
    anywhere = [source.removeprefix(_ANYWHERE) for source in flat if source.startswith(_ANYWHERE)]
    anchored = [source for source in flat if not source.startswith(_ANYWHERE)]
    if anywhere:
        anchored.append(f"{_ANYWHERE}(?:{'|'.join(anywhere)})")
    return re.compile("|".join(anchored) or r"(?!)", re.DOTALL)


def check_pattern(pattern: str) -> None:
    """Raises ValueError with a sentence where `pattern` is not one of `.gitignore`."""
    if not pattern.strip() or pattern.startswith("#") or "\n" in pattern:
        raise ValueError(f"`{pattern}` hides nothing: write a pattern as in .gitignore, for example `*.pem`")
    try:
        GitIgnoreSpec.from_lines([fold_parts(pattern)])
    except ValueError as cause:
        raise ValueError(f"`{pattern}` is no pattern of .gitignore") from cause
