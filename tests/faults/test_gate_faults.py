"""A gate that dies at any step of a call: nothing changed without a durable intent, and the next start settles it.

Each case runs one call in a process of its own, which kills itself (SIGKILL) at the named moment. Then the world and
the log are looked at, a new gate is opened, and both are looked at again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from world import World, call, gate_over, make_world

DYING = """
import os, signal, sys
from pathlib import Path
from unittest import mock
import anyio
from byleave.gate import Gate
from byleave.ledger import Ledger
from byleave.snapshots.keep import Snapshots
import byleave.hands.files.staging as files, byleave.hands.sql.sqlite.changing as sql
from world import World, call, gate_over

world, tool, moment = World(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
ARGUMENTS = {
    "files_write": {"path": "src/new.py", "text": "print('new')\\n"},
    "files_edit": {"path": "notes.txt", "edits": [{"old": "two", "new": "2"}]},
    "files_move": {"source": "notes.txt", "target": "src/app.py"},
    "files_remove": {"path": "src", "recursive": True},
    "sql_change": {"database": "app", "sql": "delete from orders where id < 5"},
}

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name):
    return mock.patch.object(owner, name, die)

def after(owner, name):
    real = getattr(owner, name)
    if name in ("commit", "hold", "seal", "observe"):
        def dying(*args, **kwargs):
            real(*args, **kwargs)
            die()
    else:
        async def dying(*args, **kwargs):
            await real(*args, **kwargs)
            die()
    return mock.patch.object(owner, name, dying)

stage = sql.Changing if tool == "sql_change" else files.FileStage
PATCHES = {
    "before-intent": before(Ledger, "intend"),
    "after-intent": after(Ledger, "intend"),
    "after-staging": after(stage, "observe"),
    "before-sealing": before(Snapshots, "seal"),
    "after-sealing": after(Snapshots, "seal"),
    "after-commit": after(stage, "commit"),
    "before-outcome": before(Ledger, "conclude_done"),
    "after-outcome": after(Ledger, "conclude_done"),
}

async def main():
    async with gate_over(world) as gate:
        with PATCHES[moment]:
            answered = await call(gate, tool, **ARGUMENTS[tool])
    print(answered.text)

anyio.run(main)
"""

MOMENTS = {
    # what the next start finds: whether the change counts, and what its outcome says
    "before-intent": (False, None),
    "after-intent": (False, "discarded"),
    "after-staging": (False, "discarded"),
    "before-sealing": (False, "discarded"),
    "after-sealing": (False, "discarded"),
    "after-commit": (True, "committed"),
    "before-outcome": (True, "committed"),
    "after-outcome": (True, "done"),
}


def seen(world: World) -> object:
    return (world.tree(), world.orders())


@pytest.mark.parametrize("tool", ["files_write", "files_edit", "files_move", "files_remove", "sql_change"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_gate_killed_at_any_step_leaves_the_world_whole_and_the_next_start_says_which(
    tmp_path: Path, tool: str, moment: str
):
    world = make_world(tmp_path)
    untouched = seen(world)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    ended = subprocess.run(
        [sys.executable, "-c", DYING, str(tmp_path), tool, moment],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
    counts, status = MOMENTS[moment]
    left = seen(world)
    assert (left != untouched) is counts
    assert not [p for p in world.workspace.rglob("*") if "byleave" in p.name]

    async def start_again_and_undo() -> str:
        async with gate_over(world) as gate:
            intents = [str(r["call"]) for r in world.records() if r["kind"] == "intent"]
            return (await call(gate, "gate_undo", receipt=f"r-{intents[0]}")).text if intents else "no intent"

    undone = anyio.run(start_again_and_undo)
    outcomes = [r["body"] for r in world.records() if r["kind"] == "outcome"][:1]
    assert [o.get("found", o["status"]) for o in outcomes] == ([status] if status else [])
    assert world.findings().is_sound
    assert world.findings().unfinished == ()
    assert seen(world) == untouched, undone
