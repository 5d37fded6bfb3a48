"""A commit that dies, fails or is raced at each of its steps leaves the workspace untouched or whole, never between."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from byleave.capability import Refused
from byleave.hands.files import building, system
from byleave.hands.files.committing import HalfDone
from byleave.hands.stage import Settled
from file_bench import DeniedForTest, FileBench, picture

OLD = 1_500_000_000_000_000_001


def plant(root: Path) -> None:
    (root / "tree" / "sub" / "empty").mkdir(parents=True)
    (root / "tree" / "one").write_text("one\n")
    (root / "tree" / "sub" / "two").write_text("two\n")
    (root / "tree" / "link").symlink_to("one")
    (root / "file").write_text("old\n")
    (root / "other").write_text("other\n")
    os.chmod(root / "file", 0o640)
    for name in ("file", "other", "tree/one"):
        os.utime(root / name, ns=(OLD, OLD))


#: What each scenario does first, and then the call or the undo that dies.
CALLS: dict[str, dict[str, Any]] = {
    "create": {"name": "files_write", "path": "new", "text": "new\n"},
    "create with folders": {"name": "files_write", "path": "x/y/new", "text": "new\n"},
    "replace": {"name": "files_write", "path": "file", "text": "new\n"},
    "remove": {"name": "files_remove", "path": "file"},
    "remove tree": {"name": "files_remove", "path": "tree", "recursive": True},
    "move": {"name": "files_move", "source": "file", "target": "z/moved"},
    "move over": {"name": "files_move", "source": "file", "target": "other"},
    "move tree": {"name": "files_move", "source": "tree", "target": "z/tree"},
}
SCENARIOS = [*CALLS, *(f"undo {name}" for name in CALLS)]


def stage_of(bench: FileBench, scenario: str) -> Any:
    """The stage that is about to be committed, everything before it done."""
    if scenario.startswith("undo "):
        done = bench.call(**CALLS[scenario.removeprefix("undo ")])
        assert done.manifest is not None
        return bench.workspace.reverse(done.manifest)
    return bench.staged(**CALLS[scenario])[0]


def fresh(base: Path, number: int, step: Callable[[str], None]) -> FileBench:
    place = base / str(number)
    place.mkdir()
    (place / "work").mkdir()
    plant(place / "work")
    return FileBench(place, step=step)


class Counter:
    """Does `act` at the `at`-th step after it is armed."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at, self.act, self.armed, self.count = at, act, False, 0

    def __call__(self, step: str) -> None:
        if self.armed and step != "back":
            self.count += 1
            if self.count == self.at:
                self.act()


