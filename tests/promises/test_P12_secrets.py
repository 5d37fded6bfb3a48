"""P12: no secret enters the log, and no refusal carries a file's content or a control character."""

from __future__ import annotations

from typing import Any

import pytest

from byleave.hands.files import Workspace
from byleave.store.reading import Reader
from shop import CALLER, SECRET, Shop, call, gate_over


@pytest.mark.anyio
async def test_a_secret_among_the_arguments_is_not_in_the_state_directory_s_log(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        await call(gate, "files_write", path="settings.py", text=f"PAYMENT_KEY = '{SECRET}'\n")
        await call(gate, "files_search", pattern=SECRET)
        await call(gate, "sql_query", database="shop", sql=f"SELECT '{SECRET}' AS x")
    for path in shop.state.glob("log.db*"):
        assert SECRET.encode() not in path.read_bytes(), path.name


@pytest.mark.anyio
async def test_what_is_said_and_shown_about_a_call_brings_no_secret_into_the_log(shop: Shop) -> None:
    async with gate_over(shop, '[approvals]\nwait = "0s"\n', headless=False) as gate:
        asked = await call(gate, "files_write", path=".mcp.json", text=f'{{"key": "{SECRET}"}}\n')
        await call(gate, "files_read", path=f"no-{SECRET}")
        await call(gate, "files_read", **{"path": "x", SECRET: 1})
        await call(gate, "sql_query", database="shop", sql=f'SELECT * FROM "{SECRET}"')
        edits = [{"old": f"{SECRET} is not there", "new": "x"}]
        await call(gate, "files_edit", path="app/main.py", edits=edits)
    assert asked.text.startswith("approval_pending: ")
    with Reader(shop.state) as log:
        records = [str(body) for _, body, _, _ in log.rows()]
    assert [body for body in records if SECRET in body] == []
    assert any("request" in body for body in records)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\u202eb", "a\nb", "\x07"])
async def test_a_name_cannot_write_on_the_terminal(shop: Shop, name: str) -> None:
    async with gate_over(shop) as gate:
        for tool, arguments in (
            ("files_read", {"path": name}),
            ("files_remove", {"path": name}),
            ("sql_query", {"database": name, "sql": "SELECT 1"}),
            (name, {}),
        ):
            answer = await gate.call(tool, arguments, CALLER)
            assert answer.is_error
            assert all(c.isprintable() or c == "\n" for c in answer.text)
            assert name not in answer.text


@pytest.mark.anyio
async def test_a_fault_inside_the_gate_tells_the_model_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"the key is {SECRET}")

    async with gate_over(shop) as gate:
        monkeypatch.setattr(Workspace, "stage", broken)
        answer = await call(gate, "files_write", path="app/main.py", text="x\n")
    assert answer.text.startswith("failed: ")
    assert SECRET not in answer.text
    assert "RuntimeError" not in answer.text
    assert (shop.project / "app" / "main.py").read_text().startswith("import cart")
