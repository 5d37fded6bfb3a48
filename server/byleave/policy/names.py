"""How names are compared when a wrong match may cost something: by what they mean to a file system, not by their bytes.

`.Cursor/mcp.json` is `.cursor/mcp.json` on a disk that folds case (CVE-2025-59944), `.g<U+200C>it` is `.git` on HFS+
(CVE-2014-9390), a full-width stop is a full stop to whoever reads it, and `.git.` is `.git` on NTFS (WSL). What refuses
compares folded; what grants (lying in the workspace) compares exactly, because names that fold alike may be two places.
"""

from __future__ import annotations

import re
import unicodedata

# Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt): shown as nothing, skipped by HFS+.
_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_TRAILING = re.compile(r"(?<=[^/. ])[. ]+(?=/|$)")


def fold(text: str) -> str:
    """Text as it compares: without case, compatibility forms (NFKC) and invisible characters."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _IGNORED.sub("", folded)


def fold_parts(path: str) -> str:
    """A POSIX path or pattern with each component folded.

    No component can become two: a character that folds to a slash (`℀` is `a/c`) stays inside its component.
    """
    if path.isascii():
        return path.lower()
    return "/".join(fold(part).replace("/", "\u2044") for part in path.split("/"))


def fold_path(path: str) -> str:
    """A POSIX path as it compares: its parts folded, trailing dots and spaces of a component gone."""
    folded = fold_parts(path)
    if "./" in folded or " /" in folded or folded.endswith((".", " ")):
        return _TRAILING.sub("", folded)
    return folded


def lies_in(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or beneath it, by whole components: `/mnt/backups2` does not lie in `/mnt/backups`."""
    return path == folder or path.startswith(folder if folder.endswith("/") else folder + "/")
