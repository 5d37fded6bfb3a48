"""The judge: a rulebook and effects in, a decision out. Pure: no clock, no disk, no state.

The verdict is the strictest over all effects and rules, so there is no order of rules to understand. Each effect needs
a rule that speaks about it; what no rule speaks about is denied. A rule with `more_than` only tightens: it looks at all
effects together, so letting it also permit would let one more effect weaken a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from byleave.effects import Effect
from byleave.policy.decision import Decision, Reason, Verdict
from byleave.policy.rulebook import Rule, Rulebook

__all__ = ["Decision", "Reason", "Rulebook", "Verdict", "judge"]

NO_EFFECTS = Reason(
    "judge.no-effects",
    Verdict.DENY,
    "the call does not say what it would do",
    "use a tool that can say what it does",
)
UNMATCHED = Reason(
    "judge.unmatched",
    Verdict.DENY,
    "no rule of the policy speaks about this effect",
    "`gate_status` tells what the policy grants; a person can add a rule for this",
)
UNKNOWN_VERB = Reason(
    "judge.unknown-verb",
    Verdict.DENY,
    "the call would do something that has no word here",
    "use a tool whose effects have a verb",
)
ERROR = Reason(
    "judge.error",
    Verdict.DENY,
    "judging this effect failed, and doubt is refusal",
    "try a simpler call; a person finds the rule at fault with `byleave check`",
)


def judge(book: Rulebook, effects: Sequence[Effect], *, tool: str) -> Decision:
    """What the policy says to a plan of `tool` with these effects, and every rule that spoke."""
    if not effects:
        return Decision(Verdict.DENY, (NO_EFFECTS,))
    silent = {rule.id for rule in book.choosy if not rule.of_tool(tool)}
    said: dict[str, tuple[Rule | Reason, list[int]]] = {}
    bounded: dict[str, tuple[Rule, list[int]]] = {}
    for at, effect in enumerate(effects):
        try:
            speak, count = _hear(book, effect, silent)
        except Exception:  # noqa: BLE001 (recorded as the reason `judge.error`, and refused)
            speak, count = [ERROR], []
        for who in speak:
            said.setdefault(who.id, (who, []))[1].append(at)
        for rule in count:
            bounded.setdefault(rule.id, (rule, []))[1].append(at)
    for rule, ats in bounded.values():
        if rule.exceeded_by([effects[at] for at in ats]):
            said[rule.id] = (rule, ats)
    reasons = [_reason(who, tuple(ats)) for who, ats in said.values()]
    reasons.sort(key=lambda reason: (-reason.verdict, book.order.get(reason.rule, -1)))
    return Decision(reasons[0].verdict, tuple(reasons))


def _hear(book: Rulebook, effect: Effect, silent: set[str]) -> tuple[list[Rule | Reason], list[Rule]]:
    """Who speaks about one effect, and which rules want it counted."""
    rules = book.index.get((effect.verb, effect.target.scheme))
    if rules is None:
        return [UNKNOWN_VERB], []
    seen = book.see(effect)
    refusal = book.floor.refusal(effect, seen.name)
    speak: list[Rule | Reason] = []
    count: list[Rule] = []
    for rule in rules:
        if rule.id not in silent and rule.fits(seen):
            if not rule.more_than:
                speak.append(rule)
            elif not effect.waits:  # the stage will measure it: the rule speaks then
                count.append(rule)
    if refusal is not None:
        speak.append(refusal)
    elif not speak:
        speak.append(UNMATCHED)
    return speak, count


def _reason(who: Rule | Reason, ats: tuple[int, ...]) -> Reason:
    if isinstance(who, Reason):
        return replace(who, effects=ats)
    return Reason(who.id, who.verdict, who.because, who.hint, ats)
