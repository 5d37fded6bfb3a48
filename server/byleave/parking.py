"""Changes that wait for a person: staged, shown, and kept exactly as they were shown.

A file stage can be kept without a lock; only disk is spent. When leave comes, it commits as it is, whether or not
the client still waits, and the next identical call is told so. When the answer is no, or the request expires, it is
discarded.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

import anyio
import anyio.abc
import anyio.to_thread

from byleave.answers import Answer, refusal_answer
from byleave.approvals.requests import Approvals, Question
from byleave.capability import Arguments, Refused, Result, Word
from byleave.consider import Considered
from byleave.effects import Effect, digest
from byleave.hands.stage import Stage
from byleave.ledger import Call, Ledger
from byleave.policy.judge import Decision
from byleave.store.entry import RequestState

log = logging.getLogger("byleave.gate")

#: What an answer begins with that is about a call made before.
EARLIER = "this call was made before and has been given leave since; what became of it then, not done again:"
#: How many parked changes one gate keeps; one more is discarded and has to be called again.
MOST = 16


@dataclass(frozen=True, slots=True)
class Staged:
    """A change that has happened where it does not count. `leave` is the approved request that covers exactly it."""

    stage: Stage
    result: Result
    effects: tuple[Effect, ...]
    decision: Decision
    leave: str | None


@dataclass(frozen=True, slots=True)
class Parked:
    """One parked change, and the question that it waits on."""

    call: Call
    seen: Considered
    staged: Staged
    question: Question


LetCount = Callable[[Call, Staged], Awaitable[Answer]]


async def _closed(call: Call, staged: Staged) -> Answer:
    raise RuntimeError("no gate is serving")


class Parking:
    """The parked changes of one gate. `group` runs one watcher for each; it ends with the gate."""

    def __init__(self, approvals: Approvals, ledger: Ledger, group: anyio.abc.TaskGroup) -> None:
        self._approvals = approvals
        self._ledger = ledger
        self._group = group
        self._parked: dict[str, Parked] = {}
        self._delivery: dict[str, Answer] = {}
        self._under_way: dict[str, anyio.Event] = {}
        self._let_count: LetCount = _closed

    def serve(self, let_count: LetCount) -> None:
        """The gate's last two steps, which a parked change takes when its leave comes."""
        self._let_count = let_count

    def park(self, call: Call, seen: Considered, staged: Staged, question: Question) -> bool:
        """Keep a released stage until it is answered. False where it cannot be kept: the caller discards it."""
        if len(self._parked) >= MOST or question.digest in self._parked:
            return False
        parked = Parked(replace(call, progress=None), seen, staged, question)
        self._parked[question.digest] = parked
        self._group.start_soon(self._watch, parked)
        return True

    async def delivered(self, call: Call, args: Arguments) -> Answer | None:
        """What became of this very call after it was parked; told once. Waits where it is just being seen through."""
        key = digest(call.caller.principal, self._ledger.workspace, call.tool, args.model_dump(mode="json"))
        if (ended := self._under_way.get(key)) is not None:
            await ended.wait()
        answer = self._delivery.pop(key, None)
        return None if answer is None else replace(answer, text=f"{EARLIER}\n{answer.text}")

    def overtaken(self, effects: Iterable[Effect]) -> None:
        """Another change counts now: what became of an earlier one of the same things is no answer any more."""
        targets = {effect.target for effect in effects}
        for key, answer in list(self._delivery.items()):
            if not targets.isdisjoint(effect.target for effect in answer.effects):
                del self._delivery[key]

    async def _watch(self, parked: Parked) -> None:
        """INVARIANT: no failure comes out of here. It would end the gate, and every call under way with it."""
        leave: str | None = None
        try:
            leave = await self._answered(parked.question)
        except Exception:
            log.exception("call %s waits no longer", parked.call.id)  # its request stands: the next such call finds it
        finally:
            self._parked.pop(parked.question.digest, None)
            with anyio.CancelScope(shield=True):
                if leave is None:
                    await anyio.to_thread.run_sync(parked.staged.stage.discard)
                else:
                    key, ended = parked.question.call_digest, anyio.Event()
                    self._under_way[key] = ended
                    try:
                        await self._see_through(parked, leave)
                    except Exception:
                        log.exception("call %s was given leave", parked.call.id)
                    finally:
                        if self._under_way.get(key) is ended:
                            del self._under_way[key]
                        ended.set()

    async def _answered(self, question: Question) -> str | None:
        """The approved request's id; None for a no, or when its time is over."""
        while (request := await self._approvals.standing(question)) is not None:
            match request.state:
                case RequestState.PENDING:
                    await self._approvals.wait_for_answer(request.id, 60.0)
                case RequestState.APPROVED:
                    return request.id
                case RequestState.REFUSED | RequestState.SPENT | RequestState.EXPIRED:
                    return None
        return None

    async def _see_through(self, parked: Parked, leave: str) -> None:
        """Steps 6 to 11 for what was shown: a call of its own, whose intent says exactly what will count."""
        call = self._ledger.begin(parked.call.tool, parked.call.arguments, parked.call.caller, None)
        call.effects, call.decision = parked.staged.effects, parked.staged.decision
        said = replace(parked.seen, plan=replace(parked.seen.plan, effects=parked.staged.effects))
        try:
            await self._ledger.intend(call, said, leave)
        except BaseException as error:
            await anyio.to_thread.run_sync(parked.staged.stage.discard)
            if isinstance(error, Refused) and error.word is Word.CONFLICT:
                return  # the same call, made again meanwhile, has spent the leave: it has its own answer
            raise
        try:
            answer = await self._let_count(call, parked.staged)
        except Refused as no:
            answer = refusal_answer(call.id, no, call.effects, await self._ledger.refuse(call, no), ())
        self._delivery[parked.question.call_digest] = answer
        while len(self._delivery) > MOST:
            del self._delivery[next(iter(self._delivery))]
