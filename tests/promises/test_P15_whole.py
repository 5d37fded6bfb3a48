"""P15: a change is whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shop import Shop, call, gate_over

#: A process that makes one change through a real gate and is killed at the n-th call of a system function in between.
DYING = """
import os, signal, sys
import anyio
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from shop import Shop, call, gate_over

shop, at, kind = Shop(Path(sys.argv[2])), int(sys.argv[3]), sys.argv[4]
seen = 0

def counting(real):
    def counted(*args, **kwargs):
        global seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return counted

async def main():
    async with gate_over(shop) as gate:
        for name in ("fsync", "fdatasync", "rename", "replace", "link", "unlink", "open", "write", "mkdir"):
            setattr(os, name, counting(getattr(os, name)))
        if kind == "files":
            answer = await call(gate, "files_move", source="app", target="lib")
        else:
            answer = await call(gate, "sql_change", database="shop", sql="DELETE FROM orders WHERE id <= 10")
        print(seen, answer.text, flush=True)

anyio.run(main)
"""


def die(shop: Shop, at: int, kind: str) -> subprocess.CompletedProcess[str]:
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", DYING, str(tests), str(shop.root), str(at), kind]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.anyio
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30])
async def test_a_killed_move_leaves_the_folder_here_or_there(shop: Shop, at: int) -> None:
    inside = {path.name: path.read_bytes() for path in (shop.project / "app").iterdir()}
    died = die(shop, at, "files")
    if died.returncode == 0:
        pytest.skip(f"the whole call takes fewer than {at} steps")
    assert died.returncode == -signal.SIGKILL, died.stderr
    async with gate_over(shop) as gate:  # recovery
        answer = await call(gate, "files_read", path=".")
        assert not answer.is_error
    folders = [folder for folder in (shop.project / "app", shop.project / "lib") if folder.exists()]
    assert len(folders) == 1
    assert {path.name: path.read_bytes() for path in folders[0].iterdir()} == inside


@pytest.mark.anyio
@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 8, 12])
async def test_a_killed_change_leaves_all_rows_or_none_of_them_gone(shop: Shop, at: int) -> None:
    died = die(shop, at, "sql")
    if died.returncode == 0:
        pytest.skip(f"the whole call takes fewer than {at} steps")
    assert died.returncode == -signal.SIGKILL, died.stderr
    async with gate_over(shop) as gate:
        assert not (await call(gate, "sql_query", database="shop", sql="SELECT 1 AS one")).is_error
    assert shop.rows("orders") in (100, 90)


@pytest.mark.anyio
async def test_what_was_in_flight_is_settled_at_the_next_start(shop: Shop) -> None:
    assert die(shop, 4, "files").returncode == -signal.SIGKILL
    async with gate_over(shop) as gate:
        assert not await gate._ledger._store.opened()
    assert not [path for path in shop.project.rglob("*") if "byleave" in path.name and path.is_file()]
    assert os.listdir(shop.backups) == ["shop-monday.db"]
