"""Proving rules on their own examples, like unit tests: a rule that does not do what its author thought is an error
of the file, not a surprise in the night. Pure; what a call would do comes from the callable that is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from byleave.effects import Effect, Extent, Scheme, Target, Unit
from byleave.policy.model import Policy
from byleave.policy.rulebook import Rule, Rulebook, Seen
from byleave.policy.rules import Example

#: What a call would do: tool and arguments in, its effects out. Raises ValueError where that cannot be told.
PlanOf = Callable[[str, Mapping[str, object]], Sequence[Effect]]


@dataclass(frozen=True, slots=True)
class Problem:
    """An example that does not hold, and where it stands: `key` as in `("rule", 3, "matches", 0)`."""

    rule: str
    key: tuple[str | int, ...]
    message: str


def prove_examples(book: Rulebook, policy: Policy, plan_of: PlanOf | None) -> list[Problem]:
    """The examples of the policy's rules that do not hold. Without `plan_of` those that are calls are left unproven."""
    problems: list[Problem] = []
    rules = {rule.id: rule for rule in book.rules}
    for at, model in enumerate(policy.rule):
        for word, examples in (("matches", model.matches), ("spares", model.spares)):
            for number, example in enumerate(examples):
                problem = _try(book, rules[model.id], example, plan_of, must_speak=word == "matches")
                if problem is not None:
                    problems.append(Problem(model.id, ("rule", at, word, number), problem))
    return problems


def _try(book: Rulebook, rule: Rule, example: Example, plan_of: PlanOf | None, *, must_speak: bool) -> str | None:
    if example.arguments is not None and example.tool is not None:
        if plan_of is None:
            return None
        try:
            effects = plan_of(example.tool, example.arguments)
        except ValueError as cause:
            return f"what the example does cannot be told: {cause}"
        seen = [book.see(effect) for effect in effects]
    else:
        try:
            seen = [_seen(book, example)]
        except ValueError as cause:
            return str(cause)
    if _speaks(rule, seen, example.tool) == must_speak:
        return None
    return "the rule does not speak about this example" if must_speak else "the rule speaks about this example"


def _seen(book: Rulebook, example: Example) -> Seen:
    assert example.verb is not None  # noqa: S101 (for the type checker: the model asked)
    target = target_of(example.target or "", book.ground.workspace)
    unit = Unit.ROWS if target.scheme is Scheme.SQL else Unit.FILES
    amount = example.rows if unit is Unit.ROWS else example.files
    extent = Extent(unit, 1 if amount is None else amount)
    seen = book.see(Effect(example.verb, target, extent, example.undo, traits=frozenset(example.trait or ())))
    return seen if example.environment is None else replace(seen, environment=example.environment.value)


def target_of(text: str, workspace: str) -> Target:
    """A target as examples write it. Raises ValueError with a sentence."""
    word, colon, name = text.partition(":")
    if not colon or not name or word not in tuple(Scheme):
        raise ValueError(f"`{text}` is no target: write for example `file:src/app.py` or `sql:app/orders`")
    scheme = Scheme(word)
    if scheme is Scheme.FILE:
        return Target.file(name[2:] if name.startswith("///") else f"{workspace.rstrip('/')}/{name}")
    return Target(scheme, name.removeprefix("//") if scheme is Scheme.HTTPS else name)


def _speaks(rule: Rule, seen: Sequence[Seen], tool: str | None) -> bool:
    if not rule.of_tool(tool):
        return False
    heard = [s for s in seen if rule.may_speak(s.effect.verb, s.effect.target.scheme) and rule.fits(s)]
    return bool(heard) and (not rule.more_than or rule.exceeded_by([s.effect for s in heard]))
