"""A database whose gate dies, and one whose disk is full: all of a change or nothing of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from byleave.capability import Refused, Word
from sqlite_world import World, make_world

SCHEMA = """
create table items (id integer primary key, text);
create table parts (id integer primary key, item int references items (id) on delete cascade);
insert into items with recursive c(n) as (values (1) union all select n + 1 from c where n < 2000)
  select n, hex(zeroblob(500)) from c;
insert into parts select id, id from items;
"""

DYING = """
import json, os, signal, sys
from pathlib import Path
import apsw
from byleave.hands.sql import Databases
from sqlite_world import MemoryKeeper, World

folder, moment = Path(sys.argv[1]), sys.argv[2]
keeper = MemoryKeeper()
urls = {"app": "sqlite:///app.db"}
world = World(folder, Databases.open(urls, workspace=folder, forbidden=(), keeper=keeper, environ={}))
stage = world.staged("delete from items where id % 2")
(folder / "manifest.json").write_text(json.dumps(stage.hold()))
(folder / "images.json").write_text(json.dumps({k: v.decode() for k, v in keeper.kept.items()}))
if moment == "spilled":
    stage._connection.own("pragma cache_size=5")
    stage._connection.raw.cache_flush()
if moment == "counted":
    stage.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize(
    ("moment", "settled"),
    [("held", "discarded"), ("spilled", "discarded"), ("counted", "committed")],
    ids=["held", "spilled", "counted"],
)
def test_killed_at_any_moment_it_is_whole_and_recovery_knows_which(
    tmp_path: Path, journal: str, moment: str, settled: str
) -> None:
    world = make_world(tmp_path, f"pragma journal_mode={journal};" + SCHEMA)
    before = world.dump()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DYING, str(tmp_path), moment], env=environ, check=False)
    assert died.returncode == -signal.SIGKILL
    engine = world.databases.engine("app")
    engine._keeper.kept.update({k: v.encode() for k, v in json.loads((tmp_path / "images.json").read_text()).items()})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert world.databases.settle(manifest) == settled
    if settled == "discarded":
        assert world.dump() == before
    else:
        assert len(world.dump()["items"]) == len(world.dump()["parts"]) == 1000
        world.undo(manifest)
        assert world.dump() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("needs leave to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_on_a_full_disk_nothing_is_changed_and_the_answer_says_so(small_disk: Path, journal: str) -> None:
    world: World = make_world(small_disk, f"pragma journal_mode={journal};" + SCHEMA.replace("2000", "800"))
    before = world.dump()
    ballast = os.open(small_disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(ballast, b"x" * 4096):
            pass
    os.close(ballast)
    with pytest.raises(Refused) as caught:
        world.change("update items set text = text || hex(zeroblob(2000))")
    assert caught.value.word is Word.FAILED
    (small_disk / "ballast").unlink()
    assert world.dump() == before
    observed, _ = world.change("update items set text = 'short' where id = 1")
    assert observed[0].extent.amount == 1
