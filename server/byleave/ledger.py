"""What the gate writes down about a call, and the rails that go with each record.

One record, one transaction: the rates, budgets and leave that must be true exactly when the record is travel with it.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from byleave.answers import store_refused
from byleave.approvals.requests import Question
from byleave.audit import record
from byleave.audit.mask import Masker
from byleave.capability import GateView, Refused, Word
from byleave.consider import Considered
from byleave.effects import LOOKING, Effect, Undo
from byleave.hands.stage import Settled
from byleave.policy.judge import Decision
from byleave.rails import charge
from byleave.snapshots.keep import Snapshots
from byleave.snapshots.undoing import RESTORES
from byleave.store.entry import Entry, Kind, Receipt, Store
from byleave.workbench import Workbench

T = TypeVar("T")
Progress = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `principal` is what the transport vouches for; `client` is self-declared, for the record only."""

    principal: str
    session: str
    client: str


@dataclass(slots=True)
class Call:
    """One call under way. `effects` and `decision` are the latest that were judged, for its record and its answer."""

    id: str
    tool: str
    arguments: Mapping[str, object]
    caller: Caller
    progress: Progress | None = None
    effects: tuple[Effect, ...] = ()
    decision: Decision | None = None
    met_conflict: bool = False
    counts: bool = False
    held: dict[str, int] = field(default_factory=dict[str, int])

    async def tell(self, line: str) -> None:
        if self.progress is not None:
            await self.progress(line)


async def shielded(work: Awaitable[T]) -> T:
    """Await it out of reach of cancellation."""
    with anyio.CancelScope(shield=True):
        return await work
    raise AssertionError("a shield lets no exception disappear")


