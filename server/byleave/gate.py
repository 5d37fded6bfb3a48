"""The gate: the single choke point. Every call of every client goes through `Gate.call`, and this is the way it goes:

     1 validate        the arguments, unknown fields refused
     2 rails           a rate that is known to be used up: cheap, before any work
     3 survey          the tool looks, read-only
     4 plan            it says what it would do
     5 judge           policy and floor over what it declares
     6 intend          one durable commit: intent, rate, budget reserved, leave spent
     7 stage           it happens, where it does not count
     8 judge again     what it really did; beyond the allowed it is discarded, or a person is asked
     9 intend commit   one durable commit, left out where the intent already says exactly this
    10 commit          the before-images are sealed; then it counts
    11 conclude        one durable commit: the outcome, the budget settled

A pure look has one record, durable before its result is shown. Steps 9 to 11 are out of reach of cancellation; a call
cancelled before them is discarded, and its outcome recorded.

INVARIANT: nothing changes in the world without an intent on disk; no answer is given whose record is not.
"""

# long: the way of a call is to be read in one place, in the order in which it happens.

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from byleave.answers import Answer, denied, refusal_answer, result_answer
from byleave.approvals.requests import Approvals, Question, nobody_to_ask
from byleave.audit import record
from byleave.capability import Arguments, Refused, Result, Tool, View, Word
from byleave.consider import INTERNAL, Considered, consider, find, look, step, validate
from byleave.effects import Effect, printable, within
from byleave.hands.stage import Stage
from byleave.ledger import Call, Caller, Ledger, Progress, shielded
from byleave.own import sealed
from byleave.parking import Parking, Staged
from byleave.policy.judge import Decision, Verdict, judge
from byleave.policy.load import Loaded
from byleave.snapshots.keep import Snapshots
from byleave.store.entry import Receipt, StoreDown
from byleave.workbench import Workbench

log = logging.getLogger("byleave.gate")

#: How often a staged change may turn out different from what a person gave leave for before we give up.
ROUNDS = 3
#: How long a destructive change stands before it counts, for whoever wants to stop it.
DELAY_S = 0.2


