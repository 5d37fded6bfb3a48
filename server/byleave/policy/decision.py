"""What judging comes to: a verdict with everything that spoke for it. Never a bare yes or no. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """From the mildest to the strictest: the strictest of all that spoke is the one that holds."""

    ALLOW = 0
    DELAY = 1
    ASK = 2
    DENY = 3

    @property
    def word(self) -> str:
        """The word of policies, logs and answers."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that spoke: which, how, why, what to do instead; `effects` are the indexes of those it speaks about."""

    rule: str
    verdict: Verdict
    because: str
    hint: str
    effects: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The rule's id: what a rule and its reason are told by."""
        return self.rule


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict over a whole plan. `reasons` are all that spoke, strictest first, else in the order of the policy."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