class Ledger:
    """The records of one session on one store."""

    def __init__(
        self,
        store: Store,
        *,
        view: GateView,
        limits: charge.Limits,
        masker: Masker,
        session: str,
        workspace: str,
        policy: str,
        monotonic: Callable[[], float],
    ) -> None:
        self.view = view
        self.session = session
        self._store = store
        self._limits = limits
        self._masker = masker
        self.workspace = workspace
        self._policy = policy
        self._monotonic = monotonic
        self._closed_until = 0.0

    def begin(self, tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress | None) -> Call:
        return Call(new_call_id(), tool, arguments, caller, progress)

    def admit(self) -> None:
        """Step 2. What the store said last is remembered, so that hammering costs no work. The store decides."""
        if (wait := self._closed_until - self._monotonic()) > 0:
            hint = f"nothing was done. wait {max(1, round(wait))} seconds, then call again; do more in one call"
            raise Refused(Word.RATE_LIMITED, "too many calls", hint, rule="limits.rate")

    async def look(self, call: Call, seen: Considered, leave: str | None) -> Receipt:
        """A look's one record. It is on disk before the result is shown; where a rail says no, nothing is shown."""
        body = record.look(self._about(call), seen.decision, seen.plan.effects)
        amounts = charge.used(self.session, seen.plan.effects)
        return await self._write(
            Entry(
                Kind.LOOK,
                call.id,
                body,
                claims=charge.claims(self._limits, call.caller.principal),
                holds=charge.holds(self._limits, self.session, amounts),
                settle=amounts,
                spend=leave,
            )
        )

    async def intend(self, call: Call, seen: Considered, leave: str | None) -> Receipt:
        """Step 6. When this returns, the intent is on disk, and its rates and budgets are held."""
        body = record.intent(self._about(call), seen.decision, seen.plan.effects, staged=seen.plan.staged)
        declared = tuple(e for e in seen.plan.effects if not e.waits and e.verb not in LOOKING)
        call.held = charge.used(self.session, declared)
        entry = Entry(
            Kind.INTENT,
            call.id,
            body,
            claims=charge.claims(self._limits, call.caller.principal),
            holds=charge.holds(self._limits, self.session, call.held),
            spend=leave,
        )
        return await shielded(self._write(entry))

    async def intend_commit(
        self, call: Call, effects: tuple[Effect, ...], decision: Decision, leave: str | None
    ) -> Receipt:
        """Step 9. What really happened where it did not count, with its budget topped up and the leave spent."""
        amounts = charge.used(self.session, effects)
        more = {key: max(0, amount - call.held.get(key, 0)) for key, amount in amounts.items()}
        body = record.commit(decision, effects)
        return await self._write(
            Entry(Kind.COMMIT, call.id, body, holds=charge.holds(self._limits, self.session, more), spend=leave)
        )

    async def conclude(self, call: Call, outcome: Mapping[str, object], effects: tuple[Effect, ...]) -> Receipt:
        """Step 11. The outcome, and what was really used: a failed call still costs its call."""
        settle = charge.used(self.session, effects)
        body = {**outcome, "tool": call.tool}
        if "reason" in body:
            body["reason"] = self._masker.sentence(str(body["reason"]))
        return await self._write(Entry(Kind.OUTCOME, call.id, body, settle=settle))

    async def conclude_done(
        self, call: Call, effects: tuple[Effect, ...], manifest: Mapping[str, object] | None
    ) -> Receipt:
        """Step 11 for what counts now. An undo is kept too, but is not what the next undo takes back by itself.

        A manifest alone is no promise: of an effect that cannot be undone it lets recovery settle, and no more.
        """
        restores = None if manifest is None else manifest.get(RESTORES)
        kept = manifest is not None and all(effect.undo is not Undo.NONE for effect in effects)
        body = {**record.done(snapshot=kept), "tool": call.tool}
        entry = Entry(
            Kind.OUTCOME,
            call.id,
            body if restores is None else {**body, RESTORES: restores},
            settle=charge.used(self.session, effects),
            kept=kept and restores is None,
            restores=None if restores is None else str(restores),
        )
        return await self._write(entry)

    async def refuse(self, call: Call, no: Refused) -> Receipt:
        """A no, with its rule. It is on disk before it is answered."""
        reason = self._masker.sentence(no.reason)
        body = record.refusal(self._about(call), no.word, no.rule, reason, call.decision, call.effects)
        return await self._store.append(Entry(Kind.REFUSAL, call.id, body))

    async def settle(self, call: Call, snapshots: Snapshots, workbench: Workbench) -> str:
        """A commit that failed in a way its stage did not foresee: look through the manifest, and record what is."""
        manifest = snapshots.manifest(call.id)
        state = Settled.DISCARDED if manifest is None else workbench.reversers().settle(manifest)
        await settle_record(self._store, call.id, call.tool, state)
        return state.value

    def question(
        self,
        call: Call,
        seen: Considered,
        effects: tuple[Effect, ...],
        decision: Decision,
        preview: Callable[[], str],
    ) -> Question:
        arguments = seen.args.model_dump(mode="json")
        return Question(
            call=call.id,
            principal=call.caller.principal,
            workspace=self.workspace,
            client=call.caller.client,
            tool=call.tool,
            arguments=arguments,
            shown_arguments=self._masker.arguments(arguments),
            effects=effects,
            decision=decision,
            preview=preview,
            mask=self._masker.lines,
        )

    def _about(self, call: Call) -> dict[str, object]:
        return {
            "tool": call.tool,
            "arguments": self._masker.arguments(call.arguments),
            "principal": call.caller.principal,
            "session": self.session,
            "client": call.caller.client,
            "workspace": self.workspace,
            "policy": self._policy,
        }

    async def _write(self, entry: Entry) -> Receipt:
        receipt = await self._store.append(entry)
        if receipt.refused is not None:
            if receipt.refused.retry_after is not None:
                self._closed_until = self._monotonic() + receipt.refused.retry_after
            raise store_refused(receipt.refused)
        return receipt


async def settle_record(store: Store, call: str, tool: str, state: Settled) -> Receipt:
    """The outcome of a call whose end nobody saw, as its manifest and the world tell it."""
    if state is Settled.UNKNOWN:
        return await store.append(Entry(Kind.UNKNOWN, call, {**record.settled(state.value), "tool": tool}))
    body = {**record.settled(state.value), "tool": tool}
    return await store.append(Entry(Kind.OUTCOME, call, body, kept=state is Settled.COMMITTED))


def new_call_id() -> str:
    """50 random bits in lower-case base32: short enough to say, long enough to be the only one."""
    return base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10]
