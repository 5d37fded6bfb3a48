"""What the gate tells about itself, and the snapshots it can put back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import anyio.to_thread

from byleave.answers import call_of, receipt_id
from byleave.capability import GateView, Kept, Refused, Word
from byleave.effects import Effect, Extent, Scheme, Target, Undo, Unit, Verb, printable, unknown
from byleave.rails.charge import CALLS, FILES_DELETED, ROWS_DELETED, Limits, key
from byleave.snapshots.keep import Snapshots, is_call
from byleave.store.entry import Store
from byleave.workbench import Workbench


class Own:
    """`GateView` and `StatusHands` over one session's store and snapshots."""

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        workbench: Workbench,
        *,
        session: str,
        workspace: str,
        limits: Limits,
        policy: Callable[[], Sequence[str]],
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._workbench = workbench
        self._session = session
        self._workspace = workspace
        self._limits = limits
        self._policy = policy

    async def status(self) -> str:
        """Policy in words, what is left of each budget, requests that wait. A line each."""
        lines = [*self._policy(), *await self._budgets()]
        pending = await self._store.requests()
        lines += [f"waits for a person: {r.id}: {r.body.get('tool')}" for r in pending] or [
            "no request waits for a person"
        ]
        undoable = await self._store.last_undoable(self._session)
        lines.append("nothing to undo yet" if undoable is None else f"last undoable call: {receipt_id(undoable)}")
        return "\n".join(lines)

    async def kept(self, receipt: str | None) -> Kept:
        call = await self._store.last_undoable(self._session) if receipt is None else call_of(receipt)
        if call is None:
            raise Refused(Word.NOT_FOUND, "no call of this session can be undone", "nothing was done")
        return await anyio.to_thread.run_sync(self._read, call)

    def _read(self, call: str) -> Kept:
        manifest = self._snapshots.manifest(call) if is_call(call) else None
        # Of another workspace not even its names are told: two copies of a project hold databases that look alike.
        if manifest is None or manifest.get("workspace") != self._workspace:
            raise Refused(
                Word.NOT_FOUND,
                f"no snapshot for `{printable(receipt_id(call))}`",
                "nothing was done. reads, refusals and changes that cannot be undone have none",
            )
        return Kept(
            receipt=receipt_id(call),
            tool=str(manifest.get("tool", "a call")),
            effects=restoring(manifest),
            moved_on=self._workbench.reversers().moved_on(manifest),
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


def sealed(manifest: Mapping[str, object], tool: str, effects: Sequence[Effect], workspace: str) -> dict[str, object]:
    """A stage's manifest with what undoing it will say: where, the tool, and target and extent of each effect."""
    done = [[e.target.scheme.value, e.target.name, e.extent.unit.value, e.extent.amount] for e in effects]
    return {**manifest, "workspace": workspace, "tool": tool, "effects": done}


def restoring(manifest: Mapping[str, object]) -> tuple[Effect, ...]:
    """The effects of putting a sealed manifest back. Several on one target are one, as large as all together."""
    total: dict[Target, Extent] = {}
    for scheme, name, unit, amount in cast("list[tuple[str, str, str, int | None]]", manifest["effects"]):
        target = Target(Scheme(scheme), name)
        before = total.get(target)
        more = None if amount is None or (before is not None and before.amount is None) else amount
        so_far = 0 if before is None else before.amount or 0
        total[target] = unknown(Unit(unit)) if more is None else Extent(Unit(unit), so_far + more)
    return tuple(Effect(Verb.RESTORE, target, extent, Undo.SNAPSHOT) for target, extent in total.items())


_: type[GateView] = Own
