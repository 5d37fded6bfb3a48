"""P1: nothing changes without an intent on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from byleave.gate import Gate
from byleave.store.entry import Entry, Kind, Receipt, StoreDown
from shop import Shop, call, gate_over

CHANGES = [
    pytest.param("files_write", {"path": "app/main.py", "text": "x\n"}, id="write"),
    pytest.param("files_edit", {"path": "app/main.py", "edits": [{"old": "shop", "new": "x"}]}, id="edit"),
    pytest.param("files_move", {"source": "app/main.py", "target": "app/new.py"}, id="move"),
    pytest.param("files_remove", {"path": "app", "recursive": True}, id="remove"),
    pytest.param("sql_change", {"database": "shop", "sql": "DELETE FROM orders WHERE id < 5"}, id="rows"),
]


class Failing:
    """A store whose disk is full for records of one kind."""

    def __init__(self, gate: Gate, kind: Kind) -> None:
        self.kinds: list[Kind] = []
        self._store = gate._ledger._store
        self._kind = kind
        gate._ledger._store = self  # pyright: ignore

    async def append(self, entry: Entry) -> Receipt:
        self.kinds.append(entry.kind)
        if entry.kind is self._kind:
            raise StoreDown("`log.db`: no space left on device")
        return await self._store.append(entry)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.COMMIT])
@pytest.mark.parametrize(("tool", "arguments"), CHANGES)
async def test_when_the_intent_cannot_be_recorded_nothing_happens(
    shop: Shop, tool: str, arguments: dict[str, object], kind: Kind
) -> None:
    async with gate_over(shop) as gate:
        failing = Failing(gate, kind)
        before, rows = shop.picture(), shop.rows("orders")
        answer = await call(gate, tool, **arguments)
        if kind not in failing.kinds:
            pytest.skip("this call needs no second record: its intent says exactly what it did")
        assert answer.is_error
        assert answer.text.startswith("failed: the audit log cannot be written")
        assert (shop.picture(), shop.rows("orders")) == (before, rows)


@pytest.mark.anyio
async def test_what_was_discarded_leaves_no_file_behind(shop: Shop) -> None:
    before = sorted(shop.project.rglob("*"))
    async with gate_over(shop) as gate:
        Failing(gate, Kind.INTENT)
        await call(gate, "files_write", path="app/new.py", text="x\n")
    assert [path for path in sorted(shop.project.rglob("*")) if not path.name.endswith(("-wal", "-shm"))] == before


@pytest.mark.anyio
async def test_a_look_that_cannot_be_recorded_shows_nothing(shop: Shop, tmp_path: Path) -> None:
    async with gate_over(shop) as gate:
        Failing(gate, Kind.LOOK)
        answer = await call(gate, "files_read", path="app/main.py")
        assert answer.is_error
        assert "import cart" not in answer.text
