"""What the gate tells about itself, and the snapshots it can put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio.to_thread

from byleave.answers import call_of, receipt_id
from byleave.capability import GateView, Kept, Refused, Word
from byleave.effects import printable
from byleave.rails.charge import CALLS, FILES_DELETED, ROWS_DELETED, Limits, key
from byleave.store.entry import Store
from byleave.workbench import Workbench


class Own:
    """`GateView` and `StatusHands` over one session's store and snapshots."""

    def __init__(
        self, store: Store, workbench: Workbench, *, session: str, limits: Limits, policy: Callable[[], Sequence[str]]
    ) -> None:
        self._store = store
        self._workbench = workbench
        self._session = session
        self._limits = limits
        self._policy = policy

    async def status(self) -> str:
        """Policy in words, what is left of each budget, requests that wait. A line each."""
        lines = [*self._policy(), *await self._budgets()]
        pending = await self._store.requests()
        lines += [f"waits for a person: {r.id}: {r.body.get('tool')}" for r in pending] or ["no request waits for a person"]
        undoable = await self._store.last_undoable(self._session)
        lines.append("nothing to undo yet" if undoable is None else f"last undoable call: {receipt_id(undoable)}")
        return "\n".join(lines)

    async def kept(self, receipt: str | None) -> Kept:
        call = await self._store.last_undoable(self._session) if receipt is None else call_of(receipt)
        if call is None:
            raise Refused(Word.NOT_FOUND, "no call of this session can be undone", "nothing was done")
        return await anyio.to_thread.run_sync(self._read, call)

    def _read(self, call: str) -> Kept:
        manifest = self._workbench.snapshots.manifest(call)
        if manifest is None:
            raise Refused(
                Word.NOT_FOUND,
                f"no snapshot for `{printable(receipt_id(call))}`",
                "nothing was done. reads, refusals and changes that cannot be undone have none",
            )
        kind = self._workbench.kind(manifest)
        return Kept(
            receipt=receipt_id(call),
            tool=str(manifest.get("tool", "a call")),
            effects=kind.restoring(manifest),
            moved_on=kind.moved_on(manifest),
            handle=manifest,
        )

    async def _budgets(self) -> list[str]:
        used = {u.key: u.used + u.held for u in await self._store.usage(f"session:{self._session}:")}
        bounds = {
            "calls": (CALLS, self._limits.calls),
            "rows deleted": (ROWS_DELETED, self._limits.rows_deleted),
            "files deleted": (FILES_DELETED, self._limits.files_deleted),
        }
        lines = [
            f"{name}: {used.get(key(self._session, unit), 0):,} of {bound:,} in this session"
            for name, (unit, bound) in bounds.items()
            if bound is not None
        ]
        return lines + ([f"rate: {self._limits.rate}"] if self._limits.rate is not None else [])


@dataclass(frozen=True, slots=True)
class Nobody:
    """The gate's own view where there is no store: `byleave check` decides without one."""

    async def status(self) -> str:
        return "no session: this is a check"

    async def kept(self, receipt: str | None) -> Kept:
        del receipt
        raise Refused(Word.NOT_FOUND, "a check has no session, so nothing can be undone in it")


_: type[GateView] = Own
