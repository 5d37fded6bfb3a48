"""`byleave log`: what it shows of a real store, what it finds, and the codes it ends with."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from byleave.audit import record
from byleave.capability import Refused, Word
from byleave.cli.log import log
from byleave.effects import Effect, Target, Undo, Verb, files
from byleave.policy.decision import Decision, Reason, Verdict
from byleave.rails.budget import Hold
from byleave.store.entry import Entry, Kind, Receipt
from byleave.store.opening import open_store
from entries import SESSION, Hands, as_the_owner_of_the_file, look

ABOUT = {"tool": "files_write", "session": SESSION, "principal": "local", "client": "t", "workspace": "/w"}
NASTY = Effect(Verb.CREATE, Target.file("/w/a\x1b]0;owned\x07\u202eb[red]"), files(1), Undo.SNAPSHOT)
HELD = [Hold("session:calls", 2, 1)]


def decided(verdict: Verdict) -> Decision:
    return Decision(verdict, (Reason("some.rule", verdict, "because", ""),))


async def write(state: Path, hands: Hands) -> list[Receipt]:
    """A day in the life of a log: a write that is done, one denied, one over its budget, one that never ended."""
    denied = Refused(Word.DENIED, "out of reach", rule="backups.protected")
    entries = [
        Entry(Kind.INTENT, "aaaa", record.intent(ABOUT, decided(Verdict.ALLOW), [NASTY] * 3, staged=True)),
        Entry(Kind.OUTCOME, "aaaa", {**record.done(snapshot=True), "tool": "files_write"}),
        Entry(
            Kind.REFUSAL,
            "bbbb",
            record.refusal(ABOUT, denied.word, denied.rule, denied.reason, decided(Verdict.DENY), [NASTY]),
        ),
        Entry(Kind.INTENT, "cccc", record.intent(ABOUT, decided(Verdict.ASK), [NASTY], staged=False), holds=HELD),
        Entry(Kind.INTENT, "dddd", record.intent(ABOUT, decided(Verdict.DELAY), [NASTY], staged=False)),
    ]
    receipts: list[Receipt] = []
    async with open_store(state, workspace=None, session=SESSION, clock=hands.clock) as store:
        for entry in entries:
            receipts.append(await store.append(entry))
            hands.pass_(3600)
    return receipts


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def receipts(state: Path) -> list[Receipt]:
    return anyio.run(write, state, Hands())


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(log, [*arguments, "--state-dir", str(state)])


def shown(state: Path, *arguments: str) -> list[str]:
    """The receipts of the records that are shown, in order."""
    result = run(state, "show", *arguments)
    assert result.exit_code == 0, result.output
    return [line.rsplit("  r-", 1)[-1] for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("receipts")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], ["aaaa", "aaaa", "bbbb", "cccc", "dddd"], id="all, the newest last"),
        pytest.param(["--limit", "2"], ["cccc", "dddd"], id="the newest two"),
        pytest.param(["--verdict", "deny"], ["bbbb"], id="by verdict"),
        pytest.param(["--tool", "files_write"], ["aaaa", "aaaa", "bbbb", "cccc", "dddd"], id="by tool"),
        pytest.param(["--tool", "sql_query"], [], id="by a tool that was not called"),
        pytest.param(["--receipt", "r-aaaa"], ["aaaa", "aaaa"], id="by receipt"),
        pytest.param(["--call", "aaaa", "--verdict", "allow"], ["aaaa"], id="all that is given must fit"),
        pytest.param(["--since", "2027-01-15T10:30:00+00:00"], ["cccc", "dddd"], id="by time"),
        pytest.param(["--since", "1d"], ["aaaa", "aaaa", "bbbb", "cccc", "dddd"], id="by age: all lie ahead of now"),
    ],
)
def test_show_picks_what_was_asked_for(state: Path, arguments: list[str], expected: list[str]) -> None:
    assert shown(state, *arguments) == expected


@pytest.mark.usefixtures("receipts")
def test_each_record_is_a_line_that_says_what_happened(state: Path) -> None:
    intent, outcome, refusal, over, _ = run(state, "show").stdout.splitlines()
    assert "intent" in intent
    assert "allow" in intent
    assert "(1 file) and 2 more" in intent
    assert "outcome" in outcome
    assert "done" in outcome
    assert "denied: backups.protected: out of reach" in refusal
    assert "refusal" in over
    assert "budget: session:calls: 0 used and 0 held of 1, and this needs 2" in over


@pytest.mark.usefixtures("receipts")
def test_a_name_in_the_log_cannot_write_on_the_terminal(state: Path) -> None:
    said = run(state, "show").stdout
    assert all(char.isprintable() or char == "\n" for char in said)
    assert "[red]" in said  # and is not read as markup


def test_as_json_each_line_is_the_record_exactly_as_stored(state: Path, receipts: list[Receipt]) -> None:
    lines = run(state, "show", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [receipt.seq for receipt in receipts]
    assert json.loads(lines[3])["refused"]["no"] == "budget"


def test_verify_tells_the_head_what_is_unfinished_and_what_nobody_can_tell(
    state: Path, receipts: list[Receipt]
) -> None:
    result = run(state, "verify")
    assert result.exit_code == 0
    assert f"5:{receipts[-1].head}" in result.stdout
    assert "unfinished: record 5: call dddd" in result.stdout
    assert "not established: that nobody who can write this file wrote records 1 to 5 anew" in result.stdout


def test_a_head_from_an_answer_covers_what_came_before_it(state: Path, receipts: list[Receipt]) -> None:
    result = run(state, "verify", "--json", "--expect", f"4:{receipts[3].head}", "--expect", f"2:{receipts[1].head}")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["sound"], found["confirmed"]) == (0, True, 4)


@pytest.mark.usefixtures("receipts")
def test_a_damaged_log_is_told_by_its_code_and_the_first_wrong_record(state: Path) -> None:
    as_the_owner_of_the_file(state, "DROP TRIGGER log_no_update", "UPDATE log SET body = x'7465' WHERE seq = 3")
    result = run(state, "verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["damage"]["seq"] == 3
    assert "damaged: record 3: its content is not what was recorded" in run(state, "verify").stdout
    assert "not readable as a record" in run(state, "show").stdout


@pytest.mark.usefixtures("receipts")
def test_a_log_that_ends_before_an_answer_is_damaged(state: Path) -> None:
    result = run(state, "verify", "--expect", "9:" + "a" * 16)
    assert result.exit_code == 1
    assert "the log ends at record 5, and record 9 was there" in result.stdout


@pytest.mark.parametrize("command", ["show", "follow", "verify"])
def test_where_there_is_no_log_it_says_so_and_makes_none(state: Path, command: str) -> None:
    result = run(state, command)
    assert result.exit_code == 5
    assert "there is no log at" in result.stderr
    assert "BYLEAVE_STATE_DIR" in result.stderr
    assert not state.exists()


def test_what_is_not_a_database_cannot_be_read(state: Path) -> None:
    state.mkdir()
    (state / "log.db").write_bytes(b"not a database" * 500)
    result = run(state, "verify")
    assert result.exit_code == 5
    assert "cannot be read" in result.stderr


@pytest.mark.parametrize("arguments", [["show", "--since", "soon"], ["verify", "--expect", "head"]])
def test_what_cannot_be_understood_is_said_to_be_so(state: Path, arguments: list[str]) -> None:
    result = run(state, *arguments)
    assert result.exit_code == 2
    assert "write it as" in result.stderr


def test_reading_beside_the_owner_sees_what_is_acknowledged_and_leaves_it_alone(state: Path) -> None:
    async def beside() -> None:
        async with open_store(state, workspace=None, session=SESSION) as store:
            for call in ("aaaa", "bbbb"):
                await store.append(look(call))
                assert shown(state, "--limit", "1") == [call]
                assert run(state, "verify").exit_code == 0

    anyio.run(beside)


def test_follow_shows_each_record_as_it_is_written_until_it_is_interrupted(state: Path) -> None:
    async def followed() -> None:
        async with open_store(state, workspace=None, session=SESSION) as store:
            await store.append(look("aaaa"))
            command = [sys.executable, "-P", "-c", "from byleave.cli.log import log; log()", "follow"]
            with anyio.fail_after(10):  # around the process too: cancelled, its end is not waited for but made
                async with await anyio.open_process([*command, "--state-dir", str(state)]) as process:
                    assert process.stdout is not None
                    assert b"r-aaaa" in await process.stdout.receive()
                    await store.append(look("bbbb"))
                    assert b"r-bbbb" in await process.stdout.receive()
                    process.send_signal(signal.SIGINT)
                    assert await process.wait() == 0

    anyio.run(followed)
