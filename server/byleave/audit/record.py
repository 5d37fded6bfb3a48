"""What records say: the body of each kind, made of plain values. Pure.

A body is read years later by people and programs that know nothing of today's code: words, not numbers; names, not
positions. Arguments come in masked (`audit/mask.py`); a key once written keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from byleave.capability import Refused
from byleave.effects import Effect, printable

#: Effects that a record spells out; the totals count all of them.
SPELLED_OUT = 50


class Ruling(Protocol):
    """A verdict, as policy, log and answers spell it."""

    @property
    def word(self) -> str: ...


class Spoke(Protocol):
    """One rule that spoke."""

    @property
    def rule(self) -> str: ...
    @property
    def verdict(self) -> Ruling: ...
    @property
    def because(self) -> str: ...


class Judged(Protocol):
    """A decision, as far as a record says it (`policy/decision.py` is one: the log does not depend on the policy)."""

    @property
    def verdict(self) -> Ruling: ...
    @property
    def reasons(self) -> Sequence[Spoke]: ...


class Status(StrEnum):
    """How a call ended."""

    DONE = "done"  # it counts
    UNCHANGED = "unchanged"  # it came to nothing: there was nothing to commit
    DISCARDED = "discarded"  # nothing of it counts
    SETTLED = "settled"  # found so at a later start; `found` says as what


def opened(*, session: str, workspace: str, policy: str, version: str, python: str, sqlite: str) -> dict[str, object]:
    """OPEN: a gate started."""
    return {
        "session": session,
        "workspace": printable(workspace),
        "policy": policy,
        "version": version,
        "python": python,
        "sqlite": sqlite,
    }


def closed(*, session: str, why: str) -> dict[str, object]:
    """CLOSE: a gate ended in order."""
    return {"session": session, "why": printable(why)}


def look(about: Mapping[str, object], decision: Judged, effects: Sequence[Effect]) -> dict[str, object]:
    """LOOK: a pure read, its one record. `about` says who called what, where, under which policy."""
    return {**about, "decision": ruled(decision), **seen(effects)}


def intent(
    about: Mapping[str, object], decision: Judged, effects: Sequence[Effect], *, staged: bool
) -> dict[str, object]:
    """INTENT: about to act. `staged`: nothing counts before the COMMIT, so without one it never happened."""
    return {**about, "staged": staged, "decision": ruled(decision), **seen(effects)}


def commit(decision: Judged, effects: Sequence[Effect]) -> dict[str, object]:
    """COMMIT: what the stage really did, about to count."""
    return {"decision": ruled(decision), **seen(effects)}


def done(*, snapshot: bool) -> dict[str, object]:
    """OUTCOME: it counts. `snapshot`: its before-images are kept, so it can be undone."""
    return {"status": Status.DONE.value, "snapshot": snapshot}


def unchanged() -> dict[str, object]:
    """OUTCOME: it came to nothing."""
    return {"status": Status.UNCHANGED.value}


def discarded(error: BaseException) -> dict[str, object]:
    """OUTCOME: nothing of it counts, and why. An error that is no refusal is named by its kind alone: its text may hold
    anything."""
    if isinstance(error, Refused):
        return {"status": Status.DISCARDED.value, "word": error.word.value, "rule": error.rule, "reason": error.reason}
    return {"status": Status.DISCARDED.value, "error": type(error).__name__}


def settled(found: str) -> dict[str, object]:
    """OUTCOME or UNKNOWN, written by a later start: what the world showed."""
    return {"status": Status.SETTLED.value, "found": found}


def refusal(  # noqa: PLR0917 -- the parts of one sentence, in its order
    about: Mapping[str, object], word: str, rule: str, reason: str, decision: Judged | None, effects: Sequence[Effect]
) -> dict[str, object]:
    """REFUSAL: a no, with its rule, and as much of the judging as there was."""
    judged: dict[str, object] = {} if decision is None else {"decision": ruled(decision)}
    return {**about, "word": str(word), "rule": rule, "reason": reason, **judged, **seen(effects)}


def note(subject: str, text: str) -> dict[str, object]:
    """NOTE: something of the gate's own doing, such as a policy that was trusted."""
    return {"subject": subject, "text": printable(text)}


def ruled(decision: Judged) -> dict[str, object]:
    """A decision as the log keeps it: the verdict, and every rule that spoke."""
    rules = [{"id": it.rule, "verdict": it.verdict.word, "because": it.because} for it in decision.reasons]
    return {"verdict": decision.verdict.word, "rules": rules}


def seen(effects: Sequence[Effect]) -> dict[str, object]:
    """Effects as the log keeps them: the first fifty in full, and totals over all by verb and unit (None: unknown)."""
    totals: dict[str, dict[str, int | None]] = {}
    for effect in effects:
        of_verb = totals.setdefault(effect.verb.value, {})
        so_far, amount = of_verb.get(effect.extent.unit.value, 0), effect.extent.amount
        of_verb[effect.extent.unit.value] = None if so_far is None or amount is None else so_far + amount
    return {
        "effects": [effect.as_json() for effect in effects[:SPELLED_OUT]],
        "effect_count": len(effects),
        "totals": totals,
    }
