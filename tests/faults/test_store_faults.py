"""A store that is killed, starved, cut, exchanged or lied to: what was acknowledged is there, nothing else was said.

Every case asks the same of the log afterwards: each acknowledged record is in it, its chain is true, and no call has
two ends.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from pydantic_core import from_json

from byleave.store.entry import Entry, Kind, Store, StoreDown
from byleave.store.opening import open_store
from entries import SESSION, as_the_owner_of_the_file, intent, look, outcome, records, verified
from writing import Said, begin, rest_of

pytestmark = pytest.mark.anyio

DISK = Path(__file__).parents[2] / "bench" / "disk.c"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def assert_all_acknowledged_is_there(state: Path, said: Said) -> None:
    written = {row.seq: from_json(row.body) for row in records(state)}
    for kind, acknowledged in (("intent", said.intents), ("outcome", said.outcomes)):
        for call, seq in acknowledged.items():
            assert (written[seq]["kind"], written[seq]["call"]) == (kind, call)


async def calls_of(store: Store, entries: Callable[[int], Entry], most: int) -> tuple[dict[str, int], StoreDown | None]:
    """Append until the store is down: what was acknowledged, and why it ended."""
    acknowledged: dict[str, int] = {}
    for number in range(most):
        entry = entries(number)
        try:
            acknowledged[entry.call] = (await store.append(entry)).seq
        except StoreDown as down:
            return acknowledged, down
    return acknowledged, None


# --- killed --------------------------------------------------------------------------------------------------------


async def test_killed_at_any_moment_under_load_it_has_kept_everything_it_acknowledged(state: Path) -> None:
    said = Said()
    moments = random.Random(2026)
    for life in range(6):
        child = begin(state, f"life{life}", callers=[1, 4, 16][life % 3], calls=10_000)
        assert child.stdout is not None
        heard = [child.stdout.readline() for _ in range(moments.randint(2, 400))]
        child.send_signal(signal.SIGKILL)
        new = Said.of(*heard, rest_of(child))
        said.intents |= new.intents
        said.outcomes |= new.outcomes
    assert_all_acknowledged_is_there(state, said)
    found = verified(state)
    assert (found.damage, found.unfounded) == (None, ())
    async with open_store(state, workspace=None, session="after") as store:
        stopped = await store.opened()
        assert {(it.seq, it.call) for it in stopped} == set(found.unfinished)
        for it in stopped:
            await store.append(Entry(Kind.UNKNOWN, it.call, {"found": "unknown"}))
        (budget,) = await store.usage("budget")
        assert await store.opened() == ()
    intents = sum(1 for row in records(state) if b'"kind":"intent"' in row.body)
    assert (budget.used, budget.held) == (intents, 0)
    assert verified(state).unfinished == ()


# --- starved -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB: room for a full WAL (1.6 MB) and some more."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", mount], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", "--lazy", mount], check=True)


def bulky(call: str) -> Entry:
    return Entry(Kind.LOOK, call, {"session": SESSION, "text": "x" * 3_000})


async def test_on_a_full_disk_it_refuses_loses_nothing_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    state = small_disk / "state"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    with anyio.fail_after(20):
        async with open_store(state, workspace=None, session=SESSION) as store:
            before, down = await calls_of(store, lambda n: bulky(f"before-{n}"), 20_000)
            assert down is not None
            assert "no space left" in str(down)
            with pytest.raises(StoreDown, match="no space left"):
                await store.append(Entry(Kind.NOTE, "big", {"text": "x" * 200_000}))
            ballast.unlink()
            after, still_down = await calls_of(store, lambda n: bulky(f"after-{n}"), 200)
            assert still_down is None
    written = {from_json(row.body)["call"]: row.seq for row in records(state)}
    assert written == before | after
    assert verified(state).is_sound


LIMITED = """
import resource, sys
from pathlib import Path
import anyio
from byleave.store.entry import StoreDown
from byleave.store.opening import open_store
from entries import look
from writing import say

