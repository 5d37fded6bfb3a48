"""P2: no answer without its record."""

from __future__ import annotations

import anyio
import pytest

from byleave.store.entry import Entry, Kind, Receipt
from shop import CALLER, Shop, call, gate_over

CALLS = [
    pytest.param("files_read", {"path": "app/main.py"}, [Kind.LOOK], id="look"),
    pytest.param("files_read", {"path": ".env"}, [Kind.REFUSAL], id="refused"),
    pytest.param("files_read", {"path": "app/main.py", "no": 1}, [Kind.REFUSAL], id="invalid"),
    pytest.param("no_such_tool", {}, [Kind.REFUSAL], id="unknown tool"),
    pytest.param("files_write", {"path": "a.txt", "text": "x"}, [Kind.INTENT, Kind.OUTCOME], id="write"),
    pytest.param(
        "sql_change",
        {"database": "shop", "sql": "DELETE FROM orders WHERE id = 1"},
        [Kind.INTENT, Kind.COMMIT, Kind.OUTCOME],
        id="rows",
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("tool", "arguments", "kinds"), CALLS)
async def test_every_answer_names_the_record_that_was_on_disk_before_it(
    shop: Shop, tool: str, arguments: dict[str, object], kinds: list[Kind]
) -> None:
    async with gate_over(shop) as gate:
        written: list[tuple[Kind, Receipt]] = []
        append = gate._ledger._store.append

        async def watched(entry: Entry) -> Receipt:
            receipt = await append(entry)
            written.append((entry.kind, receipt))
            return receipt

        gate._ledger._store.append = watched  # type: ignore[method-assign]  # a tap, nothing else
        answer = await call(gate, tool, **arguments)
        last = written[-1][1]
        assert [kind for kind, _ in written] == kinds
        assert answer.log == f"{last.seq}:{last.head}"
        assert answer.text.splitlines()[-1].startswith(f"receipt {answer.receipt} · log {last.seq}:")


@pytest.mark.anyio
async def test_fifty_calls_at_once_have_fifty_records(shop: Shop) -> None:
    async with gate_over(shop, '[limits]\nrate = "1000/second"\n') as gate:
        logs: set[str | None] = set()

        async def one(number: int) -> None:
            answer = await gate.call("files_write", {"path": f"n{number}.txt", "text": "x"}, CALLER)
            logs.add(answer.log if not answer.is_error else None)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(one, number)
        assert len(logs) == 50
        assert None not in logs
    assert len(list(shop.project.glob("n*.txt"))) == 50
