"""Steps 1 and 3 to 5 of a call: validate, survey, plan, judge. Nothing happens here.

`Gate.call` goes this way and `byleave check` goes it too: the same functions, so what is checked is what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
from pydantic import ValidationError

from byleave.capability import Arguments, Refused, Tool, View, Word, WouldBlock
from byleave.effects import Effect, Plan, printable
from byleave.policy.judge import Decision, Reason, Rulebook, Verdict, judge

T = TypeVar("T")
AnyTool = Tool[Any, Any, Any]

INTERNAL = Refused(
    Word.FAILED,
    "the gate failed internally",
    "what had not been committed was discarded. do not try again; tell a person",
)


@dataclass(frozen=True, slots=True)
class Considered:
    """A call, looked at and judged: what it wants, what the world is like, what that would mean."""

    tool: AnyTool
    args: Arguments
    facts: object
    plan: Plan
    decision: Decision

    def as_json(self) -> dict[str, object]:
        """The line that `byleave check` prints."""
        return decision_line(self.decision, self.plan.effects)


def decision_line(decision: Decision, effects: tuple[Effect, ...]) -> dict[str, object]:
    """A decision as `check` prints it: verdict, every rule that spoke, and the effects."""
    return {
        "verdict": decision.verdict.word,
        "rules": [{"id": r.rule, "because": r.because, "hint": r.hint} for r in decision.reasons],
        "effects": [effect.as_json() for effect in effects],
    }


def refused_line(refused: Refused) -> dict[str, object]:
    """A refusal before judging, in the form of a decision: it is a no like any other."""
    rule = refused.rule or f"gate.{refused.word}"
    no = Reason(rule=rule, verdict=Verdict.DENY, because=refused.reason, hint=refused.hint, effects=())
    return decision_line(Decision(Verdict.DENY, (no,)), ())


def validate(tool: AnyTool, raw: Mapping[str, object]) -> Arguments:
    """The tool's arguments, or `Refused(INVALID_ARGUMENTS)` naming each field that is wrong, never its value."""
    try:
        return tool.arguments.model_validate(dict(raw))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(
            f"`{'.'.join(str(part)[:60] for part in e['loc'])[:200] or 'arguments'}`: {e['msg'].lower()}"
            for e in wrong[:5]
        )
        fields = ", ".join(f"`{name}`" for name in tool.arguments.model_fields)
        hint = (
            f"nothing was done. `{tool.name}` takes {fields}"
            if fields
            else f"nothing was done. `{tool.name}` takes no arguments"
        )
        raise Refused(Word.INVALID_ARGUMENTS, printable(said), hint) from None


def find(tools: Mapping[str, AnyTool], name: str) -> AnyTool:
    """The tool of that name, or `Refused(INVALID_ARGUMENTS)` naming those that there are."""
    if name not in tools:
        hint = f"nothing was done. there are {', '.join(tools)}"
        raise Refused(Word.INVALID_ARGUMENTS, f"no tool `{printable(name)[:60]}`", hint)
    return tools[name]


async def consider(tool: AnyTool, args: Arguments, view: View, book: Rulebook) -> Considered:
    """Survey, plan, judge, in this order, over one view."""
    facts = await tool.survey(args, view)
    plan = tool.plan(args, facts)
    return Considered(tool, args, facts, plan, judge_plan(book, plan, tool.name))


def judge_plan(book: Rulebook, plan: Plan, tool: str) -> Decision:
    """Judge the declared effects. One may wait only where a stage confines it: without a stage it is unbounded now."""
    effects = plan.effects if plan.staged else tuple(without_waiting(effect) for effect in plan.effects)
    return judge(book, effects, tool=tool)


def without_waiting(effect: Effect) -> Effect:
    return replace(effect, waits=False) if effect.waits else effect


def step(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, here and now.

    A tool whose hands block is written with `async def` like any other, and stepped: on the loop where everything is in
    warm caches (a hop to a thread costs more than the work), in a worker thread otherwise.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine that was to be stepped has suspended")


async def look(awaits: bool, work: Callable[[bool], Coroutine[Any, Any, T]]) -> T:
    """Run `work(warm)`: on the loop if it can be had from warm caches, else once more, whole, in one worker thread."""
    if awaits:
        return await work(False)
    try:
        return step(work(True))
    except WouldBlock:
        return await anyio.to_thread.run_sync(partial(_step_cold, work))


def _step_cold(work: Callable[[bool], Coroutine[Any, Any, T]]) -> T:
    return step(work(False))
