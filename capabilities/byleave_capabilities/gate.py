"""The gate's own tools: what it is doing, and taking things back."""

from __future__ import annotations

from pydantic import Field

from byleave.capability import (
    LOOKS,
    Arguments,
    Hints,
    Kept,
    Refused,
    Result,
    StatusHands,
    Tool,
    UndoHands,
    View,
    Word,
)
from byleave.effects import Effect, Plan, Scheme, Target, Undo, Verb, files, printable

OWN = Effect(Verb.READ, Target(Scheme.GATE, "status"), files(0), Undo.TRIVIAL)


class StatusArguments(Arguments):
    pass


class Status(Tool[StatusArguments, None, StatusHands]):
    """Tell what this gate allows: the policy in words, what is left of each budget, requests that wait for a person,
    and the last call that can be undone. Changes nothing."""

    name = "gate_status"
    title = "What the gate allows now"
    capability = "gate"
    hints = LOOKS
    awaits = True

    async def survey(self, args: StatusArguments, view: View) -> None:
        del args, view

    def plan(self, args: StatusArguments, facts: None) -> Plan:
        del args, facts
        return Plan((OWN,))

    async def perform(self, args: StatusArguments, facts: None, hands: StatusHands) -> Result:
        del args, facts
        return Result(await hands.status())


class UndoArguments(Arguments):
    receipt: str | None = Field(
        default=None,
        max_length=40,
        description="The receipt of the call to take back, as its answer named it (r-...). Left out: the last one",
    )


class UndoCall(Tool[UndoArguments, Kept, UndoHands]):
    """Take back one call: files to the byte, mode and time, database rows as they were. Name its receipt, or leave it
    out for this session's last one. Where something has changed since, nothing is overwritten: the answer says what.
    An undo is a call like any other and can itself be undone by its receipt."""

    name = "gate_undo"
    title = "Undo a call"
    capability = "gate"
    hints = Hints(read_only=False, destructive=True, idempotent=False)
    awaits = True

    async def survey(self, args: UndoArguments, view: View) -> Kept:
        kept = await view.gate.kept(args.receipt)
        if kept.moved_on:
            shown = ", ".join(f"`{printable(name)}`" for name in kept.moved_on[:5])
            raise Refused(
                Word.CONFLICT,
                f"changed since `{kept.receipt}`: {shown}" + (" and more" if len(kept.moved_on) > 5 else ""),
                "nothing was done. undo the later calls first, or write the content that you want",
            )
        return kept

    def plan(self, args: UndoArguments, facts: Kept) -> Plan:
        del args
        return Plan(facts.effects, staged=True)

    async def perform(self, args: UndoArguments, facts: Kept, hands: UndoHands) -> Result:
        del args
        await hands.restore(facts)
        return Result(f"undid {facts.tool} ({facts.receipt}): {len(facts.effects)} restored")
