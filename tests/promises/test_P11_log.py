"""P11: an edit of the log is found."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from shop import Shop, call, gate_over

EDITS = [
    pytest.param(
        "UPDATE log SET body = CAST(replace(CAST(body AS TEXT), 'cart.py', 'main.py') AS BLOB) WHERE seq = 3",
        id="a word",
    ),
    pytest.param("DELETE FROM log WHERE seq = 3", id="a record taken out"),
    pytest.param(
        "UPDATE log SET body = (SELECT body FROM log WHERE seq = 2) WHERE seq = 3", id="another record's body"
    ),
    pytest.param("UPDATE log SET head = zeroblob(32) WHERE seq = 3", id="a head"),
    pytest.param("UPDATE log SET seq = seq + 100 WHERE seq >= 3", id="a gap"),
]


async def some_calls(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        await call(gate, "files_read", path="app/cart.py")
        await call(gate, "files_write", path="app/cart.py", text="TOTAL = 1\n")
        await call(gate, "files_read", path=".env")


def verify(shop: Shop) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from byleave.cli import main; main()", "log", "verify"]
    env = {**os.environ, "BYLEAVE_STATE_DIR": str(shop.state)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=30)


@pytest.mark.anyio
async def test_an_honest_log_verifies(shop: Shop) -> None:
    await some_calls(shop)
    said = verify(shop)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.anyio
@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_log_does_not(shop: Shop, edit: str) -> None:
    await some_calls(shop)
    connection = sqlite3.connect(shop.state / "log.db")
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    with connection:
        connection.execute(edit)
    connection.close()
    said = verify(shop)
    assert said.returncode != 0, said.stdout
