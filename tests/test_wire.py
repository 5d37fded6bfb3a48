"""The wire, with the SDK's own client in both protocol eras and a gate that does what each test needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, Implementation, TextContent

from byleave.answers import Answer
from byleave.capability import Word
from byleave.effects import Effect, Target, Undo, Verb, files
from byleave.ledger import Caller, Progress
from byleave.wire.instructions import INSTRUCTIONS
from byleave_capabilities import TOOLS
from fake_gate import FakeGate, always, answer, server_before

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["legacy", "auto"])]


def client(gate: FakeGate, era: str, **more: Any) -> Client:
    return Client(server_before(gate), mode=era, **more)


def text_of(result: Any) -> str:
    (only,) = result.content
    assert isinstance(only, TextContent)
    return only.text


async def test_every_tool_is_listed_in_order_with_title_and_all_four_hints(era: str) -> None:
    async with client(always(answer("")), era) as talking:
        listed = (await talking.list_tools()).tools
    assert [tool.name for tool in listed] == [tool.name for tool in TOOLS]
    for tool in listed:
        assert tool.title
        assert tool.annotations is not None
        hints = tool.annotations.model_dump(exclude={"title"})
        assert all(isinstance(hint, bool) for hint in hints.values()), tool.name


async def test_only_tools_are_advertised(era: str) -> None:
    async with client(always(answer("")), era) as talking:
        advertised = talking.server_capabilities.model_dump(exclude_none=True)
    assert advertised == {"tools": {"list_changed": False}}


async def test_the_instructions_fit_and_name_every_refusal(era: str) -> None:
    async with client(always(answer("")), era) as talking:
        assert talking.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS.encode()) < 2048
    assert [word for word in Word if word not in INSTRUCTIONS] == []


async def test_an_answer_goes_out_as_it_is(era: str) -> None:
    effect = Effect(Verb.READ, Target.file("/w/a.txt"), files(1), Undo.TRIVIAL)
    gate = always(answer("1\thello\nreceipt r-abc · log 7:9c1e", effects=(effect,)))
    async with client(gate, era) as talking:
        said = await talking.call_tool("files_read", {"path": "a.txt"})
    assert text_of(said) == "1\thello\nreceipt r-abc · log 7:9c1e"
    assert said.is_error is False
    assert said.structured_content is None
    ours = {key: value for key, value in (said.meta or {}).items() if key.startswith("byleave/")}
    assert ours == {"byleave/receipt": "r-abc", "byleave/effects": [effect.as_json()], "byleave/log": "7:9c1e"}


async def test_the_gate_gets_arguments_as_they_came_and_who_the_client_says_it_is(era: str) -> None:
    gate = always(answer("ok"))
    raw = {"path": 7, "surprise": {"deep": [None, True]}}
    async with client(gate, era, client_info=Implementation(name="cur\x1bsor", version="3.2")) as talking:
        await talking.call_tool("files_read", raw)
        await talking.call_tool("gate_status")
    assert gate.asked == [
        ("files_read", raw, Caller("user:test", "s-test", "cur\\x1bsor/3.2")),
        ("gate_status", {}, Caller("user:test", "s-test", "cur\\x1bsor/3.2")),
    ]


async def test_a_table_goes_out_beside_its_text(era: str) -> None:
    data = {"columns": ["id"], "rows": [[1], [2]], "receipt": "receipt r-abc · log 7:9c1e"}
    async with client(always(answer("id\n1\n2", data=data)), era) as talking:
        said = await talking.call_tool("sql_query", {"database": "shop", "sql": "SELECT 1"})
    assert said.structured_content == data
    assert text_of(said) == "id\n1\n2"


async def test_a_refusal_is_an_error_of_the_tool_in_text_alone(era: str) -> None:
    refusal = "denied: rule `backups.protected`: out of reach\nhint: nothing was done\nreceipt r-abc · log 7:9c1e"
    async with client(always(answer(refusal, is_error=True, data={"rows": []})), era) as talking:
        said = await talking.call_tool("files_remove", {"path": "backups"})
    assert said.is_error is True
    assert text_of(said) == refusal
    assert said.structured_content is None


async def test_an_unknown_tool_is_a_protocol_error_that_the_gate_has_recorded(era: str) -> None:
    gate = always(answer("no tool", is_error=True))
    async with client(gate, era) as talking:
        with pytest.raises(MCPError) as refused:
            await talking.call_tool("shell\x1b[2J_run", {"command": "ls"})
    assert (refused.value.code, refused.value.message) == (INVALID_PARAMS, "unknown tool: `shell\\x1b[2J_run`")
    assert [tool for tool, *_ in gate.asked] == ["shell\x1b[2J_run"]


async def test_an_exception_tells_nothing(
    era: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress) -> Answer:
        del tool, arguments, caller, progress
        raise RuntimeError("password=hunter2")

    async with client(FakeGate(failing), era) as talking:
        with pytest.raises(MCPError) as refused:
            await talking.call_tool("gate_status")
        listed = (await talking.list_tools()).tools
    assert (refused.value.code, refused.value.message) == (INTERNAL_ERROR, "internal error")
    assert len(listed) == len(TOOLS), "the connection lives on"
    assert "hunter2" not in "".join(capfd.readouterr())
    assert [record.getMessage() for record in caplog.records] == ["answering tools/call"]


async def test_control_characters_arrive_as_escapes_and_lines_stay(era: str) -> None:
    hostile = "a\tb\r\nc\x1b[2J\u202egnp.exe\rx\x00\udc80\U000e0041é😀"
    harmless = "a\tb\r\nc\\x1b[2J\\u202egnp.exe\\rx\\x00\\udc80\\U000e0041é😀"
    async with client(always(answer(hostile, data={hostile: [hostile, {"n": 1}]})), era) as talking:
        said = await talking.call_tool("gate_status")
    assert text_of(said) == harmless
    assert said.structured_content == {harmless: [harmless, {"n": 1}]}


async def test_progress_arrives_while_the_call_runs(era: str) -> None:
    heard: list[tuple[float, str | None]] = []
    told = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        heard.append((progress, message))
        if len(heard) == 2:
            told.set()

    async def waiting(tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress) -> Answer:
        del tool, arguments, caller
        await progress("waits for a person")
        await progress("still \x1b[1mwaits")
        await told.wait()
        return answer("approved")

    with anyio.fail_after(5):
        async with client(FakeGate(waiting), era) as talking:
            said = await talking.call_tool("gate_status", progress_callback=hear)
    assert text_of(said) == "approved"
    assert heard == [(1, "waits for a person"), (2, "still \\x1b[1mwaits")]


async def test_a_cancelled_call_is_cancelled_in_the_gate_and_the_next_one_is_answered(era: str) -> None:
    began, ended = anyio.Event(), anyio.Event()

    async def endless(tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress) -> Answer:
        del arguments, caller, progress
        if tool == "gate_status":
            return answer("ok")
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError("not reached")

    with anyio.fail_after(5):
        async with client(FakeGate(endless), era) as talking:
            async with anyio.create_task_group() as calls:
                calls.start_soon(talking.call_tool, "files_read", {"path": "a"})
                await began.wait()
                calls.cancel_scope.cancel()
            await ended.wait()
            assert text_of(await talking.call_tool("gate_status")) == "ok"


async def test_fifty_calls_at_once_get_their_own_answers(era: str) -> None:
    async def echo(tool: str, arguments: Mapping[str, object], caller: Caller, progress: Progress) -> Answer:
        del tool, caller, progress
        await anyio.lowlevel.checkpoint()
        return answer(str(arguments["path"]))

    said: dict[int, str] = {}

    async with client(FakeGate(echo), era) as talking:

        async def one(number: int) -> None:
            said[number] = text_of(await talking.call_tool("files_read", {"path": str(number)}))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as calls:
                for number in range(50):
                    calls.start_soon(one, number)
    assert said == {number: str(number) for number in range(50)}


async def test_a_long_list_of_effects_is_cut_in_meta(era: str) -> None:
    effects = tuple(Effect(Verb.DELETE, Target.file(f"/w/{n}"), files(1), Undo.SNAPSHOT) for n in range(60))
    async with client(always(answer("removed", effects=effects)), era) as talking:
        said = await talking.call_tool("files_remove", {"path": "w"})
    assert len((said.meta or {})["byleave/effects"]) == 50
    assert len(json.dumps(said.meta)) < 20_000
