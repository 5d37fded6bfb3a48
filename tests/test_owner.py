"""Several processes on one store: one owns it, the others write through it, and one follows when it goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from pydantic_core import from_json

from byleave.rails.budget import Hold
from byleave.rails.rate import Claim, Rate
from byleave.store.entry import Contradicts, Entry, Kind, RequestState, StoreDown, Usage
from byleave.store.joining import JoinedStore
from byleave.store.opening import open_store, read_approver_key
from byleave.store.owner import Desk
from byleave.store.place import Lock, Sessions
from byleave.store.remote import OwnerGone
from byleave.store.sqlite import open_sqlite
from entries import Hands, answer, intent, look, outcome, records, request, verified
from writing import Said, begin, rest_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def pair(state: Path, hands: Hands) -> AsyncIterator[tuple[JoinedStore, JoinedStore]]:
    """The owner, and another session that reaches it through the socket."""
    with anyio.fail_after(20):
        async with (
            open_store(state, workspace=None, session="s1", clock=hands.clock) as first,
            open_store(state, workspace=None, session="s2", clock=hands.clock) as second,
        ):
            assert isinstance(first, JoinedStore)
            assert isinstance(second, JoinedStore)
            assert (first.is_owner, second.is_owner) == (True, False)
            yield first, second


# --- the same store through the socket -----------------------------------------------------------------------------


async def test_through_the_owner_the_store_answers_as_it_does_to_its_owner(
    pair: tuple[JoinedStore, JoinedStore], state: Path, hands: Hands
) -> None:
    owner, remote = pair
    await remote.append(intent("c1", session="s2", holds=[Hold("k", 2, 3)]))
    await remote.append(Entry(Kind.COMMIT, "c1", {"path": "a\udcff"}))
    await remote.append(request("a-1", expires=hands.now + 60))
    for store in (owner, remote):
        assert await store.usage("k") == (Usage("k", 0, 2),)
        assert [(it.call, it.body["session"], it.commit) for it in await store.opened("s2")] == [
            ("c1", "s2", {"path": "a\\udcff"})
        ]
        assert await store.opened() == ()
        assert await store.request("no such") is None
    assert await remote.request("a-1") == await owner.request("a-1") == await remote.request_for("d")
    assert list(await remote.requests()) == list(await owner.requests(pending_only=False))
    await remote.append(outcome("c1", kept=True))
    assert await remote.last_undoable("s2") == await owner.last_undoable("s2") == "c1"
    assert owner.log_id == remote.log_id


async def test_a_no_and_a_contradiction_cross_the_socket_as_they_are(pair: tuple[JoinedStore, JoinedStore]) -> None:
    _, remote = pair
    claims = [Claim("r", Rate(1, 60))]
    await remote.append(look("c1", claims=claims))
    refused = (await remote.append(look("c2", claims=claims))).refused
    assert refused is not None
    assert (refused.no, refused.key, refused.retry_after) == ("rate", "r", 60.0)
    with pytest.raises(Contradicts, match="`c9` is not open"):
        await remote.append(outcome("c9"))


async def test_an_answer_from_another_process_is_heard_by_who_waits_at_the_owner(
    pair: tuple[JoinedStore, JoinedStore], state: Path, hands: Hands
) -> None:
    owner, remote = pair
    await owner.append(request("a-1", expires=hands.now + 60))
    heard: list[RequestState] = []

    async def wait(store: JoinedStore) -> None:
        answered = await store.wait_for_answer("a-1", 10)
        assert answered is not None
        heard.append(answered.state)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, owner)
            group.start_soon(wait, remote)
            await anyio.wait_all_tasks_blocked()
            await remote.append(answer("a-1", read_approver_key(state)))
    assert heard == [RequestState.APPROVED, RequestState.APPROVED]


async def test_the_path_of_the_state_directory_may_be_longer_than_a_sockets_name(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 40)
    async with (
        open_store(state, workspace=None, session="s1") as owner,
        open_store(state, workspace=None, session="s2") as remote,
    ):
        await remote.append(look("c1"))
        assert isinstance(remote, JoinedStore)
        assert not remote.is_owner
        assert owner.log_id == remote.log_id
    assert len(records(state)) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"{}\n",
        b'{"id": 1, "ask": "aclose", "given": []}\n',
        b'{"id": 1, "ask": "append", "given": [{"kind": "look"}]}\n',
        b'{"id": 1, "ask": "append", "given": [{"kind": "look", "call": "x", "body": {}, "holds": [["k", -1, 1]]}]}\n',
        b'{"id": 1, "ask": "usage", "given": ["k"], "more": 1}\n',
        b"\xff\xfe\n",
    ],
)
async def test_a_peer_that_speaks_otherwise_is_cut_off_and_harms_nobody(
    pair: tuple[JoinedStore, JoinedStore], state: Path, line: bytes
) -> None:
    _, remote = pair
    async with await anyio.connect_unix(state / "owner.sock") as stranger:
        assert from_json(await stranger.receive())["byleave"] == 1
        await stranger.send(line)
        with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stranger.receive()
    await remote.append(look("c1"))
    assert len(records(state)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
async def test_a_process_of_another_user_is_told_nothing_even_where_it_can_reach_the_socket() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        lock = Lock.take(place / "log.lock")
        assert lock is not None
        store = await open_sqlite(place / "log.db", lock=place / "log.lock", approver="x", is_alive=lambda _: False)
        desk = Desk(store, place)
        await desk.open()
        (place / "owner.sock").chmod(0o666)
        asking = (
            "import os, socket, sys; os.setuid(int(sys.argv[2])); s = socket.socket(socket.AF_UNIX); s.settimeout(5)\n"
            "try: s.connect(sys.argv[1]); print(s.recv(100))\n"
            "except ConnectionResetError: print(b'')"
        )
        told: list[str] = []
        for user in ("65534", "0"):
            arguments = [sys.executable, "-c", asking, str(place / "owner.sock"), user]
            told.append((await anyio.run_process(arguments)).stdout.decode().strip())
        assert told[0] == "b''"
        assert told[1].startswith('b\'{"byleave":1,')
        await desk.aclose()
        await store.aclose()
        lock.release()


async def test_an_owner_of_another_version_is_named_as_the_reason(state: Path) -> None:
    state.mkdir(mode=0o700)
    lock = Lock.take(state / "log.lock")
    assert lock is not None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state / "owner.sock"))
        listener.listen()

        def greet() -> None:
            other, _ = listener.accept()
            other.sendall(b'{"byleave": 99, "log_id": "", "new": true}\n')
            other.close()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, greet)
                with pytest.raises(StoreDown, match="another version"):
                    await open_store(state, workspace=None, session="s2").__aenter__()
    lock.release()


# --- sessions ------------------------------------------------------------------------------------------------------


def test_a_session_is_alive_exactly_as_long_as_its_process(state: Path) -> None:
    state.mkdir(mode=0o700)
    sessions = Sessions(state)
    holding = (
        "import sys; from pathlib import Path; from byleave.store.place import Sessions;"
        "held = Sessions(Path(sys.argv[1])).begin('other'); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", holding, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert sessions.is_alive("other")
    with pytest.raises(StoreDown, match="already open"):
        sessions.begin("other")
    with child:
        child.kill()
    assert not sessions.is_alive("other")
    assert list((state / "sessions").iterdir()) == []


@pytest.mark.parametrize("session", ["", "../x", "a/b", "a" * 65, "a\0"])
async def test_a_session_that_is_no_name_is_never_a_file(state: Path, session: str) -> None:
    state.mkdir(mode=0o700)
    sessions = Sessions(state)
    assert not sessions.is_alive(session)
    with pytest.raises(ValueError, match="a session is named"):
        sessions.begin(session)


# --- several processes ---------------------------------------------------------------------------------------------


def test_three_processes_use_a_budget_up_to_the_last_one_and_no_further(state: Path) -> None:
    said = Said.of(*map(rest_of, [begin(state, f"p{number}", calls=20, limit=150) for number in range(3)]))
    assert len(said.intents) == 150
    assert len(said.noes) == 240 - 150
    assert said.downs == []
    assert sorted(said.others).count("end") == 3
    found = verified(state)
    assert (found.is_sound, found.unfinished) == (True, ())
    written = {row.seq: from_json(row.body)["call"] for row in records(state)}
    assert all(written[seq] == call for acked in (said.intents, said.outcomes) for call, seq in acked.items())


def test_when_the_owner_is_killed_another_takes_over_and_nothing_acknowledged_is_lost(state: Path) -> None:
    owner = begin(state, "owner", callers=4, calls=10_000)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "owner\n"
    other = begin(state, "other", callers=4, calls=60)
    assert other.stdout is not None
    before = [other.stdout.readline() for _ in range(40)]
    assert before[0] == "remote\n"
    owner.send_signal(signal.SIGKILL)
    said = Said.of(*before, rest_of(other), rest_of(owner))
    assert len(said.downs) <= 4  # what was under way
    assert said.others.count("end") == 1
    written = {row.seq: from_json(row.body)["call"] for row in records(state)}
    assert all(written[seq] == call for acked in (said.intents, said.outcomes) for call, seq in acked.items())
    assert verified(state).is_sound


async def test_an_owner_that_ends_in_order_leaves_nobody_in_doubt(state: Path) -> None:
    acknowledged: list[str] = []
    with anyio.fail_after(10):
        async with (
            open_store(state, workspace=None, session="s2") as first,
            open_store(state, workspace=None, session="s1") as other,
        ):

            async def write(caller: int) -> None:
                for number in range(40):
                    await other.append(look(f"c{caller}-{number}"))
                    acknowledged.append(f"c{caller}-{number}")

            async with anyio.create_task_group() as group:
                for caller in range(8):
                    group.start_soon(write, caller)
                while len(acknowledged) < 50:
                    await anyio.lowlevel.checkpoint()
                await first.aclose()
            assert isinstance(other, JoinedStore)
            assert other.is_owner
    assert sorted(acknowledged) == sorted(from_json(row.body)["call"] for row in records(state))


async def test_a_question_that_waits_at_a_dying_owner_is_asked_of_the_next(state: Path, hands: Hands) -> None:
    with anyio.fail_after(10):
        async with (
            open_store(state, workspace=None, session="s1", clock=hands.clock) as first,
            open_store(state, workspace=None, session="s2", clock=hands.clock) as second,
        ):
            await second.append(request("a-1", expires=hands.now + 60))
            heard: list[RequestState] = []

            async def wait() -> None:
                answered = await second.wait_for_answer("a-1", 10)
                assert answered is not None
                heard.append(answered.state)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await first.aclose()
                await second.append(answer("a-1", read_approver_key(state)))
            assert heard == [RequestState.APPROVED]


async def test_an_entry_sent_to_an_owner_that_vanishes_is_not_acknowledged_and_not_sent_again(state: Path) -> None:
    state.mkdir(mode=0o700)
    lock = Lock.take(state / "log.lock")
    assert lock is not None
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state / "owner.sock"))
        listener.listen()

        def take_and_vanish() -> None:
            other, _ = listener.accept()
            other.sendall(b'{"byleave": 1, "log_id": "00"}\n')
            heard.append(other.recv(65536))
            lock.release()
            other.close()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, take_and_vanish)
                async with open_store(state, workspace=None, session="s2") as store:
                    with pytest.raises(OwnerGone, match="ended before it answered"):
                        await store.append(look("in doubt"))
                    await store.append(look("after"))
    assert len(heard) == 1
    assert [from_json(row.body)["call"] for row in records(state)] == ["after"]
