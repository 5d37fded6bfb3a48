"""Opening the store, wherever its owner is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from byleave.store.clock import Clock
from byleave.store.entry import Store, StoreDown
from byleave.store.joining import JoinedStore
from byleave.store.place import Sessions, UnsafePlace, claim_state_dir, default_state_dir, read_approver_key

__all__ = ["UnsafePlace", "default_state_dir", "open_store", "read_approver_key"]


@asynccontextmanager
async def open_store(
    state_dir: Path, *, workspace: Path | None, session: str, clock: Clock | None = None
) -> AsyncGenerator[Store]:
    """The store in `state_dir`, for as long as the block runs; `session` counts as alive for as long.

    Raises StoreDown in words where it cannot be used; UnsafePlace where the directory itself cannot be trusted.
    """
    place = claim_state_dir(state_dir, workspace)
    try:
        sessions = Sessions(place)
        alive = sessions.begin(session)
    except OSError as error:
        raise StoreDown(f"`{place}` cannot be used: {error.strerror}") from error
    try:
        store = JoinedStore(place, sessions, clock or Clock())
        try:
            await store.join()
            yield store
        finally:
            await store.aclose()
    finally:
        sessions.end(session, alive)
