"""Opening the store: as its owner."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from byleave.store.clock import Clock
from byleave.store.entry import Store, StoreDown
from byleave.store.place import (
    Lock,
    Sessions,
    UnsafePlace,
    approver_key,
    claim_state_dir,
    default_state_dir,
    read_approver_key,
)
from byleave.store.sqlite import open_sqlite

__all__ = ["UnsafePlace", "default_state_dir", "open_store", "read_approver_key"]


@asynccontextmanager
async def open_store(
    state_dir: Path, *, workspace: Path | None, session: str, clock: Clock | None = None
) -> AsyncGenerator[Store]:
    """The store in `state_dir`, for as long as the block runs. Raises StoreDown (UnsafePlace) in words."""
    place = claim_state_dir(state_dir, workspace)
    try:
        sessions = Sessions(place)
        alive = sessions.begin(session)
        lock = Lock.take(place / "log.lock")
    except OSError as error:
        raise StoreDown(f"`{place}` cannot be used: {error.strerror}") from error
    if lock is None:
        raise StoreDown("another process owns the store")
    try:
        store = await open_sqlite(
            place / "log.db",
            lock=place / "log.lock",
            approver=approver_key(place),
            is_alive=sessions.is_alive,
            clock=clock,
        )
        try:
            yield store
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()
    finally:
        lock.release()
        sessions.end(session, alive)