def die_at_each_step(scenario: str, base: Path, *, linkable: bool) -> None:
    """Run by a process of its own, without threads: forks a child for each step, which kills itself there."""
    if not linkable:
        building._TMPFILE = None  # pyright: ignore[reportPrivateUsage]
    for at in range(1, 60):
        counter = Counter(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
        bench = fresh(base, at, counter)
        stage = stage_of(bench, scenario)
        before = picture(bench.root)
        manifest = stage.hold()
        assert manifest is not None
        bench.keeper.seal("dies", manifest)
        child = os.fork()
        if child == 0:
            counter.armed = True
            stage.commit()
            os._exit(0)
        died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        settled_is_whole(bench, scenario, before, at)
        if not died:
            assert at > 2, "no step was counted"
            return
    raise AssertionError("it never ends")


def settled_is_whole(bench: FileBench, scenario: str, before: Mapping[str, object], at: int) -> None:
    again = FileBench(bench.root.parent)
    manifest = again.keeper.manifest("dies")
    assert manifest is not None
    state = again.workspace.settle(manifest)
    world = picture(again.root)
    if state is Settled.COMMITTED:
        assert picture(again.root, times=False) == whole(scenario, bench.root.parent.parent / f"whole-{at}")
    else:
        assert state in (Settled.DISCARDED, Settled.REPAIRED), (scenario, at, state)
        assert world == before, (scenario, at, state)
    assert not [name for name in world if ".byleave-" in name]
    assert again.workspace.settle(manifest) in (state, Settled.DISCARDED)
    assert picture(again.root) == world


def whole(scenario: str, base: Path) -> dict[str, tuple[object, ...]]:
    base.mkdir()
    bench = fresh(base, 0, lambda step: None)
    bench.count(stage_of(bench, scenario))
    return picture(bench.root, times=False)


@pytest.mark.parametrize("linkable", [True, False], ids=["tmpfile", "copied"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_when_it_is_killed_at_any_step_all_of_it_counts_or_nothing(
    scenario: str, linkable: bool, tmp_path: Path
) -> None:
    run = subprocess.run(
        [sys.executable, "-P", __file__, scenario, os.fspath(tmp_path), str(int(linkable))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def refusal_of(stage: Any) -> Refused | None:
    try:
        stage.commit()
    except Refused as no:
        return no
    return None


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_when_any_step_fails_nothing_has_changed(scenario: str, tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "no space")

    failed = 0
    for at in range(1, 60):
        counter = Counter(at, fail)
        bench = fresh(tmp_path, at, counter)
        stage = stage_of(bench, scenario)
        before = picture(bench.root)
        manifest = stage.hold()
        assert manifest is not None
        counter.armed = True
        no = refusal_of(stage)
        if no is None and counter.count < at:
            break
        if no is not None:
            failed += 1
            assert "no space" in no.reason
            assert picture(bench.root) == before
    assert failed > 1


def test_when_it_cannot_be_put_back_settling_finishes_the_work(tmp_path: Path) -> None:
    failing = {"verify": True, "back": True}

    def step(name: str) -> None:
        if failing.get(name):
            raise OSError(errno.EIO, "broken")

    bench = fresh(tmp_path, 0, step)
    before = picture(bench.root)
    stage = bench.staged("files_write", path="file", text="new\n")[0]
    manifest = stage.hold()
    assert manifest is not None
    with pytest.raises(HalfDone):
        stage.commit()
    failing.clear()
    state = bench.workspace.settle(manifest)
    assert state is Settled.COMMITTED
    assert picture(bench.root) == {**before, "file": (*before["file"][:2], b"new\n", picture(bench.root)["file"][3])}


def write_in_place(root: Path) -> None:
    with (root / "file").open("r+") as file:
        file.write("MINE")
    os.utime(root / "file", ns=(OLD, OLD))  # a time that lies, and the same size


def replace_whole(root: Path) -> None:
    (root / "aside").write_text("mine\n")
    os.rename(root / "aside", root / "file")


def swap_for_link(root: Path) -> None:
    os.unlink(root / "file")
    (root / "file").symlink_to("other")


def swap_for_pipe(root: Path) -> None:
    os.unlink(root / "file")
    os.mkfifo(root / "file")


def remove_it(root: Path) -> None:
    os.unlink(root / "file")


def change_mode(root: Path) -> None:
    os.chmod(root / "file", 0o600)


RACES = [write_in_place, replace_whole, swap_for_link, swap_for_pipe, remove_it, change_mode]


@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("scenario", ["replace", "remove", "move", "move over", "undo replace"])
def test_when_someone_else_changes_it_at_any_step_nothing_of_theirs_is_lost(
    scenario: str, race: Callable[[Path], None], tmp_path: Path
) -> None:
    conflicts = 0
    for at in range(1, 20):
        world: list[dict[str, tuple[object, ...]]] = []
        counter = Counter(at, lambda: None)
        bench = fresh(tmp_path, at, counter)
        stage = stage_of(bench, scenario)
        stage.hold()

        before = (bench.root / "file").read_text()

        def act(bench: FileBench = bench, world: list[Any] = world, before: str = before) -> None:
            if (bench.root / "file").exists() and (bench.root / "file").read_text() == before:
                race(bench.root)
                world.append(picture(bench.root))

        counter.act, counter.armed = act, True
        no = refusal_of(stage)
        if no is None and (not world or counter.count < at):
            break
        if no is not None:
            conflicts += 1
            assert no.word == "conflict"
            ours = {"z", *(name for name in world[0] if ".byleave-" in name)}  # for the moment of the race
            assert picture(bench.root) == {k: v for k, v in world[0].items() if k not in ours}
    assert conflicts >= 2


def test_when_a_stat_only_change_happens_it_is_no_conflict(tmp_path: Path) -> None:
    bench = fresh(tmp_path, 0, lambda step: None)
    stage = bench.staged("files_write", path="file", text="new\n")[0]
    os.utime(bench.root / "file")
    bench.count(stage)
    assert (bench.root / "file").read_text() == "new\n"


def test_when_the_folder_moves_out_of_the_workspace_nothing_is_written_there(tmp_path: Path) -> None:
    bench = fresh(tmp_path, 0, lambda step: None)
    stage = bench.staged("files_write", path="tree/one", text="new\n")[0]
    os.rename(bench.root / "tree", tmp_path / "elsewhere")
    before = picture(tmp_path / "elsewhere")
    with pytest.raises(Refused) as no:
        bench.count(stage)
    assert no.value.word == "conflict"
    assert picture(tmp_path / "elsewhere") == before


def test_a_writer_who_swaps_file_and_link_gets_no_secret_out_and_nothing_in(tmp_path: Path) -> None:
    bench = fresh(tmp_path, 0, lambda step: None)
    root = bench.root
    (root / ".env").write_text("SECRET=1\n")
    (tmp_path / "outside").write_text("SECRET=2\n")
    (root / "racy").mkdir()
    stop = threading.Event()

    def race() -> None:
        targets = ["../.env", "../../../outside", "../tree/one"]
        for number in range(10**9):
            if stop.is_set():
                return
            temp = root / "racy" / f"t{number % 2}"
            if number % 2:
                temp.write_text("plain\n")
            else:
                temp.symlink_to(targets[number // 2 % 3])
            os.rename(temp, root / "racy" / "file")

    racer = threading.Thread(target=race)
    racer.start()
    texts: list[str] = []
    done = 0
    try:
        for number in range(400):
            for act in (
                {"name": "files_read", "path": "racy/file"},
                {"name": "files_write", "path": "racy/file", "text": f"plain {number}\n"},
                {"name": "files_edit", "path": "racy/file", "edits": [{"old": "plain", "new": "plain!"}]},
            ):
                try:
                    texts.append(bench.call(**act).text)
                    done += 1
                except Refused as no:
                    texts.append(str(no))
                except DeniedForTest:
                    continue
        for _ in range(20):
            texts.append(bench.call("files_search", pattern="SECRET").text)
    finally:
        stop.set()
        racer.join()
    assert done > 0
    assert not [text for text in texts if "SECRET=" in text]
    assert (root / ".env").read_text() == "SECRET=1\n"
    assert (tmp_path / "outside").read_text() == "SECRET=2\n"


def test_two_processes_that_commit_at_once_take_turns(tmp_path: Path) -> None:
    bench = fresh(tmp_path, 0, lambda step: None)
    (bench.root / "count").write_text("0\n")
    other = FileBench(bench.root.parent)
    other.keeper = bench.keeper
    won, words = [0, 0], set[str]()

    def add(mine: FileBench, who: int) -> None:
        for _ in range(60):
            number = int((mine.root / "count").read_text())
            try:
                stage = mine.staged("files_edit", path="count", edits=[{"old": str(number), "new": str(number + 1)}])[0]
                stage.hold()
                stage.commit()
                won[who] += 1
            except Refused as no:
                words.add(no.word)

    threads = [threading.Thread(target=add, args=(each, who)) for who, each in enumerate((bench, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int((bench.root / "count").read_text()) == sum(won)
    assert sum(won) > 0
    assert words <= {"conflict", "not_found"}


@pytest.mark.parametrize("scenario", ["replace", "remove tree", "move over", "undo move over", "undo remove tree"])
def test_a_file_system_that_cannot_exchange_gets_there_too(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(scenario, tmp_path / "whole")

    def cannot(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "not here")

    monkeypatch.setattr(system, "_rename", cannot)
    bench = fresh(tmp_path, 1, lambda step: None)
    bench.count(stage_of(bench, scenario))
    assert picture(bench.root, times=False) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_when_the_disk_is_full_nothing_has_changed(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "small"
    place.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip("this place does not allow mounting")
    try:
        bench = fresh(place, 0, lambda step: None)
        before = picture(bench.root)
        no = bench.refused("files_write", path="file", text="x" * (2 << 20))
        assert "no space" in no.reason
        assert picture(bench.root) == before
        assert stat.S_ISREG((bench.root / "file").stat().st_mode)
        del bench
    finally:
        libc.umount2(os.fsencode(place), 2)


if __name__ == "__main__":
    die_at_each_step(sys.argv[1], Path(sys.argv[2]), linkable=bool(int(sys.argv[3])))
