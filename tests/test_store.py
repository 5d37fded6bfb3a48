"""The owner's store: what becomes true together, what is refused, and that nothing else writes the log."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from pydantic_core import from_json

from byleave.rails.budget import Hold
from byleave.rails.rate import Claim, Rate
from byleave.store import schema
from byleave.store.entry import (
    Contradicts,
    Entry,
    Kind,
    No,
    Request,
    RequestState,
    Store,
    StoreDown,
    StoreRefusal,
    Usage,
)
from byleave.store.opening import UnsafePlace, default_state_dir, open_store, read_approver_key
from byleave.store.sqlite import BATCH
from entries import (
    SESSION,
    Hands,
    answer,
    as_the_owner_of_the_file,
    intent,
    look,
    outcome,
    records,
    request,
    spending,
    verified,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def store(state: Path, hands: Hands) -> AsyncIterator[Store]:
    with anyio.fail_after(20):
        async with open_store(state, workspace=None, session=SESSION, clock=hands.clock) as opened:
            yield opened


def bodies(state: Path) -> list[dict[str, object]]:
    return [from_json(row.body) for row in records(state)]


# --- records -------------------------------------------------------------------------------------------------------


async def test_a_record_is_on_disk_for_another_reader_when_append_returns(store: Store, state: Path) -> None:
    receipt = await store.append(look("c1"))
    (row,) = records(state)
    assert (row.seq, row.head.hex()) == (receipt.seq, receipt.head)
    assert from_json(row.body) == {
        "v": 1,
        "seq": 1,
        "at": 1_800_000_000_000_000,
        "kind": "look",
        "call": "c1",
        "body": {"session": SESSION, "tool": "files_read"},
    }


@pytest.mark.parametrize("callers", [50, BATCH, BATCH + 44])
async def test_concurrent_appends_are_all_recorded_once_and_in_one_chain(
    store: Store, state: Path, callers: int
) -> None:
    receipts: dict[str, int] = {}

    async def append(call: str) -> None:
        receipts[call] = (await store.append(look(call))).seq

    async with anyio.create_task_group() as group:
        for number in range(callers):
            group.start_soon(append, f"c{number}")
    assert {str(body["call"]): body["seq"] for body in bodies(state)} == receipts
    assert verified(state).records == callers


async def test_a_log_goes_on_where_it_ended(state: Path) -> None:
    for call in ("c1", "c2"):
        async with open_store(state, workspace=None, session=SESSION) as store:
            await store.append(look(call))
    assert [body["call"] for body in bodies(state)] == ["c1", "c2"]
    assert verified(state).is_sound


async def test_a_body_with_undecodable_names_is_recorded_with_them_escaped(store: Store, state: Path) -> None:
    await store.append(Entry(Kind.NOTE, "", {"path": "a\udcff", "nested": [{"\udc80": 1}]}))
    assert bodies(state)[0]["body"] == {"path": "a\\udcff", "nested": [{"\\udc80": 1}]}


async def test_a_body_that_is_no_json_takes_nothing_of_its_batch_with_it(store: Store, state: Path) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(store.append, look("before"))
        with pytest.raises(ValueError, match="serialize"):
            await store.append(Entry(Kind.NOTE, "", {"what": object()}))
        group.start_soon(store.append, look("after"))
    assert [body["call"] for body in bodies(state)] == ["before", "after"]


async def test_an_entry_that_cannot_be_written_fails_alone(store: Store, state: Path) -> None:
    failed: list[str] = []

    async def append(entry: Entry) -> None:
        try:
            await store.append(entry)
        except StoreDown:
            failed.append(entry.call)

    async with anyio.create_task_group() as group:
        for entry in (look("a"), intent("b", holds=[Hold("key \ud800", 1, 9)]), look("c"), outcome("never"), look("d")):
            group.start_soon(append, entry)
    assert sorted(failed) == ["b", "never"]
    assert sorted(str(body["call"]) for body in bodies(state)) == ["a", "c", "d"]
    assert verified(state).is_sound


# --- calls: one outcome for an intent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(outcome("c1"), id="an outcome without an intent"),
        pytest.param(Entry(Kind.COMMIT, "c1", {}), id="a commit without an intent"),
        pytest.param(Entry(Kind.UNKNOWN, "c1", {}), id="an unknown without an intent"),
        pytest.param(intent("open"), id="a second intent"),
        pytest.param(outcome("closed"), id="a second outcome"),
        pytest.param(intent(""), id="an intent of no call"),
        pytest.param(Entry(Kind.OUTCOME, "open", {}, holds=[Hold("k", 1, 9)]), id="an outcome that holds"),
        pytest.param(Entry(Kind.OUTCOME, "open", {}, settle={"k": -1}), id="a settlement below zero"),
    ],
)
async def test_what_contradicts_the_log_is_not_recorded(store: Store, state: Path, entry: Entry) -> None:
    await store.append(intent("open"))
    await store.append(intent("closed"))
    await store.append(outcome("closed"))
    with pytest.raises(Contradicts):
        await store.append(entry)
    assert len(records(state)) == 3
    assert [it.call for it in await store.opened(SESSION)] == ["open"]


async def test_an_open_call_is_found_with_its_intent_and_its_commit(store: Store) -> None:
    await store.append(intent("c1"))
    await store.append(Entry(Kind.COMMIT, "c1", {"effects": ["a"]}))
    (found,) = await store.opened(SESSION)
    assert (found.call, found.seq) == ("c1", 1)
    assert found.body == {"session": SESSION, "tool": "files_write"}
    assert found.commit == {"effects": ["a"]}


async def test_calls_of_living_sessions_are_not_up_for_recovery(store: Store) -> None:
    await store.append(intent("mine"))
    await store.append(intent("orphan", session="long-gone"))
    assert [it.call for it in await store.opened()] == ["orphan"]


async def test_the_last_undoable_call_is_the_newest_kept_and_not_restored(store: Store) -> None:
    for call, kept in (("c1", True), ("c2", True), ("c3", False)):
        await store.append(intent(call))
        await store.append(outcome(call, kept=kept))
    assert await store.last_undoable(SESSION) == "c2"
    await store.append(intent("undo"))
    await store.append(outcome("undo", restores="c2"))
    assert await store.last_undoable(SESSION) == "c1"
    assert await store.last_undoable("other") is None


# --- rates and budgets ---------------------------------------------------------------------------------------------


async def test_when_the_rate_says_no_a_refusal_is_recorded_instead_and_nothing_is_held(
    store: Store, state: Path, hands: Hands
) -> None:
    claims, holds = [Claim("rate:ada", Rate(1, 60))], [Hold("calls", 1, 10)]
    await store.append(intent("c1", claims=claims, holds=holds))
    refused = await store.append(intent("c2", claims=claims, holds=holds))
    assert refused.refused == StoreRefusal(No.RATE, "rate:ada", "more than 1/minute", retry_after=60.0)
    assert await store.usage("") == (Usage("calls", 0, 1),)
    assert [it.call for it in await store.opened(SESSION)] == ["c1"]
    assert (bodies(state)[1]["kind"], bodies(state)[1]["call"]) == ("refusal", "c2")
    hands.pass_(60)
    assert (await store.append(intent("c3", claims=claims))).refused is None


async def test_a_no_by_one_rail_charges_none_of_the_others(store: Store) -> None:
    rate = Claim("rate:ada", Rate(1, 60))
    full = [Hold("small", 1, 10), Hold("big", 11, 10)]
    assert (await store.append(intent("c1", claims=[rate], holds=full))).refused is not None
    assert await store.usage("") == ()
    assert (await store.append(intent("c2", claims=[rate]))).refused is None


async def test_two_holds_on_one_budget_in_one_entry_count_together(store: Store) -> None:
    refused = await store.append(intent("c1", holds=[Hold("k", 6, 10), Hold("k", 5, 10)]))
    assert refused.refused == StoreRefusal(No.BUDGET, "k", "0 used and 6 held of 10, and this needs 5")


@pytest.mark.parametrize(
    ("last", "used"),
    [
        pytest.param(outcome("c1", settle={"k": 3}), 3, id="settled by what was used"),
        pytest.param(outcome("c1", settle={}), 5, id="a key left out is used whole"),
        pytest.param(outcome("c1"), 5, id="nothing said is used whole"),
        pytest.param(outcome("c1", settle={"k": 8}), 8, id="more than held is counted"),
        pytest.param(Entry(Kind.UNKNOWN, "c1", {}, settle={"k": 0}), 5, id="unknown stays spent"),
    ],
)
async def test_the_end_of_a_call_settles_its_budget(store: Store, last: Entry, used: int) -> None:
    await store.append(intent("c1", holds=[Hold("k", 5, 10)]))
    await store.append(last)
    assert await store.usage("k") == (Usage("k", used, 0),)


async def test_a_commit_tops_up_what_its_call_holds(store: Store) -> None:
    await store.append(intent("c1", holds=[Hold("k", 5, 10)]))
    await store.append(Entry(Kind.COMMIT, "c1", {}, holds=[Hold("k", 4, 10)]))
    assert await store.usage("k") == (Usage("k", 0, 9),)
    over = await store.append(Entry(Kind.COMMIT, "c1", {}, holds=[Hold("k", 2, 10)]))
    assert over.refused is not None
    await store.append(outcome("c1"))
    assert await store.usage("k") == (Usage("k", 9, 0),)


async def test_a_look_uses_its_budget_at_once(store: Store) -> None:
    await store.append(look("c1", holds=[Hold("k", 5, 10)]))
    assert await store.usage("k") == (Usage("k", 5, 0),)


async def test_what_was_used_and_held_outlives_the_process(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(intent("c1", holds=[Hold("k", 5, 10)]))
    async with open_store(state, workspace=None, session="s2") as store:
        assert await store.usage("k") == (Usage("k", 0, 5),)
        await store.append(Entry(Kind.UNKNOWN, "c1", {}))
        assert await store.usage("k") == (Usage("k", 5, 0),)


async def test_setting_the_wall_clock_forward_refills_no_rate(store: Store, hands: Hands) -> None:
    claims = [Claim("rate:ada", Rate(1, 86400))]
    await store.append(look("c1", claims=claims))
    hands.now += 10 * 86400
    assert (await store.append(look("c2", claims=claims))).refused is not None


# --- requests and answers ------------------------------------------------------------------------------------------


async def test_an_approved_request_is_spent_once(store: Store, state: Path, hands: Hands) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    assert (await store.append(answer("a-1", read_approver_key(state)))).refused is None
    assert (await store.append(spending("c1", "a-1"))).refused is None
    again = await store.append(spending("c2", "a-1"))
    assert again.refused == StoreRefusal(No.APPROVAL, "a-1", "the request is spent, not approved")
    assert [it.call for it in await store.opened(SESSION)] == ["c1"]


@pytest.mark.parametrize("proof", ["", "0" * 64, "\ud800"])
async def test_an_answer_without_the_approvers_secret_is_refused_and_recorded(
    store: Store, state: Path, hands: Hands, proof: str
) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    receipt = await store.append(answer("a-1", proof))
    assert receipt.refused == StoreRefusal(No.PROOF, "a-1", "the approver's secret is wrong")
    assert [body["kind"] for body in bodies(state)] == ["request", "refusal"]
    assert (await store.requests())[0].state is RequestState.PENDING


async def test_the_approvers_secret_is_never_recorded(store: Store, state: Path, hands: Hands) -> None:
    proof = read_approver_key(state)
    await store.append(request("a-1", expires=hands.now + 60))
    await store.append(answer("a-1", proof))
    kept = b"".join(path.read_bytes() for path in state.iterdir() if path.name.startswith("log.db"))
    assert b"a-1" in kept
    assert proof.encode() not in kept


@pytest.mark.parametrize("late", ["answer", "spend"])
async def test_when_its_time_is_over_a_request_can_be_neither_answered_nor_spent(
    store: Store, state: Path, hands: Hands, late: str
) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    if late == "spend":
        await store.append(answer("a-1", read_approver_key(state)))
    hands.pass_(60)
    entry = answer("a-1", read_approver_key(state)) if late == "answer" else spending("c1", "a-1")
    receipt = await store.append(entry)
    assert receipt.refused is not None
    assert "expired" in receipt.refused.reason
    assert await store.opened(SESSION) == ()


async def test_setting_the_wall_clock_back_gives_an_approval_no_longer_life(
    store: Store, state: Path, hands: Hands
) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    await store.append(answer("a-1", read_approver_key(state)))
    hands.pass_(60)
    hands.now -= 3600
    assert (await store.append(spending("c1", "a-1"))).refused is not None


async def test_a_refused_request_cannot_be_approved_afterwards(store: Store, state: Path, hands: Hands) -> None:
    proof = read_approver_key(state)
    await store.append(request("a-1", expires=hands.now + 60))
    await store.append(answer("a-1", proof, approve=False))
    assert (await store.append(answer("a-1", proof))).refused is not None
    assert (await store.append(spending("c1", "a-1"))).refused is not None


async def test_a_request_is_found_by_its_call_until_it_is_spent(store: Store, state: Path, hands: Hands) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    expected = Request(
        "a-1", "c1", "d", "d+effects", RequestState.PENDING, {"effects": ["delete a"]}, hands.now, hands.now + 60
    )
    assert await store.request_for("d") == expected
    assert await store.request_for("other") is None
    await store.append(answer("a-1", read_approver_key(state)))
    await store.append(spending("c1", "a-1"))
    assert await store.request_for("d") is None


async def test_who_waits_for_an_answer_hears_it_at_once(store: Store, state: Path, hands: Hands) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    heard: list[Request | None] = []

    async def wait() -> None:
        heard.append(await store.wait_for_answer("a-1", 10))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await store.append(answer("a-1", read_approver_key(state)))
    assert [it.state for it in heard if it is not None] == [RequestState.APPROVED, RequestState.APPROVED]


async def test_waiting_ends_without_an_answer_when_its_time_is_over(store: Store, hands: Hands) -> None:
    await store.append(request("a-1", expires=hands.now + 60))
    with anyio.fail_after(5):
        assert await store.wait_for_answer("a-1", 0.02) is None


# --- cancellation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(6))
async def test_a_caller_cancelled_at_any_point_has_its_entry_written_whole_or_not_begun(
    store: Store, state: Path, steps: int
) -> None:
    async def call(number: int) -> None:
        await store.append(intent(f"c{number}"))

    tasks = [asyncio.create_task(call(number)) for number in range(20)]
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.append(look("last"))
    written = [str(body["call"]) for body in bodies(state)]
    assert len(written) == len(set(written))
    assert {f"c{number}" for number in range(1, 20, 2)} <= set(written)
    assert verified(state).damage is None
    assert {it.call for it in await store.opened(SESSION)} == set(written) - {"last"}


async def test_a_cancel_scope_around_append_lets_it_finish(store: Store, state: Path) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        receipt = await store.append(look("c1"))
        assert receipt.seq == 1
    assert len(records(state)) == 1


async def test_closing_writes_what_is_on_its_way(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        tasks = [asyncio.create_task(store.append(look(f"c{number}"))) for number in range(30)]
        await asyncio.sleep(0)
    receipts = await asyncio.gather(*tasks)
    assert [receipt.seq for receipt in receipts] == list(range(1, 31))
    assert len(records(state)) == 30


async def test_a_closed_store_takes_nothing(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        pass
    with pytest.raises(StoreDown, match="closed"):
        await store.append(look("late"))
    assert records(state) == []


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET body = x'00'",
        "DELETE FROM log",
        "INSERT OR REPLACE INTO log VALUES (1, x'00', zeroblob(32), zeroblob(32))",
        "INSERT INTO log VALUES (1, x'00', zeroblob(32), zeroblob(32)) ON CONFLICT (seq) DO UPDATE SET body = x'00'",
        "INSERT INTO log VALUES (7, x'00', zeroblob(32), zeroblob(32))",
        "DROP TABLE log",
        "DROP TRIGGER log_no_delete",
        "ALTER TABLE log RENAME TO gone",
        "CREATE TABLE other(x)",
        "PRAGMA writable_schema = ON",
        "PRAGMA recursive_triggers = OFF",
        "PRAGMA synchronous = OFF",
        "ATTACH ':memory:' AS other",
        "UPDATE identity SET log_id = zeroblob(16)",
        "VACUUM",
    ],
)
def test_the_owners_own_connection_can_do_nothing_to_the_log_but_add(tmp_path: Path, statement: str) -> None:
    connection = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    schema.prepare(connection)
    connection.execute("INSERT INTO log VALUES (1, x'aa', zeroblob(32), zeroblob(32))")
    with pytest.raises(sqlite3.DatabaseError):
        connection.execute(statement)
    assert connection.execute("SELECT seq, body FROM log").fetchall() == [(1, b"\xaa")]
    connection.close()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE log SET body = x'00'", "DELETE FROM log", "INSERT INTO log SELECT 9, body, leaf, head FROM log"],
)
async def test_another_program_that_keeps_the_triggers_cannot_change_the_log_either(
    store: Store, state: Path, statement: str
) -> None:
    await store.append(look("c1"))
    with pytest.raises(sqlite3.IntegrityError):
        as_the_owner_of_the_file(state, statement)
    assert len(records(state)) == 1


async def test_files_of_the_store_are_for_their_owner_alone(store: Store, state: Path) -> None:
    await store.append(look("c1"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    assert modes == {
        "log.db": 0o600,
        "log.db-wal": 0o600,
        "log.db-shm": 0o600,
        "log.lock": 0o600,
        "owner.sock": 0o600,
        "approver.key": 0o600,
        "sessions": 0o700,
    }
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


async def test_a_store_of_a_newer_program_is_refused_and_left_alone(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        await store.append(look("c1"))
    as_the_owner_of_the_file(state, f"PRAGMA user_version = {schema.VERSION + 1}")
    before = (state / "log.db").read_bytes()
    with pytest.raises(StoreDown, match="written by a newer byleave"):
        async with open_store(state, workspace=None, session=SESSION):
            pass
    assert (state / "log.db").read_bytes() == before


async def test_another_programs_database_is_refused_and_left_alone(state: Path) -> None:
    state.mkdir(mode=0o700)
    as_the_owner_of_the_file(state, "CREATE TABLE orders(id)")
    before = (state / "log.db").read_bytes()
    with pytest.raises(StoreDown, match="not a byleave store"):
        async with open_store(state, workspace=None, session=SESSION):
            pass
    assert (state / "log.db").read_bytes() == before


async def test_a_log_whose_end_was_changed_is_not_continued(state: Path) -> None:
    async with open_store(state, workspace=None, session=SESSION) as store:
        for call in ("c1", "c2", "c3"):
            await store.append(look(call))
    as_the_owner_of_the_file(state, "DROP TRIGGER log_no_update", "UPDATE log SET body = x'00' WHERE seq = 2")
    with pytest.raises(StoreDown, match="damaged at record 2"):
        async with open_store(state, workspace=None, session=SESSION):
            pass


# --- the directory -------------------------------------------------------------------------------------------------


def _inside(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "work" / "state", tmp_path / "work"


def _same(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "work", tmp_path / "work"


def _above(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path, tmp_path / "work"


def _inside_by_a_link(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "alias").symlink_to(tmp_path / "work")
    return tmp_path / "alias" / "state", tmp_path / "work"


def _a_link(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "real")
    return tmp_path / "state", tmp_path / "work"


def _a_file(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "state").write_text("")
    return tmp_path / "state", tmp_path / "work"


def _writable_by_the_group(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o770)
    return tmp_path / "state", tmp_path / "work"


def _below_what_all_may_write(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    return tmp_path / "open" / "state", tmp_path / "work"


def _of_another_user(tmp_path: Path) -> tuple[Path, Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 65534, 65534)
    return tmp_path / "state", tmp_path / "work"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        pytest.param(_inside, "is inside the workspace", id="inside the workspace"),
        pytest.param(_same, "is inside the workspace", id="the workspace itself"),
        pytest.param(_above, "holds the workspace", id="above the workspace"),
        pytest.param(_inside_by_a_link, "is inside the workspace", id="inside it by way of a link"),
        pytest.param(_a_link, "is a symbolic link", id="a link"),
        pytest.param(_a_file, "is no directory", id="a file"),
        pytest.param(_writable_by_the_group, "can be written by others", id="writable by the group"),
        pytest.param(_below_what_all_may_write, "everyone can replace it", id="below what all may write"),
        pytest.param(_of_another_user, "belongs to another user", id="of another user"),
    ],
)
async def test_a_state_directory_that_cannot_be_trusted_is_refused_in_words(
    tmp_path: Path, place: object, says: str
) -> None:
    (tmp_path / "work").mkdir()
    state, workspace = place(tmp_path)  # type: ignore[operator]
    with pytest.raises(UnsafePlace, match=says) as refused:
        async with open_store(state, workspace=workspace, session=SESSION):
            pass
    assert refused.value.hint
    assert not (state / "log.db").exists()


def test_the_state_directory_is_where_the_environment_says() -> None:
    assert default_state_dir({"BYLEAVE_STATE_DIR": "/srv/byleave"}) == Path("/srv/byleave")
    assert default_state_dir({}).name == "byleave"


def test_the_approvers_secret_is_not_used_once_others_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "approver.key").write_text("0" * 64)
    (tmp_path / "approver.key").chmod(0o644)
    with pytest.raises(StoreDown, match="is open to others"):
        read_approver_key(tmp_path)
