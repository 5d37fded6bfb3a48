"""`byleave undo` and `byleave status`: a person takes back what any session did, and sees what is in force."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from byleave.cli import main
from byleave.cli.ending import Code
from byleave.opening import open_gate
from byleave.store.reading import Reader
from shop import Shop, build, call, gate_over


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return build(tmp_path)


def byleave(shop: Shop, *words: str) -> Result:
    options = ("--workspace", str(shop.project), "--policy", str(shop.policy), "--state-dir", str(shop.state))
    return CliRunner().invoke(main, [*words, *options])


async def two_changes(shop: Shop) -> tuple[str, str]:
    """A file written over, then rows deleted, by a session that has ended. Their receipts."""
    async with gate_over(shop) as gate:
        written = await call(gate, "files_write", path="app/cart.py", text="TOTAL = 1\n")
        deleted = await call(gate, "sql_change", database="shop", sql="DELETE FROM orders WHERE id <= 3")
        await call(gate, "files_read", path="app/cart.py")
    assert not written.is_error, written.text
    assert not deleted.is_error, deleted.text
    assert shop.rows("orders") == 97
    return str(written.receipt), str(deleted.receipt)


def test_the_last_change_comes_back_then_the_one_before(shop: Shop) -> None:
    anyio.run(two_changes, shop)
    last = byleave(shop, "undo", "--yes")
    assert last.exit_code == 0, last.output
    assert "sql_change in " in last.output
    assert shop.rows("orders") == 100
    assert (shop.project / "app/cart.py").read_text() == "TOTAL = 1\n"
    before = byleave(shop, "undo", "--yes")
    assert before.exit_code == 0, before.output
    assert (shop.project / "app/cart.py").read_text() == "TOTAL = 0\n"
    nothing = byleave(shop, "undo", "--yes")
    assert nothing.exit_code == Code.NO
    assert "can be taken back" in nothing.stderr


def test_a_receipt_says_which_and_where(shop: Shop) -> None:
    written, _ = anyio.run(two_changes, shop)
    said = CliRunner().invoke(
        main, ["undo", written, "--yes", "--json", "--policy", str(shop.policy), "--state-dir", str(shop.state)]
    )
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["undone"] is True
    assert (shop.project / "app/cart.py").read_text() == "TOTAL = 0\n"
    assert shop.rows("orders") == 97


def test_what_someone_changed_since_is_not_overwritten(shop: Shop) -> None:
    written, _ = anyio.run(two_changes, shop)
    (shop.project / "app/cart.py").write_text("TOTAL = 2\n")
    said = byleave(shop, "undo", written, "--yes")
    assert said.exit_code == Code.NO
    assert "conflict: " in said.output
    assert (shop.project / "app/cart.py").read_text() == "TOTAL = 2\n"


def test_without_a_terminal_and_without_yes_nothing_is_taken_back(shop: Shop) -> None:
    anyio.run(two_changes, shop)
    said = byleave(shop, "undo")
    assert said.exit_code == Code.USAGE
    assert shop.rows("orders") == 97


def test_an_unknown_receipt_is_named(shop: Shop) -> None:
    anyio.run(two_changes, shop)
    said = byleave(shop, "undo", "r-nothing", "--yes")
    assert said.exit_code == Code.NO
    assert "no call `r-nothing` that changed anything is in the log" in said.stderr


def test_status_before_anything_was_recorded(shop: Shop) -> None:
    said = json.loads(byleave(shop, "status", "--json").output)
    assert (said["log"], said["pending"], said["gates"], said["databases"]) == (None, 0, [], ["shop"])


@pytest.mark.anyio
async def test_status_tells_policy_log_and_gates_that_run(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        answer = await call(gate, "files_read", path="app/cart.py")
        running = json.loads(byleave(shop, "status", "--json").output)
        in_words = byleave(shop, "status").output
    assert f"{running['log']['records']}:{running['log']['head']}" == answer.log
    assert [gate["workspace"] for gate in running["gates"]] == [str(shop.project)]
    assert running["policy"]["origin"] == str(shop.policy)
    assert f"gate        {shop.project} since " in in_words
    assert json.loads(byleave(shop, "status", "--json").output)["gates"] == []


ASKS = """
[[rule]]
id = "restore.asks"
when = { verb = "restore", target = "file:app/**" }
verdict = "ask"
because = "a person looks at what comes back"
"""


def test_where_the_policy_asks_the_person_who_confirmed_is_the_one_asked(shop: Shop) -> None:
    shop.policy.write_text(shop.rules(ASKS))

    async def written() -> None:
        async with open_gate(workspace=shop.project, policy=str(shop.policy), state_dir=shop.state, environ={}) as gate:
            assert not (await call(gate, "files_write", path="app/cart.py", text="TOTAL = 1\n")).is_error

    anyio.run(written)
    said = byleave(shop, "undo", "--yes")
    assert said.exit_code == 0, said.output
    assert (shop.project / "app/cart.py").read_text() == "TOTAL = 0\n"
    with Reader(shop.state) as reader:
        kinds = [json.loads(body)["kind"] for _, body, _, _ in reader.rows()]
        assert reader.requests(time.time()) == []
    assert (kinds.count("request"), kinds.count("answer")) == (1, 1)
