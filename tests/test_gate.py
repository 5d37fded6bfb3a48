"""The gate over real files, a real database and a real store: what passes, what not, and what the world says after."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import anyio
import pytest

from byleave.approvals.requests import Approvals
from byleave.effects import Undo
from byleave.gate import Gate
from byleave.hands.files.staging import FileStage
from byleave.store.entry import StoreDown
from world import CALLER, World, answer, call, gate_over, make_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
async def gate(world: World) -> AsyncGenerator[Gate]:
    async with gate_over(world) as gate:
        yield gate


def reply(text: str) -> list[str]:
    """The text of an answer without its receipt line, which must be the last."""
    *body, last = text.splitlines()
    assert last.startswith("receipt r-")
    return body


# --- what passes -----------------------------------------------------------------------------------------------------


async def test_a_look_is_one_record_that_is_there_before_the_answer(world: World, gate: Gate):
    answered = await call(gate, "files_read", path="notes.txt")
    assert not answered.is_error
    assert world.kinds() == ["look"]
    assert answered.log is not None
    assert answered.log.startswith(f"{world.records()[-1]['seq']}:")


async def test_a_declared_write_is_an_intent_and_an_outcome(world: World, gate: Gate):
    await call(gate, "files_write", path="new.txt", text="hello\n")
    assert (world.workspace / "new.txt").read_text() == "hello\n"
    assert world.kinds() == ["intent", "outcome"]


async def test_what_only_the_stage_can_measure_is_recorded_again_before_it_counts(world: World, gate: Gate):
    answered = await call(gate, "sql_change", database="app", sql="delete from orders where id < 3")
    assert not answered.is_error, answered.text
    assert world.orders() == 27
    assert world.kinds() == ["intent", "commit", "outcome"]
    assert world.records()[-2]["body"]["totals"] == {"delete": {"rows": 3}}


async def test_every_answer_ends_with_its_receipt_and_the_head_of_the_log(world: World, gate: Gate):
    for arguments in ({"path": "notes.txt"}, {"path": "missing"}, {"nonsense": 1}):
        answered = await call(gate, "files_read", **arguments)
        last = world.records()[-1]
        assert answered.text.splitlines()[-1].startswith(f"receipt {answered.receipt} · log {last['seq']}:")


async def test_a_change_that_changes_nothing_commits_nothing(world: World, gate: Gate):
    answered = await call(gate, "sql_change", database="app", sql="delete from orders where id = 999")
    assert not answered.is_error
    assert (world.kinds(), answered.effects) == (["intent", "outcome"], ())
    assert world.records()[-1]["body"]["status"] == "unchanged"


async def test_fifty_calls_at_once_each_have_their_records_and_the_chain_holds(world: World, gate: Gate):
    async with anyio.create_task_group() as group:
        for n in range(25):
            group.start_soon(lambda n=n: call(gate, "files_write", path=f"many/{n}.txt", text=str(n)))
            group.start_soon(lambda: call(gate, "files_read", path="notes.txt"))
    assert sorted(p.name for p in (world.workspace / "many").iterdir()) == sorted(f"{n}.txt" for n in range(25))
    kinds = world.kinds()
    assert (kinds.count("intent"), kinds.count("outcome"), kinds.count("look")) == (25, 25, 25)
    assert world.findings().is_sound


# --- what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        pytest.param("files_write", {"path": ".env", "text": ""}, "denied: rule `workspace.hidden`: ", id="hidden"),
        pytest.param("files_remove", {"path": "app.db"}, "denied: rule `floor.database-file`: ", id="database"),
        pytest.param("files_write", {"path": "../../etc/x", "text": ""}, "denied: rule `", id="traversal"),
        pytest.param("files_write", {"path": "a", "text": "", "mode": 0}, "invalid_arguments: `mode`: ", id="extra"),
        pytest.param("files_read", {"path": 3}, "invalid_arguments: `path`: ", id="type"),
        pytest.param("sql_change", {"database": "app", "sql": "drop table orders"}, "denied: rule `sql.ddl`: ", id="d"),
        pytest.param("sql_change", {"database": "app", "sql": "delete from log"},
                     "denied: rule `databases.not-granted`: ", id="not-granted"),
        pytest.param("sql_query", {"database": "nope", "sql": "select 1"}, "not_found: ", id="no-database"),
        pytest.param("gate_undo", {}, "not_found: ", id="nothing-to-undo"),
        pytest.param("rm_rf", {}, "invalid_arguments: no tool `rm_rf`", id="no-tool"),
    ],
)  # fmt: skip
async def test_a_refusal_says_why_and_what_else_and_nothing_happened(
    world: World, gate: Gate, tool: str, arguments: dict[str, object], says: str
):
    before = (world.tree(), world.orders())
    answered = await call(gate, tool, **arguments)
    said, hint = reply(answered.text)
    assert answered.is_error
    assert said.startswith(says)
    assert hint.startswith("hint: ")
    assert (world.tree(), world.orders()) == before
    assert world.kinds() == ["refusal"]


async def test_backups_are_out_of_reach_by_every_file_tool(world: World, gate: Gate):
    backup = str(world.backups / "monday.db")
    (world.workspace / "link").symlink_to(world.backups)
    for tool, arguments in {
        "files_read": {"path": backup},
        "files_write": {"path": "link/monday.db", "text": ""},
        "files_remove": {"path": "link/monday.db"},
        "files_move": {"source": "link/monday.db", "target": "mine.db"},
        "files_search": {"path": "link", "pattern": "."},
    }.items():
        answered = await call(gate, tool, **arguments)
        assert answered.text.startswith("denied: rule `backups.protected`: "), answered.text
    assert (world.backups / "monday.db").read_bytes() == b"backup"


async def test_a_delete_beyond_the_bound_is_measured_and_takes_nothing(tmp_path: Path):
    world = make_world(tmp_path)
    async with gate_over(world, headless=True) as gate:
        answered = await call(gate, "sql_change", database="app", sql="delete from orders where id >= 0")
    assert answered.text.startswith("denied: ")
    assert world.orders() == 30


async def test_an_exception_inside_a_tool_tells_nothing_and_is_recorded(world: World, gate: Gate):
    with mock.patch("byleave_capabilities.looking.ReadFile.plan", side_effect=RuntimeError("hunter2")):
        answered = await call(gate, "files_read", path="notes.txt")
    assert answered.text.startswith("failed: the gate failed internally\n")
    assert "hunter2" not in answered.text + str(world.records())
    assert world.kinds() == ["refusal"]


# --- the log first ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["intent", "commit"])
async def test_when_a_record_cannot_be_written_nothing_happens(world: World, gate: Gate, kind: str):
    before = world.orders()
    append = gate._ledger._store.append

    async def failing(entry):
        if entry.kind == kind:
            raise StoreDown("the disk is gone")
        return await append(entry)

    with mock.patch.object(gate._ledger._store, "append", failing):
        answered = await call(gate, "sql_change", database="app", sql="delete from orders where id < 3")
    assert answered.text.startswith(
        "failed: the audit log cannot be written, so nothing may happen\nhint: nothing was done"
    )
    assert world.orders() == before


async def test_when_a_look_cannot_be_recorded_it_is_not_shown(gate: Gate):
    with mock.patch.object(gate._ledger._store, "append", side_effect=StoreDown("gone")):
        answered = await call(gate, "files_read", path="notes.txt")
    assert answered.is_error
    assert "three" not in answered.text


async def test_when_the_outcome_cannot_be_written_the_answer_says_that_it_counts(world: World, gate: Gate):
    append = gate._ledger._store.append

    async def failing(entry):
        if entry.kind == "outcome":
            raise StoreDown("the disk is gone")
        return await append(entry)

    with mock.patch.object(gate._ledger._store, "append", failing):
        answered = await call(gate, "files_write", path="new.txt", text="x")
    assert "this change counts, but its outcome is not recorded" in answered.text
    assert (world.workspace / "new.txt").exists()


# --- cancelled -------------------------------------------------------------------------------------------------------


async def test_a_call_cancelled_at_any_moment_is_done_or_left_no_trace_and_has_its_outcome(tmp_path: Path):
    for n in range(40):
        root = tmp_path / str(n)
        root.mkdir()
        world = make_world(root)
        async with gate_over(world) as gate:
            with anyio.move_on_after(n / 2000):
                await call(gate, "files_write", path="new.txt", text="x")
            done = (world.workspace / "new.txt").exists()
        outcomes = [r["body"]["status"] for r in world.records() if r["kind"] == "outcome"]
        assert outcomes in ([["done"]] if done else [[], ["discarded"]])
        assert (world.kinds().count("intent"), world.findings().is_sound) == (len(outcomes), True)


# --- leave -----------------------------------------------------------------------------------------------------------


HOOK = {"path": ".git/hooks/pre-commit", "text": "#!/bin/sh\n"}


async def test_nobody_there_makes_an_ask_an_immediate_explained_deny(tmp_path: Path):
    world = make_world(tmp_path, wait="45s")
    with anyio.fail_after(5):
        async with gate_over(world, headless=True) as gate:
            answered = await call(gate, "files_write", **HOOK)
    assert answered.text.startswith("denied: rule `files.runs-later`: ")
    assert "nobody can be asked here" in answered.text
    assert not (world.workspace / ".git").exists()


async def test_the_waiting_call_goes_on_when_a_person_approves_from_another_terminal(tmp_path: Path):
    world = make_world(tmp_path, wait="30s")
    told: list[str] = []

    async def progress(line: str) -> None:
        told.append(line)
        await answer(world, approve=True)

    with anyio.fail_after(20):
        async with gate_over(world) as gate:
            answered = await gate.call("files_write", HOOK, CALLER, progress)
    assert not answered.is_error, answered.text
    assert (world.workspace / ".git/hooks/pre-commit").read_text() == "#!/bin/sh\n"
    assert told[0].startswith("waiting for a person: `byleave approve a-")
    assert world.kinds() == ["intent", "request", "answer", "commit", "outcome"]


async def test_a_refusal_by_a_person_ends_it_and_the_same_call_is_not_asked_again(tmp_path: Path):
    world = make_world(tmp_path)
    async with gate_over(world) as gate:
        first = await call(gate, "files_write", **HOOK)
        await answer(world, approve=False)
        with anyio.fail_after(5):
            second = await call(gate, "files_write", **HOOK)
    assert first.text.startswith("approval_pending: ")
    assert second.text.startswith("approval_refused: ")
    assert not (world.workspace / ".git").exists()


async def test_what_was_parked_commits_as_it_was_shown_and_the_next_call_is_told(tmp_path: Path):
    world = make_world(tmp_path)
    hook = world.workspace / ".git/hooks/pre-commit"
    async with gate_over(world) as gate:
        assert (await call(gate, "files_write", **HOOK)).text.startswith("approval_pending: ")
        await answer(world, approve=True)
        with anyio.fail_after(5):
            while not hook.exists():  # noqa: ASYNC110 (it counts in a task of the gate's own)
                await anyio.sleep(0.01)
            answered = await call(gate, "files_write", **HOOK)
    assert not answered.is_error, answered.text
    assert hook.read_text() == "#!/bin/sh\n"
    assert world.kinds().count("intent") == 2
    assert world.findings().is_sound


async def test_what_became_of_a_parked_call_is_no_answer_once_the_same_thing_has_changed_again(tmp_path: Path):
    world = make_world(tmp_path)
    hook = world.workspace / ".git/hooks/pre-commit"
    other = {**HOOK, "text": "#!/bin/sh\ntrue\n"}
    async with gate_over(world) as gate:
        for arguments in (HOOK, other):
            assert (await call(gate, "files_write", **arguments)).text.startswith("approval_pending: ")
            await answer(world, approve=True)
            with anyio.fail_after(5):
                while not (hook.exists() and hook.read_text() == arguments["text"]):  # noqa: ASYNC110 (a task of the gate's)
                    await anyio.sleep(0.01)
        told = await call(gate, "files_write", **other)
        anew = await call(gate, "files_write", **HOOK)
    assert told.text.startswith("this call was made before")
    assert anew.text.startswith("approval_pending: ")
    assert hook.read_text() == "#!/bin/sh\ntrue\n"


async def test_calls_that_ask_the_same_at_once_ask_a_person_once(tmp_path: Path):
    world = make_world(tmp_path)
    async with gate_over(world) as gate, anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(lambda: call(gate, "files_write", **HOOK))
    assert world.kinds().count("request") == 1


async def test_a_store_that_fails_while_a_change_is_parked_ends_no_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    world = make_world(tmp_path)

    async def down(*_: object) -> None:
        raise StoreDown("down for the test")

    async with gate_over(world) as gate:
        with monkeypatch.context() as patch:
            patch.setattr(Approvals, "wait_for_answer", down)
            assert (await call(gate, "files_write", **HOOK)).text.startswith("approval_pending: ")
            await anyio.wait_all_tasks_blocked()
        assert not (await call(gate, "files_read", path="notes.txt")).is_error
    assert not (world.workspace / ".git").exists()


async def test_what_a_budget_stops_after_it_was_tried_is_concluded(tmp_path: Path):
    world = make_world(tmp_path, extra="[limits.session]\nrows_deleted = 3\n")
    async with gate_over(world) as gate:
        answered = await call(gate, "sql_change", database="app", sql="delete from orders where id < 5")
    assert answered.text.startswith("budget_exhausted: ")
    assert world.orders() == 30
    records = [(r["kind"], r["call"]) for r in world.records() if r["kind"] in ("intent", "outcome")]
    assert [kind for kind, _ in records] == ["intent", "outcome"]
    assert len({name for _, name in records}) == 1


async def test_leave_given_while_the_server_was_down_holds_for_that_call_and_once(tmp_path: Path):
    world = make_world(tmp_path)
    async with gate_over(world) as gate:
        await call(gate, "files_write", **HOOK)
    await answer(world, approve=True)
    async with gate_over(world) as gate:
        first = await call(gate, "files_write", **HOOK)
        (world.workspace / ".git/hooks/pre-commit").unlink()
        second = await call(gate, "files_write", **HOOK)
    assert not first.is_error, first.text
    assert second.text.startswith("approval_pending: ")
    assert not (world.workspace / ".git/hooks/pre-commit").exists()


@pytest.mark.parametrize("changed", [{"path": ".git/hooks/pre-push"}, {"text": "#!/bin/sh\nrm -rf /\n"}])
async def test_leave_does_not_hold_for_other_arguments(tmp_path: Path, changed: dict[str, object]):
    world = make_world(tmp_path)
    async with gate_over(world) as gate:
        await call(gate, "files_write", **HOOK)
    await answer(world, approve=True)
    async with gate_over(world) as gate:
        answered = await call(gate, "files_write", **{**HOOK, **changed})
    assert answered.text.startswith("approval_pending: ")
    assert not (world.workspace / ".git").exists()


async def test_leave_does_not_hold_when_the_world_has_changed_under_it(tmp_path: Path):
    world = make_world(tmp_path)
    hook = world.workspace / ".git/hooks/pre-commit"
    async with gate_over(world) as gate:
        await call(gate, "files_write", **HOOK)
    await answer(world, approve=True)
    hook.parent.mkdir(parents=True)
    hook.write_text("someone's own hook\n")
    async with gate_over(world) as gate:
        answered = await call(gate, "files_write", **HOOK)
    assert answered.text.startswith("approval_pending: ")
    assert hook.read_text() == "someone's own hook\n"


async def test_a_database_change_is_asked_with_its_count_and_run_again_for_exactly_those_rows(tmp_path: Path):
    world = make_world(tmp_path)
    sql = {"database": "app", "sql": "delete from orders where id < 20"}
    async with gate_over(world) as gate:
        asked = await call(gate, "sql_change", **sql)
        assert asked.text.startswith("approval_pending: "), asked.text
        assert world.orders() == 30
        request = next(r for r in world.records() if r["kind"] == "request")
        assert request["body"]["effects"] == ["delete sql:app/orders: 20 rows"]
        await answer(world, approve=True)
        answered = await call(gate, "sql_change", **sql)
    assert not answered.is_error, answered.text
    assert world.orders() == 10


async def test_more_rows_than_were_approved_are_asked_anew(tmp_path: Path):
    world = make_world(tmp_path)
    sql = {"database": "app", "sql": "delete from orders where id < 20 or item = 'late'"}
    async with gate_over(world) as gate:
        await call(gate, "sql_change", **sql)
        await answer(world, approve=True)
        await call(gate, "sql_change", database="app", sql="insert into orders values (100, 'late')")
        answered = await call(gate, "sql_change", **sql)
    assert answered.text.startswith("approval_pending: ")
    assert world.orders() == 31


async def test_the_wrong_secret_approves_nothing(tmp_path: Path):
    world = make_world(tmp_path)
    async with gate_over(world) as gate:
        await call(gate, "files_write", **HOOK)
        with mock.patch("world.read_approver_key", return_value="0" * 64), pytest.raises(Exception, match="secret"):
            await answer(world, approve=True)
        answered = await call(gate, "files_write", **HOOK)
    assert answered.text.startswith("approval_pending: ")


# --- rails -----------------------------------------------------------------------------------------------------------


async def test_a_session_cannot_delete_more_files_than_its_budget(tmp_path: Path):
    world = make_world(tmp_path, extra="[limits]\nsession = { files_deleted = 1 }\n")
    async with gate_over(world) as gate:
        first = await call(gate, "files_remove", path="notes.txt")
        second = await call(gate, "files_remove", path="src/app.py")
    assert not first.is_error, first.text
    assert second.text.startswith("budget_exhausted: rule `limits.session`: ")
    assert (world.workspace / "src/app.py").exists()


async def test_a_rate_lets_exactly_its_burst_through(tmp_path: Path):
    world = make_world(tmp_path, extra='[limits]\nrate = "3/hour"\n')
    async with gate_over(world) as gate:
        words = [(await call(gate, "files_read", path="notes.txt")).text.split(":")[0] for _ in range(5)]
    assert words[3:] == ["rate_limited", "rate_limited"]
    assert "rate_limited" not in words[:3]


# --- undo ------------------------------------------------------------------------------------------------------------


async def test_undo_takes_back_the_last_call_of_this_session_file_or_row(world: World, gate: Gate):
    before = (world.tree(), world.orders())
    await call(gate, "files_edit", path="notes.txt", edits=[{"old": "two", "new": "2"}])
    await call(gate, "sql_change", database="app", sql="delete from orders where id < 3")
    await call(gate, "files_remove", path="src", recursive=True)
    for _ in range(3):
        answered = await call(gate, "gate_undo")
        assert not answered.is_error, answered.text
    assert (world.tree(), world.orders()) == before
    assert (await call(gate, "gate_undo")).text.startswith("not_found: ")


async def test_undo_never_overwrites_what_came_later(world: World, gate: Gate):
    done = await call(gate, "files_write", path="notes.txt", text="agent\n")
    (world.workspace / "notes.txt").write_text("person\n")
    answered = await call(gate, "gate_undo", receipt=done.receipt)
    assert answered.text.startswith("conflict: changed since ")
    assert (world.workspace / "notes.txt").read_text() == "person\n"


async def test_an_undo_can_be_undone_by_its_receipt(world: World, gate: Gate):
    await call(gate, "files_write", path="notes.txt", text="agent\n")
    undone = await call(gate, "gate_undo")
    await call(gate, "gate_undo", receipt=undone.receipt)
    assert (world.workspace / "notes.txt").read_text() == "agent\n"


def test_the_state_directory_is_for_its_owner_alone(tmp_path: Path):
    world = make_world(tmp_path)

    async def once() -> None:
        async with gate_over(world) as gate:
            await call(gate, "files_write", path="notes.txt", text="x")

    anyio.run(once)
    modes = {os.stat(path).st_mode & 0o077 for path in [world.state_dir, *world.state_dir.rglob("*")]}
    assert modes == {0}


async def test_what_cannot_be_undone_is_not_what_undo_takes_back(world: World, gate: Gate):
    await call(gate, "files_write", path="notes.txt", text="agent\n")
    observe = FileStage.observe
    final = lambda stage: tuple(replace(effect, undo=Undo.NONE) for effect in observe(stage))  # noqa: E731
    with mock.patch.object(FileStage, "observe", final):
        await call(gate, "files_write", path="src/app.py", text="agent\n")
        await answer(world, approve=True)
        with anyio.fail_after(5):
            while (world.workspace / "src/app.py").read_text() != "agent\n":  # noqa: ASYNC110 (the same)
                await anyio.sleep(0.01)
    undone = await call(gate, "gate_undo")
    assert not undone.is_error, undone.text
    assert (world.workspace / "notes.txt").read_text() == "one\ntwo\nthree\n"
    assert (world.workspace / "src/app.py").read_text() == "agent\n"


async def test_a_search_from_above_shows_nothing_of_a_backup_or_a_database(tmp_path: Path):
    world = make_world(tmp_path)
    inside = world.workspace / "data" / "backups"
    inside.mkdir(parents=True)
    (inside / "monday.sql").write_text("needle\n")
    (world.workspace / "plain.txt").write_text("needle\n")
    world.policy.write_text(world.policy.read_text().replace(f'"{world.backups}"', f'"{world.backups}", "{inside}"'))
    async with gate_over(world) as gate:
        found = await call(gate, "files_search", pattern="needle|SQLite format")
        names = await call(gate, "files_search", glob="**/*")
        listed = await call(gate, "files_read", path="data")
    assert reply(found.text) == ["plain.txt:1: needle"]
    assert "monday" not in names.text + listed.text