async def main():
    async with open_store(Path(sys.argv[1]), workspace=None, session="s2") as store:
        await store.append(look("first"))
        size = (Path(sys.argv[1]) / "log.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
        for number in range(500):
            try:
                say(f"intent c{number} {(await store.append(look(f'c{number}'))).seq}")
            except StoreDown:
                say(f"down c{number}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            await store.append(look("later"))
        except StoreDown as down:
            say(f"poisoned {down.hint}")

anyio.run(main)
"""


def run_python(code: str, *arguments: str, **environment: str) -> str:
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout


async def test_when_a_write_fails_it_is_poisoned_until_restart_and_the_log_stays_true(state: Path) -> None:
    said = Said.of(run_python(LIMITED, str(state)))
    assert said.intents
    assert said.downs
    assert any(line.startswith("poisoned run `byleave log verify`") for line in said.others)
    written = {row.seq: from_json(row.body)["call"] for row in records(state)}
    assert all(written[seq] == call for call, seq in said.intents.items())
    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(look("after"))
    assert verified(state).is_sound


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, DISK], check=True)
    return str(library)


SYNCING = """
import sys
from pathlib import Path
import anyio
from byleave.store.entry import StoreDown
from byleave.store.opening import open_store
from entries import intent, outcome
from writing import say

async def main():
    try:
        async with open_store(Path(sys.argv[1]), workspace=None, session="s2") as store:
            for number in range(10):
                call, seq = f"c{number}", None
                try:
                    seq = (await store.append(intent(call, session="s2"))).seq
                    say(f"intent {call} {seq}")
                    say(f"outcome {call} {(await store.append(outcome(call))).seq}")
                except StoreDown:
                    say(f"down {call}")
    except StoreDown:
        say("not opened")

anyio.run(main)
"""


@pytest.mark.parametrize("failing", [1, 13, 18, 24])  # at opening, and among the appends
async def test_when_a_sync_fails_nothing_after_it_is_acknowledged(state: Path, failing_disk: str, failing: int) -> None:
    said = Said.of(run_python(SYNCING, str(state), LD_PRELOAD=failing_disk, SYNC_FAIL_AT=str(failing)))
    first_down = min((int(call[1:]) for call in said.downs), default=10)
    assert ("not opened" in said.others) != bool(said.downs)
    assert [call for call in said.intents if int(call[1:]) > first_down] == []
    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(look("after"))
    assert_all_acknowledged_is_there(state, said)
    assert verified(state).damage is None
    assert verified(state).unfounded == ()


# --- exchanged under its hands -------------------------------------------------------------------------------------


def _unlink(path: Path) -> None:
    path.unlink()


def _replace_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def _rename_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        pytest.param(name, harm, id=f"{name}{harm.__name__}")
        for name in ("log.db", "log.db-wal", "log.lock")
        for harm in (_unlink, _replace_by_a_copy, _rename_away, _truncate, _empty)
        if name != "log.lock" or harm not in (_truncate, _empty)  # the lock is empty: nothing of it can be cut
    ],
)
async def test_a_file_changed_while_in_use_ends_all_recording_until_a_restart(
    state: Path, name: str, harm: Callable[[Path], None]
) -> None:
    with anyio.fail_after(10):
        async with open_store(state, workspace=None, session=SESSION) as store:
            for number in range(20):
                await store.append(look(f"c{number}"))
            kept = (state / name).read_bytes()
            harm(state / name)
            accepted, down = await calls_of(store, lambda n: look(f"after-{n}"), 30)
            assert accepted == {}
            assert down is not None
            assert f"{name}`" in str(down)
            assert down.hint
            (state / name).write_bytes(kept)  # put back: the inode or the trust is gone all the same
            with pytest.raises(StoreDown):
                await store.append(look("later"))


async def test_an_older_copy_put_back_while_it_was_closed_shows_against_a_head_from_an_answer(state: Path) -> None:
    from byleave.audit.verify import Expected  # noqa: PLC0415 -- only here

    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(look("c1"))
    old = (state / "log.db").read_bytes()
    async with open_store(state, workspace=None, session=SESSION) as store:
        receipt = await store.append(look("c2"))
    (state / "log.db").write_bytes(old)
    assert verified(state).is_sound
    found = verified(state, Expected(receipt.seq, receipt.head)).damage
    assert found is not None
    assert "an older copy put back" in found.what


async def test_a_byte_changed_in_any_page_never_passes_as_something_else_that_was_recorded(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        for number in range(40):
            await store.append(intent(f"c{number}"))
            await store.append(outcome(f"c{number}"))
    path, chance = state / "log.db", random.Random(7)
    whole, before = path.read_bytes(), records(state)
    found_out = 0
    for page in range(len(whole) // 4096):
        for _ in range(4):
            at = page * 4096 + chance.randrange(4096)
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
            try:
                if verified(state).damage is None:
                    assert records(state) == before
                else:
                    found_out += 1
            except StoreDown:
                found_out += 1
    assert found_out > len(whole) // 4096


async def test_a_record_slipped_in_by_another_program_stops_the_owner(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(look("c1"))
        as_the_owner_of_the_file(state, "INSERT INTO log SELECT 2, body, leaf, head FROM log")
        accepted, down = await calls_of(store, lambda n: look(f"after-{n}"), 5)
        assert accepted == {}
        assert down is not None
    assert verified(state).damage is not None


async def test_while_another_program_holds_the_file_it_refuses_and_then_goes_on(state: Path) -> None:
    import sqlite3  # noqa: PLC0415 -- only here

    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(look("c1"))
        with closing(sqlite3.connect(state / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreDown, match="locked by another program"):
                await store.append(look("c2"))
            other.execute("ROLLBACK")
        await store.append(look("c3"))
    assert [from_json(row.body)["call"] for row in records(state)] == ["c1", "c3"]
    assert verified(state).is_sound


# --- where it may not write ----------------------------------------------------------------------------------------


UNPRIVILEGED = """
import os, sys
from pathlib import Path
import anyio
from byleave.store.entry import StoreDown
from byleave.store.opening import open_store
from entries import look
from writing import say

async def main(state):
    try:
        async with open_store(state, workspace=None, session="s2") as store:
            say(f"opened {(await store.append(look('c1'))).seq}")
    except StoreDown as down:
        say(f"{down}")

anyio.run(main, Path(sys.argv[2]))  # everything is imported while it still can be
os.setgid(65534); os.setuid(65534)
anyio.run(main, Path(sys.argv[1]))
"""


@pytest.fixture
def place_for_anyone() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        pytest.param(0o700, "opened 1", id="its own"),
        pytest.param(0o500, "is read-only", id="read-only"),
        pytest.param(0o300, "is read-only", id="unreadable"),
    ],
)
def test_an_unprivileged_user_is_told_in_words_where_nothing_can_be_recorded(
    place_for_anyone: Path, tmp_path: Path, mode: int, says: str
) -> None:
    state = place_for_anyone / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)
    state.chmod(mode)
    last = run_python(UNPRIVILEGED, str(state), str(tmp_path / "warm")).splitlines()[-1]
    assert says in last
    assert (state / "log.db").exists() == (mode == 0o700)


async def test_on_a_read_only_file_system_it_says_so(small_disk: Path) -> None:
    state = small_disk / "state"
    state.mkdir(mode=0o700)
    await anyio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    with pytest.raises(StoreDown, match="is read-only"):
        async with open_store(state, workspace=None, session=SESSION):
            pass
    assert list(state.iterdir()) == []
