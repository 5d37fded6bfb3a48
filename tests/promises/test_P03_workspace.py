"""P3: a file tool stays in the workspace."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from shop import Shop, call, gate_over

OUTSIDE = [
    "../outside.txt",
    "app/../../outside.txt",
    "app/../app/../../outside.txt",
    "{root}/outside.txt",
    "/proc/self/root{root}/outside.txt",
    "/proc/self/cwd/../outside.txt",
    "./../outside.txt",
    "app//..//..//outside.txt",
]


@pytest.fixture
def outside(shop: Shop) -> Path:
    path = shop.root / "outside.txt"
    path.write_text("mine\n")
    return path


@pytest.mark.anyio
@pytest.mark.parametrize("path", OUTSIDE)
async def test_a_path_out_of_the_workspace_reads_and_changes_nothing(shop: Shop, outside: Path, path: str) -> None:
    named = path.format(root=shop.root)
    async with gate_over(shop) as gate:
        answers = [
            await call(gate, "files_read", path=named),
            await call(gate, "files_write", path=named, text="x"),
            await call(gate, "files_edit", path=named, edits=[{"old": "mine", "new": "x"}]),
            await call(gate, "files_move", source=named, target="here.txt"),
            await call(gate, "files_move", source="app/main.py", target=named),
            await call(gate, "files_remove", path=named),
        ]
    assert all(answer.is_error and "mine" not in answer.text for answer in answers)
    assert outside.read_text() == "mine\n"
    assert (shop.project / "app" / "main.py").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("to", ["../outside.txt", "{root}/outside.txt", "hop"])
async def test_a_link_out_of_the_workspace_leads_nowhere(shop: Shop, outside: Path, to: str) -> None:
    (shop.project / "hop").symlink_to("../outside.txt")
    (shop.project / "link").symlink_to(to.format(root=shop.root))
    (shop.project / "folder").symlink_to("..")
    async with gate_over(shop) as gate:
        for path in ("link", "folder/outside.txt"):
            for answer in (
                await call(gate, "files_read", path=path),
                await call(gate, "files_write", path=path, text="x"),
                await call(gate, "files_edit", path=path, edits=[{"old": "mine", "new": "x"}]),
            ):
                assert answer.is_error
                assert "mine" not in answer.text
        await call(gate, "files_remove", path="link")  # the link itself may go
    assert outside.read_text() == "mine\n"


@pytest.mark.anyio
async def test_a_link_swapped_in_while_calls_run_never_leads_out(shop: Shop, outside: Path) -> None:
    racy, beside = shop.project / "racy", shop.project / "beside"
    (shop.project / "inside").mkdir()
    (shop.project / "inside" / "outside.txt").write_text("inside\n")
    racy.symlink_to("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for where in ("..", "inside"):
                beside.symlink_to(where)
                os.replace(beside, racy)

    racer = threading.Thread(target=swap)
    async with gate_over(shop, '[limits]\nrate = "100000/second"\n') as gate:
        racer.start()
        try:
            for number in range(60):
                read = await call(gate, "files_read", path="racy/outside.txt")
                assert "mine" not in read.text
                await call(gate, "files_write", path="racy/outside.txt", text=f"inside {number}\n")
        finally:
            stop.set()
            racer.join()
    assert outside.read_text() == "mine\n"
