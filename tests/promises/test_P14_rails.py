"""P14: rates and budgets are kept in the log's own transactions."""

from __future__ import annotations

import anyio
import pytest

from shop import CALLER, Shop, call, gate_over


@pytest.mark.anyio
async def test_a_restart_refills_no_budget(shop: Shop) -> None:
    rate = '[limits]\nrate = "3/hour"\n'
    async with gate_over(shop, rate) as gate:
        assert not (await call(gate, "files_read", path="app/main.py")).is_error
        assert not (await call(gate, "files_read", path="app/main.py")).is_error
    async with gate_over(shop, rate) as gate:
        assert not (await call(gate, "files_read", path="app/main.py")).is_error
        last = await call(gate, "files_write", path="app/main.py", text="x\n")
    assert last.text.startswith("rate_limited: ")
    assert (shop.project / "app" / "main.py").read_text().startswith("import cart")


@pytest.mark.anyio
async def test_calls_at_once_do_not_slip_past_a_budget(shop: Shop) -> None:
    names = [f"n{number}.txt" for number in range(30)]
    for name in names:
        (shop.project / name).write_text("x")
    limits = '[limits]\nrate = "1000/second"\nsession = { files_deleted = 7 }\n'
    words: list[str] = []

    async def remove(name: str) -> None:
        answer = await gate.call("files_remove", {"path": name}, CALLER)
        words.append(answer.text.split(":")[0] if answer.is_error else "done")

    async with gate_over(shop, limits) as gate:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(remove, name)
    assert len(list(shop.project.glob("n*.txt"))) == 30 - 7
    assert words.count("done") == 7
    assert words.count("budget_exhausted") == 23


@pytest.mark.anyio
async def test_rows_are_counted_where_they_were_really_deleted(shop: Shop) -> None:
    limits = "[limits]\nsession = { rows_deleted = 15 }\n"
    async with gate_over(shop, limits) as gate:
        first = await call(gate, "sql_change", database="shop", sql="DELETE FROM orders WHERE id <= 10")
        second = await call(gate, "sql_change", database="shop", sql="DELETE FROM orders WHERE id <= 20")
    assert not first.is_error, first.text
    assert second.text.startswith("budget_exhausted: ")
    assert shop.rows("orders") == 90