class Gate:
    """One gate over one workspace, for one session. Calls may run at once; their state is local to `call`."""

    def __init__(
        self,
        *,
        policy: Loaded,
        tools: tuple[Tool[Any, Any, Any], ...],
        workbench: Workbench,
        snapshots: Snapshots,
        ledger: Ledger,
        approvals: Approvals,
        parking: Parking,
    ) -> None:
        self.policy = policy
        self._tools = {tool.name: tool for tool in tools}
        self._workbench = workbench
        self._snapshots = snapshots
        self._ledger = ledger
        self._approvals = approvals
        self._parking = parking

    def tools(self) -> tuple[Tool[Any, Any, Any], ...]:
        """The tools that this policy grants, in a fixed order."""
        return tuple(self._tools.values())

    async def check(self, tool: str, arguments: Mapping[str, object]) -> Considered:
        """Steps 1 and 3 to 5. Nothing happens, nothing is recorded. Raises `Refused`."""
        found = find(self._tools, tool)
        args = validate(found, arguments)
        return await look(found.awaits, lambda warm: consider(found, args, self._view(warm), self.policy.book))

    async def call(
        self, tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress | None = None
    ) -> Answer:
        """Let one call pass, or say why not. Never raises, but for cancellation.

        A change that met someone else's is looked at afresh, once: nothing of it had counted.
        """
        call = self._ledger.begin(tool, arguments, caller, progress)
        answer = await self._attempt(call)
        if call.met_conflict:
            answer = await self._attempt(self._ledger.begin(tool, arguments, caller, progress))
        return answer

    async def _attempt(self, call: Call) -> Answer:
        try:
            return await self._pass(call)
        except Refused as no:
            return await self._refuse(call, no)
        except StoreDown as down:
            return self._unrecorded(call, down)
        except Exception:
            log.exception("call %s of %s", call.id, printable(call.tool))
            return await self._refuse(call, INTERNAL)

    async def _pass(self, call: Call) -> Answer:
        tool = find(self._tools, call.tool)
        args = validate(tool, call.arguments)
        self._ledger.admit()
        if (answer := await self._parking.delivered(call, args)) is not None:
            return answer
        seen, result = await look(tool.awaits, partial(self._see, tool, args))
        call.decision, call.effects = seen.decision, seen.plan.effects
        if seen.decision.verdict is Verdict.DENY:
            raise denied(seen.decision)
        if seen.plan.only_looks:
            return await self._look(call, seen, result)
        return await self._act(call, seen)

    # --- looking: one record -----------------------------------------------------------------------------------------

    async def _see(self, tool: Tool[Any, Any, Any], args: Arguments, warm: bool) -> tuple[Considered, Result | None]:
        """Steps 3 to 5, and, for a look that is allowed, the look itself, without a hop in between."""
        seen = await consider(tool, args, self._view(warm), self.policy.book)
        if not seen.plan.only_looks or seen.decision.verdict > Verdict.DELAY:
            return seen, None
        return seen, await self._perform(seen, self._stage_for(seen, warm=warm))

    async def _look(self, call: Call, seen: Considered, result: Result | None) -> Answer:
        leave = None
        if result is None:
            leave = await self._ask(call, seen, seen.plan.effects, seen.decision)
            result, _ = await self._run(seen, self._stage_for(seen))
        recorded = await self._ledger.look(call, seen, leave)
        return self._answer(call, result, seen.plan.effects, recorded)

    # --- acting: intend, stage, judge again, intend the commit, commit, conclude -------------------------------------

    async def _act(self, call: Call, seen: Considered) -> Answer:
        leave = None
        if seen.decision.verdict is Verdict.ASK:
            if self._approvals.headless:
                raise nobody_to_ask(seen.decision)
            if not seen.plan.staged:
                leave = await self._ask(call, seen, seen.plan.effects, seen.decision)
        await self._ledger.intend(call, seen, leave)
        try:
            staged = await self._stage(call, seen)
        except BaseException as error:
            call.met_conflict = isinstance(error, Refused) and error.word is Word.CONFLICT
            await shielded(self._ledger.conclude(call, record.discarded(error), ()))
            raise
        return await shielded(self._count(call, seen, staged))

    async def _stage(self, call: Call, seen: Considered) -> Staged:
        """Steps 7 and 8, until what was staged may count. On any failure it is discarded and has left no trace."""
        for _ in range(ROUNDS):
            staged = await self._try(call, seen)
            if staged.decision.verdict is not Verdict.ASK or not staged.effects:
                return staged
            if (granted := await self._leave(call, seen, staged)) is not None:
                return granted
        raise Refused(
            Word.CONFLICT,
            "the effects changed each time between the leave and the act",
            "nothing was done. wait until others have finished with it",
        )

    async def _try(self, call: Call, seen: Considered) -> Staged:
        """Let it happen where it does not count, and judge what it did."""
        stage = self._stage_for(seen)
        try:
            result, effects = await self._run(seen, stage)
            decision = call.decision = self._judge_again(seen, effects)
            call.effects = effects
            match decision.verdict:
                case Verdict.DENY:
                    raise denied(decision, undone=True)  # noqa: TRY301 (discarded like any other failure)
                case Verdict.DELAY:
                    await anyio.sleep(DELAY_S)
                case Verdict.ALLOW | Verdict.ASK:
                    pass
        except BaseException:
            await self._discard(stage)
            raise
        return Staged(stage, result, effects, decision, None)

    async def _leave(self, call: Call, seen: Considered, staged: Staged) -> Staged | None:
        """A person's leave for exactly what was staged. None where it has to be staged again to be covered."""
        question = self._question(call, seen, staged.effects, staged.decision)
        kept = False
        try:
            leave = await self._approvals.granted(question)
            if leave is None:
                kept = await anyio.to_thread.run_sync(staged.stage.release)
                leave = await self._approvals.leave(question, call.tell)
                if not kept:
                    return None
        except BaseException as error:
            pending = isinstance(error, Refused) and error.word is Word.APPROVAL_PENDING
            if not (pending and kept and self._parking.park(call, seen, staged, question)):
                await self._discard(staged.stage)
            raise
        return replace(staged, leave=leave)

    async def _discard(self, stage: Stage) -> None:
        await shielded(anyio.to_thread.run_sync(stage.discard))

    def _judge_again(self, seen: Considered, effects: tuple[Effect, ...]) -> Decision:
        """The same judge over what really happened. What step 5 asked for is still asked for."""
        if not effects or (within(effects, seen.plan.effects) and seen.decision.verdict < Verdict.ASK):
            return seen.decision
        after = judge(self.policy.book, effects, tool=seen.tool.name)
        return after if after.verdict >= seen.decision.verdict else seen.decision

    async def _count(self, call: Call, seen: Considered, staged: Staged) -> Answer:
        """Steps 9 to 11. From here on it is seen through to its record, whatever the client does."""
        if not staged.effects:
            await self._discard(staged.stage)
            recorded = await self._ledger.conclude(call, record.unchanged(), ())
            return self._answer(call, staged.result, (), recorded)
        try:
            if staged.leave is not None or set(staged.effects) != set(seen.plan.effects):
                await self._ledger.intend_commit(call, staged.effects, staged.decision, staged.leave)
        except BaseException as error:
            await self._discard(staged.stage)
            if isinstance(error, Refused):  # a budget or a spent leave said no, and the record can be written
                await self._ledger.conclude(call, record.discarded(error), ())
            raise
        return await self.let_count(call, staged)

    async def let_count(self, call: Call, staged: Staged) -> Answer:
        """Steps 10 and 11."""
        try:
            manifest = await anyio.to_thread.run_sync(self._commit, call, staged)
        except Refused as no:
            call.met_conflict = no.word is Word.CONFLICT
            await anyio.to_thread.run_sync(self._snapshots.drop, call.id)  # nothing of it counts: nothing to take back
            await self._ledger.conclude(call, record.discarded(no), ())
            raise
        except Exception as error:
            state = await self._ledger.settle(call, self._snapshots, self._workbench)
            log.exception("call %s: %s", call.id, state)
            raise Refused(
                Word.FAILED, "the change stopped part way", f"it was looked at again: {state}. read before you go on"
            ) from error
        call.counts = True
        self._parking.overtaken(staged.effects)
        recorded = await self._ledger.conclude_done(call, staged.effects, manifest)
        return self._answer(call, staged.result, staged.effects, recorded)

    def _commit(self, call: Call, staged: Staged) -> Mapping[str, object] | None:
        """Seal the before-images, then let it count. Runs in a worker thread; the manifest is what undo goes by."""
        try:
            manifest = staged.stage.hold()
            if manifest is not None:
                self._snapshots.seal(call.id, sealed(manifest, call.tool, staged.effects, self._ledger.workspace))
        except BaseException:
            staged.stage.discard()
            raise
        staged.stage.commit()
        return manifest

    # --- pieces ------------------------------------------------------------------------------------------------------

    async def _perform(self, seen: Considered, stage: Stage) -> Result:
        """INVARIANT: the only place where a tool acts."""
        return await seen.tool.perform(seen.args, seen.facts, stage.hands)

    async def _run(self, seen: Considered, stage: Stage) -> tuple[Result, tuple[Effect, ...]]:
        """Perform, and count what was done, in one visit to a worker thread."""
        if seen.tool.awaits:
            return await self._perform(seen, stage), await anyio.to_thread.run_sync(stage.observe)
        return await anyio.to_thread.run_sync(lambda: (step(self._perform(seen, stage)), stage.observe()))

    def _stage_for(self, seen: Considered, *, warm: bool = False) -> Stage:
        return self._workbench.stage(seen.tool, seen.plan, self._ledger.view, warm=warm)

    def _view(self, warm: bool) -> View:
        return self._workbench.view(self._ledger.view, warm=warm)

    def _question(self, call: Call, seen: Considered, effects: tuple[Effect, ...], decision: Decision) -> Question:
        preview: Callable[[], str] = partial(seen.tool.preview, seen.args, seen.facts)
        return self._ledger.question(call, seen, effects, decision, preview)

    async def _ask(self, call: Call, seen: Considered, effects: tuple[Effect, ...], decision: Decision) -> str:
        return await self._approvals.leave(self._question(call, seen, effects, decision), call.tell)

    async def _refuse(self, call: Call, no: Refused) -> Answer:
        try:
            recorded = await shielded(self._ledger.refuse(call, no))
        except StoreDown as down:
            return self._unrecorded(call, down)
        named = tuple(effect for effect in call.effects if not self.policy.book.floor.conceals(effect))
        return refusal_answer(call.id, no, named, recorded, self.policy.notices)

    def _unrecorded(self, call: Call, down: StoreDown) -> Answer:
        """Nothing can be recorded, so nothing is shown and nothing more is done."""
        log.error("call %s: %s", call.id, down)
        said = "this change counts, but its outcome is not recorded" if call.counts else "nothing was done"
        hint = f"{said}. do not try again; a person has to look at the log: `byleave doctor`"
        no = Refused(Word.FAILED, "the audit log cannot be written, so nothing may happen", hint)
        return refusal_answer(call.id, no, call.effects, None, ())

    def _answer(self, call: Call, result: Result, effects: tuple[Effect, ...], recorded: Receipt) -> Answer:
        return result_answer(call.id, result, effects, recorded, self.policy.notices)
