"""What a start does about calls that stopped in between: settle them from their journal, or say that they are unknown.

An intent without an outcome means that a gate ended between the two. What was staged and not sealed never counted:
it is discarded. What was sealed is settled by looking at the world through its manifest. What had no stage may have
happened, and nobody can tell from here: it becomes `unknown`, and its budget stays spent.
"""

from __future__ import annotations

import anyio.to_thread

from byleave.capability import Refused
from byleave.hands.stage import Settled
from byleave.ledger import settle_record
from byleave.snapshots.keep import Snapshots
from byleave.store.entry import Opened, Store
from byleave.workbench import Workbench


async def settle_all(store: Store, snapshots: Snapshots, workbench: Workbench, workspace: str) -> dict[str, Settled]:
    """Settle each call of this workspace whose session is not alive any more; by call, what became of it."""
    settled: dict[str, Settled] = {}
    for opened in await store.opened():
        if opened.body.get("workspace") != workspace:
            continue  # its own gate settles it, with the hands for that workspace
        state = await anyio.to_thread.run_sync(_look, opened, snapshots, workbench)
        await settle_record(store, opened.call, str(opened.body.get("tool", "")), state)
        settled[opened.call] = state
    return settled


def _look(opened: Opened, snapshots: Snapshots, workbench: Workbench) -> Settled:
    manifest = snapshots.manifest(opened.call)
    if manifest is None:
        return Settled.DISCARDED if opened.body.get("staged") else Settled.UNKNOWN
    try:
        return workbench.reversers().settle(manifest)
    except Refused:
        return Settled.UNKNOWN
