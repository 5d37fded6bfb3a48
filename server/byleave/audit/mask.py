"""Keeps secrets out of records: configured ones by value, well-known credentials by their shape.

Masking is lossy on purpose: a record that hides too much is still a record. It is not the guard that keeps secrets from
the agent (that is hiding, and never handing them out); it keeps the log from becoming a second place where they lie.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast
from urllib.parse import quote

from byleave.effects import printable

#: Characters of a text that a record shows; of a longer one it keeps the beginning, its digest and its length.
SHOWN = 200

#: How far past the shown part a credential is still recognised, so that none is cut into an unmasked half. The longer
#: shapes (PEM, JWT, quoted values) are recognised by their beginning.
_MARGIN = 512

#: A configured secret shorter than this is not looked for: it would be found in every other word.
_SHORTEST = 4

_MASKED = "[masked]"

_NAMES = ("passw", "passphrase", "pwd", "secret", "token", "key", "credential")
_NAMED = (
    r"(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|credentials?|auth[_-]?key)"
)

# What a text must hold (in lower case) for the shape to be looked for, and the shape. Looking for all of them in every
# text would cost more than an fsync. Each is bounded, so that no input makes matching slow. Where a shape has a group,
# only its last group is the secret.
_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    # PEM, to its end or to the end of the text (RFC 7468)
    (
        ("private key",),
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\s\S]){0,20000}"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    (
        ("akia", "asia", "abia", "acca", "agpa", "aida", "aipa", "anpa", "anva", "aroa"),  # AWS key ids
        r"\b(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z0-9]{16}\b",
    ),
    (
        ("gho_", "ghp_", "ghs_", "ghr_", "ghu_", "github_pat_"),  # GitHub
        r"\b(?:gh[opsru]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})",
    ),
    (("gl",), r"\bgl(?:pat|ptt|oas|dt|rt|cbt|ft|agent|imt|soat)-[A-Za-z0-9_.-]{16,255}"),  # GitLab
    (("xox", "xapp-", "xwfp-"), r"\b(?:xox[a-z]|xapp|xwfp)-[A-Za-z0-9-]{10,255}"),  # Slack
    (("hooks.slack.com",), r"\bhttps://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{10,255}"),
    (("sk-",), r"\bsk-(?:ant|proj|svcacct|admin|or|live)?[A-Za-z0-9_-]{16,255}"),  # Anthropic, OpenAI, their likes
    (
        ("_live_", "_test_", "whsec_"),
        r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,255}|\bwhsec_[A-Za-z0-9+/=]{16,255}",
    ),
    (("aiza",), r"\bAIza[A-Za-z0-9_-]{35}"),  # Google
    (
        ("npm_", "pypi-", "hf_"),  # registries of packages and models
        r"\b(?:npm_[A-Za-z0-9]{30,255}|pypi-[A-Za-z0-9_-]{40,512}|hf_[A-Za-z0-9]{30,255})",
    ),
    # JWT (RFC 7519)
    (("eyj",), r"\beyJ[A-Za-z0-9_-]{8,4096}(?:\.[A-Za-z0-9_-]{0,4096}){1,4}|\beyJ[A-Za-z0-9_-]{100,4096}"),
    (("://",), r"\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@\"']{0,256}:([^\s/\"']{1,512})@"),  # a URL's password (RFC 3986)
    (
        ("authorization",),
        r"(?i:\bauthorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:[a-z]{3,20}\s{1,8})?([^\s\"',;]{1,4096}))",
    ),
    (("bearer", "basic"), r"(?i:\b(?:bearer|basic)\s{1,8}([a-z0-9._~+/=-]{12,4096}))"),
    (("cookie",), r"(?i:\b(?:set-)?cookie[\"']?\s{0,8}:\s{0,8}[\"']?([^\r\n\"']{1,4096}))"),
    (("identified", "password"), r"(?i:\b(?:identified\s{1,8}by|password)\s{1,8}('[^']{0,512}'))"),  # SQL
    (_NAMES, rf"(?i:--[a-z0-9-]{{0,20}}{_NAMED}[ =]([^\s]{{1,4096}}))"),
    (
        _NAMES,
        rf"(?i:(?:\b|_|-){_NAMED}[a-z0-9_-]{{0,20}}[\"']?\s{{0,8}}(?:=>|:=|=|:)\s{{0,8}}"
        r"(\"[^\"]{0,4096}\"?|'[^']{0,4096}'?|[^\s,;&\"']{1,4096}))",
    ),
)
_NAME_OF_A_SECRET = re.compile(rf"(?i)(?:.*[_-])?{_NAMED}|authorization|cookie")


class Masker:
    """Masks text that goes into a record. `secrets` are the values that this gate itself was configured with."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spelled = {form for secret in secrets if len(secret) >= _SHORTEST for form in (secret, quote(secret, safe=""))}
        values = [re.escape(form) for form in sorted(spelled, key=len, reverse=True)]
        self._longest = max(map(len, spelled), default=0)
        self._values = re.compile("|".join(values)) if values else None
        self._shapes = [(needles, re.compile(shape)) for needles, shape in _SHAPES]

    def text(self, text: str) -> str:
        """The text with every secret in it replaced. Control characters are escaped, line ends and tabs too."""
        return printable(self._masked(text))

    def _masked(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(_MASKED, text)
        lowered = text.lower()
        for needles, shape in self._shapes:
            if any(needle in lowered for needle in needles):
                text = shape.sub(_mask, text)
        return text

    def shown(self, text: str) -> object:
        """What a record keeps of a text: itself, masked; of a long one the beginning, SHA-256 and length in bytes."""
        if len(text) <= SHOWN:
            return self.text(text)
        stored = text.encode("utf-8", "surrogatepass")
        beginning = printable(self._masked(text[: SHOWN + max(_MARGIN, self._longest)])[:SHOWN])
        return {"preview": beginning, "sha256": hashlib.sha256(stored).hexdigest(), "bytes": len(stored)}

    def value(self, value: object) -> object:
        """A JSON value with every text in it masked, and what is named like a secret gone altogether."""
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, Mapping):
            return self.arguments(cast("Mapping[str, object]", value))
        if isinstance(value, list | tuple):
            return [self.value(item) for item in cast("Sequence[object]", value)]
        if isinstance(value, bool | int | float) or value is None:
            return value
        return self.shown(str(value))

    def arguments(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """A call's arguments as a record keeps them."""
        return {
            self.text(str(name)): _MASKED
            if isinstance(value, str) and value and _NAME_OF_A_SECRET.fullmatch(str(name))
            else self.value(value)
            for name, value in arguments.items()
        }


def _mask(found: re.Match[str]) -> str:
    group = found.re.groups
    if group == 0:
        return _MASKED
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    whole = found[0]
    return whole[:start] + _MASKED + whole[end:]
