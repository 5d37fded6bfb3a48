"""P8: undo gives back exactly what was there, and never overwrites what came later."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from byleave.capability import Refused, Word
from byleave.hands.files.staging import FileStage
from byleave.opening import open_gate
from shop import Shop, build, call, gate_over

CHANGES = [
    pytest.param("files_write", {"path": "app/main.py", "text": "x\n"}, id="write"),
    pytest.param("files_write", {"path": "app/new/deep/file.py", "text": "x\n"}, id="create"),
    pytest.param("files_edit", {"path": "app/main.py", "edits": [{"old": "shop", "new": "x"}]}, id="edit"),
    pytest.param("files_move", {"source": "app/main.py", "target": "app/new.py"}, id="move"),
    pytest.param("files_move", {"source": "app", "target": "lib"}, id="move a folder"),
    pytest.param("files_remove", {"path": "app", "recursive": True}, id="remove"),
    pytest.param("sql_change", {"database": "shop", "sql": "DELETE FROM orders WHERE id < 9"}, id="rows deleted"),
    pytest.param("sql_change", {"database": "shop", "sql": "UPDATE orders SET state = 'x' WHERE id < 9"}, id="updated"),
    pytest.param("sql_change", {"database": "shop", "sql": "INSERT INTO orders VALUES (900, 1, 'new')"}, id="inserted"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("tool", "arguments"), CHANGES)
async def test_undo_restores_what_was_there(shop: Shop, tool: str, arguments: dict[str, object]) -> None:
    (shop.project / "app" / "run.sh").write_bytes(b"#!/bin/sh\r\n\xff\n")
    (shop.project / "app" / "run.sh").chmod(0o750)
    before, rows = without_database(shop), dump(shop)
    async with gate_over(shop) as gate:
        changed = await call(gate, tool, **arguments)
        assert not changed.is_error, changed.text
        assert (without_database(shop), dump(shop)) != (before, rows)
        undone = await call(gate, "gate_undo", receipt=changed.receipt)
        assert not undone.is_error, undone.text
    assert (without_database(shop), dump(shop)) == (before, rows)
    assert stat.S_IMODE(os.stat(shop.project / "app" / "run.sh").st_mode) == 0o750


@pytest.mark.anyio
async def test_undo_leaves_alone_what_came_later(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        first = await call(gate, "files_write", path="app/main.py", text="the agent\n")
        (shop.project / "app" / "main.py").write_text("a person\n")
        (shop.project / "app" / "later.py").write_text("a person's too\n")
        undone = await call(gate, "gate_undo", receipt=first.receipt)
    assert undone.text.startswith("conflict: ")
    assert (shop.project / "app" / "main.py").read_text() == "a person\n"
    assert (shop.project / "app" / "later.py").read_text() == "a person's too\n"


@pytest.mark.anyio
async def test_an_undo_can_be_undone(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        changed = await call(gate, "files_write", path="app/main.py", text="better\n")
        undone = await call(gate, "gate_undo", receipt=changed.receipt)
        again = await call(gate, "gate_undo", receipt=undone.receipt)
        assert not again.is_error, again.text
    assert (shop.project / "app" / "main.py").read_text() == "better\n"


@pytest.mark.anyio
async def test_a_call_of_another_workspace_is_not_undone_nor_told_of(tmp_path: Path) -> None:
    """Two copies of one project, one state directory: their databases look alike."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = build(tmp_path / "one")
    two = build(tmp_path / "two")
    async with gate_over(one) as gate:
        await call(gate, "sql_change", database="shop", sql="INSERT INTO orders VALUES (900, 1, 'of one')")
        rows = await call(gate, "sql_change", database="shop", sql="DELETE FROM orders WHERE id = 900")
        file = await call(gate, "files_write", path="plan of one.txt", text="x")
    before = two.picture()
    async with open_gate(workspace=two.project, policy=str(two.policy), state_dir=one.state, headless=True) as gate:
        answers = [await call(gate, "gate_undo", receipt=receipt) for receipt in (rows.receipt, file.receipt)]
    assert [answered.text.split(":")[0] for answered in answers] == ["not_found", "not_found"]
    assert not any("plan of one" in answered.text for answered in answers)
    assert two.picture() == before


@pytest.mark.anyio
@pytest.mark.parametrize("receipt", ["", " ", "../../x", "r-../../x", "R-ABC", "r-" + "a" * 38, "r-\n", "r-x/y"])
async def test_what_is_no_receipt_is_not_found(shop: Shop, receipt: str) -> None:
    async with gate_over(shop) as gate:
        answered = await call(gate, "gate_undo", receipt=receipt)
    assert answered.text.startswith("not_found: ")


@pytest.mark.anyio
async def test_a_call_that_met_a_conflict_leaves_nothing_to_undo(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def conflict(self: FileStage) -> None:
        raise Refused(Word.CONFLICT, "for the test")

    async with gate_over(shop) as gate:
        with monkeypatch.context() as patch:
            patch.setattr(FileStage, "commit", conflict)
            refused = await call(gate, "files_remove", path="app/main.py")
        (shop.project / "app" / "main.py").unlink()  # a person, later
        undone = await call(gate, "gate_undo", receipt=refused.receipt)
    assert undone.text.startswith("not_found: ")
    assert not (shop.project / "app" / "main.py").exists()


def without_database(shop: Shop) -> dict[str, bytes]:
    return {name: content for name, content in shop.picture().items() if not name.endswith("shop.db")}


def dump(shop: Shop) -> list[str]:
    connection = sqlite3.connect(shop.database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()
