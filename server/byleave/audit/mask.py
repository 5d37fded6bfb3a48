"""Keeps secrets out of records: configured ones by value, well-known credentials by their shape.

Masking is lossy on purpose: a record that hides too much is still a record. It is not the guard that keeps secrets from
the agent (that is hiding, and never handing them out); it keeps the log from becoming a second place where they lie.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote

from byleave.effects import printable

#: Characters of a text that a record shows; of a longer one it keeps the beginning, its digest and its length.
SHOWN = 200

#: Characters of a name, and of a sentence about a call, that a record shows.
NAME_SHOWN = 100
SENTENCE_SHOWN = 1_000

#: Values of one call's arguments that a record shows, and how deep: whoever calls can send millions.
VALUES_SHOWN = 500
DEEPEST_SHOWN = 20
_LONGEST_NUMBER = 1_000  # bits

#: How far past the shown part a credential is still recognised, so that none is cut into an unmasked half. The longer
#: shapes (PEM, JWT, quoted values) are recognised by their beginning.
_MARGIN = 512

#: A configured secret shorter than this is not looked for: it would be found in every other word.
_SHORTEST = 4

_MASKED = "[masked]"
_LEFT_OUT = "[left out]"

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

    def sentence(self, text: str) -> str:
        """What was said about a call, which quotes the caller: masked, and not longer than a sentence is."""
        masked = self.text(text[: SENTENCE_SHOWN + _MARGIN])
        return masked if len(masked) <= SENTENCE_SHOWN else f"{masked[:SENTENCE_SHOWN]}…"

    def lines(self, text: str) -> str:
        """A text of several lines, masked, its lines kept."""
        return "\n".join(printable(line) for line in self._masked(text).split("\n"))

    def value(self, value: object) -> object:
        """A JSON value as a record keeps it."""
        return self._value(value, _Room(VALUES_SHOWN), 0)

    def arguments(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """A call's arguments as a record keeps them: every text in them masked, what is named like a secret gone
        altogether, and no more of them than `VALUES_SHOWN`."""
        return self._mapping(arguments, _Room(VALUES_SHOWN), 0)

    def _mapping(self, values: Mapping[str, object], room: _Room, depth: int) -> dict[str, object]:
        out: dict[str, object] = {}
        for name, value in values.items():
            if not room.takes_one():
                out[_LEFT_OUT] = len(values) - len(out)
                break
            secret = isinstance(value, str) and value and _NAME_OF_A_SECRET.fullmatch(name[:NAME_SHOWN])
            shown = self.text(name[: NAME_SHOWN + _MARGIN])
            shown = shown if len(shown) <= NAME_SHOWN else f"{shown[:NAME_SHOWN]}…"
            out[shown] = _MASKED if secret else self._value(value, room, depth)
        return out

    def _value(self, value: object, room: _Room, depth: int) -> object:
        if isinstance(value, str):
            return self.shown(value)
        if depth >= DEEPEST_SHOWN or (isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER):
            return _LEFT_OUT
        if isinstance(value, bool | int | float) or value is None:
            return value
        if isinstance(value, Mapping):
            named = {str(name): item for name, item in cast("Mapping[object, object]", value).items()}
            return self._mapping(named, room, depth + 1)
        if isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            shown = [self._value(item, room, depth + 1) for item in items if room.takes_one()]
            return shown if len(shown) == len(items) else [*shown, {_LEFT_OUT: len(items) - len(shown)}]
        return self.shown(str(value))


@dataclass(slots=True)
class _Room:
    """How many values may still be shown."""

    left: int

    def takes_one(self) -> bool:
        self.left -= 1
        return self.left >= 0


def _mask(found: re.Match[str]) -> str:
    group = found.re.groups
    if group == 0:
        return _MASKED
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    whole = found[0]
    return whole[:start] + _MASKED + whole[end:]
