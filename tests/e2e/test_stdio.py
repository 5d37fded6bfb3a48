"""The real server in its own process, over pipes: every tool in both eras, and every way in which it ends."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import TextContent

from byleave_capabilities import TOOLS
from shop import Shop, build

BYLEAVE = [sys.executable, "-P", "-c", "from byleave.cli import main; main()"]
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])

#: One call of every tool, with what its answer has to hold.
CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("files_read", {"path": "app/main.py"}, "import cart"),
    ("files_search", {"pattern": "TOTAL"}, "app/cart.py"),
    ("files_write", {"path": "app/new.py", "text": "NEW = 1\n"}, "new.py"),
    ("files_edit", {"path": "app/main.py", "edits": [{"old": "shop", "new": "store"}]}, "main.py"),
    ("files_move", {"source": "app/cart.py", "target": "app/basket.py"}, "basket.py"),
    ("files_remove", {"path": "app/basket.py"}, "basket.py"),
    ("sql_query", {"database": "shop", "sql": "SELECT count(*) AS n FROM orders"}, "100"),
    ("sql_change", {"database": "shop", "sql": "DELETE FROM orders WHERE id = 1"}, "1"),
    ("gate_status", {}, "policy"),
    ("gate_undo", {}, "1 restored"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return build(tmp_path)


def serve(shop: Shop, *more: str) -> list[str]:
    return [*BYLEAVE, "serve", "--workspace", str(shop.project), "--policy", str(shop.policy), *more]


def environ(shop: Shop) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(shop.root), "BYLEAVE_STATE_DIR": str(shop.state)}


@asynccontextmanager
async def connected(shop: Shop, era: str, *more: str) -> AsyncGenerator[Client]:
    command, *args = serve(shop, *more)
    server = StdioServerParameters(command=command, args=args, env=environ(shop))
    with anyio.fail_after(30):
        async with Client(server, mode=era) as client:
            yield client


def text_of(said: Any) -> str:
    (only,) = said.content
    assert isinstance(only, TextContent)
    return only.text


def verified(shop: Shop) -> dict[str, Any]:
    """What `log verify` finds; the log has to be whole, and no call may have an intent without an outcome."""
    ran = subprocess.run(
        [*BYLEAVE, "log", "verify", "--json"], capture_output=True, text=True, check=False, env=environ(shop)
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)
    assert found["sound"] is True
    assert found["unfinished"] == []
    return found


# --- with the SDK's client -------------------------------------------------------------------------------------------


@ERAS
@pytest.mark.anyio
async def test_every_tool_is_listed_and_called(shop: Shop, era: str) -> None:
    async with connected(shop, era, "--headless") as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        answers = [(tool, await client.call_tool(tool, arguments), holds) for tool, arguments, holds in CALLS]
    assert listed == [tool.name for tool in TOOLS]
    assert {tool for tool, _, _ in CALLS} == set(listed)
    for tool, said, holds in answers:
        text = text_of(said)
        assert said.is_error is False, f"{tool}: {text}"
        assert holds in text, f"{tool}: {text}"
        receipt = (said.meta or {})["byleave/receipt"]
        assert text.splitlines()[-1].startswith(f"receipt {receipt} · log "), f"{tool}: {text}"
    assert (shop.project / "app/new.py").read_text() == "NEW = 1\n"
    assert shop.rows("orders") == 100, "the undo put the row back"
    verified(shop)


@ERAS
@pytest.mark.anyio
async def test_a_refusal_has_its_shape_and_nothing_happened(shop: Shop, era: str) -> None:
    before = shop.picture()
    async with connected(shop, era, "--headless") as client:
        refusals = [
            await client.call_tool("files_read", {"path": ".env"}),
            await client.call_tool("sql_change", {"database": "shop", "sql": "DROP TABLE orders"}),
            await client.call_tool("files_write", {"path": "a.py", "text": "x", "force": True}),
            await client.call_tool("files_write", {"path": ".git/hooks/pre-commit", "text": "rm -rf /"}),
        ]
    words = [text_of(said).split(":")[0] for said in refusals]
    assert words == ["denied", "denied", "invalid_arguments", "denied"]
    for said in refusals:
        assert said.is_error is True
        assert said.structured_content is None
        lines = text_of(said).splitlines()
        assert lines[1].startswith("hint: ")
        assert lines[-1].startswith("receipt r-")
    assert shop.picture() == before
    verified(shop)


@ERAS
@pytest.mark.anyio
async def test_a_call_that_waits_tells_so_and_goes_on_when_a_person_approves(shop: Shop, era: str) -> None:
    waits = anyio.Event()
    lines: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        lines.append(message or "")
        waits.set()

    async def approve() -> None:
        await waits.wait()
        request = lines[0].split("`")[1].removeprefix("byleave approve ")
        await anyio.run_process([*BYLEAVE, "approve", request, "--yes"], env=environ(shop))

    async with connected(shop, era, "--attended") as client, anyio.create_task_group() as people:
        people.start_soon(approve)
        said = await client.call_tool("files_write", {"path": ".envrc", "text": "export A=1\n"}, progress_callback=hear)
    assert said.is_error is False, text_of(said)
    assert (shop.project / ".envrc").read_text() == "export A=1\n"
    assert lines[0].startswith("waiting for a person: `byleave approve a-")
    verified(shop)


@ERAS
@pytest.mark.anyio
async def test_a_cancelled_call_leaves_nothing_and_the_next_one_is_answered(shop: Shop, era: str) -> None:
    before = shop.picture()
    waits = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total, message
        waits.set()

    async def ask(client: Client) -> None:
        await client.call_tool("files_write", {"path": ".envrc", "text": "x"}, progress_callback=hear)

    async with connected(shop, era, "--attended") as client:
        async with anyio.create_task_group() as calls:
            calls.start_soon(ask, client)
            await waits.wait()
            calls.cancel_scope.cancel()
        said = await client.call_tool("files_read", {"path": "app/cart.py"})
    assert "TOTAL = 0" in text_of(said)
    assert shop.picture() == before
    verified(shop)


# --- by hand: the bytes on the pipes, and how it ends ----------------------------------------------------------------


@contextmanager
def running(shop: Shop, *more: str) -> Generator[subprocess.Popen[bytes]]:
    """The server with a handshake behind it. Killed at the end if it is still there."""
    with subprocess.Popen(
        serve(shop, *more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ(shop),
        start_new_session=True,
    ) as server:
        try:
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            send(server, {"id": 1, "method": "initialize", "params": hello})
            assert read(server)["result"]["serverInfo"]["name"] == "byleave"
            send(server, {"method": "notifications/initialized"})
            yield server
        finally:
            if server.poll() is None:
                server.kill()


def send(server: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    server.stdin.flush()


def read(server: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert server.stdout is not None
    return json.loads(server.stdout.readline())


def call(server: subprocess.Popen[bytes], number: int, tool: str, **arguments: object) -> None:
    params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": f"p{number}"}}
    send(server, {"id": number, "method": "tools/call", "params": params})


def call_that_waits(server: subprocess.Popen[bytes]) -> None:
    """A call that asks a person, staged and under way: its first line of progress has come."""
    call(server, 2, "files_write", path=".envrc", text="export A=1\n")
    assert read(server)["method"] == "notifications/progress"


def ends_within_a_second(server: subprocess.Popen[bytes]) -> int:
    began = time.monotonic()
    code = server.wait(timeout=10)
    assert time.monotonic() - began < 1
    return code


ENDINGS = pytest.mark.parametrize("ending", ["end of input", "SIGINT", "SIGTERM", "SIGHUP"])


def end(server: subprocess.Popen[bytes], ending: str) -> None:
    assert server.stdin is not None
    if ending == "end of input":
        server.stdin.close()
    else:
        server.send_signal(signal.Signals[ending])


@ENDINGS
def test_it_ends_within_a_second_whatever_is_under_way(shop: Shop, ending: str) -> None:
    before = shop.picture()
    with running(shop, "--attended") as server:
        call_that_waits(server)
        end(server, ending)
        assert ends_within_a_second(server) == 0
        assert server.stderr is not None
        assert server.stderr.read() == b""
    assert shop.picture() == before, "neither the change nor a temporary file"
    verified(shop)


@ENDINGS
def test_a_change_under_way_is_done_or_not_and_the_log_says_which(shop: Shop, ending: str) -> None:
    with running(shop, "--headless") as server:
        for number in range(2, 22):
            call(server, number, "files_write", path=f"app/n{number}.py", text="N = 1\n")
        read(server)
        end(server, ending)
        assert ends_within_a_second(server) == 0
    verified(shop)
    lines = subprocess.run(
        [*BYLEAVE, "log", "show", "--json", "--limit", "1000"], capture_output=True, check=True, env=environ(shop)
    ).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    intended = {r["call"]: r["body"]["effects"][0]["target"] for r in records if r["kind"] == "intent"}
    done = {intended[r["call"]] for r in records if r["kind"] == "outcome" and r["body"]["status"] == "done"}
    there = {f"file://{path}" for path in (shop.project / "app").iterdir() if path.name.startswith("n")}
    assert there == done
    assert [path for path in shop.project.rglob("*") if "byleave" in path.name] == []


def test_a_client_that_closes_both_ends_mid_call_changes_nothing(shop: Shop) -> None:
    before = shop.picture()
    with running(shop, "--attended") as server:
        call_that_waits(server)
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdout.close()
        server.stdin.close()
        assert ends_within_a_second(server) == 0
    assert shop.picture() == before
    verified(shop)


def test_a_client_that_reads_no_more_has_hung_up(shop: Shop) -> None:
    with running(shop, "--headless") as server:
        assert server.stdout is not None
        server.stdout.close()
        call(server, 2, "gate_status")
        assert ends_within_a_second(server) == 0
    verified(shop)


def test_a_client_that_does_not_read_delays_no_signal(shop: Shop) -> None:
    (shop.project / "big.txt").write_text(("x" * 60 + "\n") * 300)
    with running(shop, "--headless") as server:
        for number in range(2, 40):  # 38 answers of some 20 kB: more than any pipe holds
            call(server, number, "files_read", path="big.txt")
        wait_for_records(shop, 30)
        server.send_signal(signal.SIGTERM)
        assert ends_within_a_second(server) == 0
    verified(shop)


def wait_for_records(shop: Shop, count: int) -> None:
    """Until the log has so many: then the answers are on their way."""
    deadline = time.monotonic() + 10
    connection = sqlite3.connect(f"file:{shop.state / 'log.db'}?mode=ro", uri=True)
    try:
        while connection.execute("SELECT count(*) FROM log").fetchone()[0] < count:
            assert time.monotonic() < deadline
    finally:
        connection.close()


def test_what_is_no_message_is_answered_and_the_conversation_goes_on(shop: Shop) -> None:
    with running(shop, "--headless") as server:
        assert server.stdin is not None
        server.stdin.write(b"\n  \nnot json\n[1]\n")
        server.stdin.write(b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "\\ud800"}}\n')
        server.stdin.write(b'{"jsonrpc": "1.0", "id": true}\n')
        server.stdin.flush()
        errors = [read(server) for _ in range(4)]
        call(server, 8, "files_read", path="app/cart.py")
        assert "TOTAL = 0" in read(server)["result"]["content"][0]["text"]
    assert [(error["id"], error["error"]["code"]) for error in errors] == [
        (None, -32700),
        (None, -32600),
        (7, -32600),
        (None, -32600),
    ]


def test_a_message_cut_anywhere_is_put_together(shop: Shop) -> None:
    with running(shop, "--headless") as server:
        assert server.stdin is not None
        text = "é" * 40_000
        params = {"name": "files_write", "arguments": {"path": "é.txt", "text": text}}
        line = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}, ensure_ascii=False)
        data = line.encode() + b"\n"
        for at in range(0, len(data), 4097):
            server.stdin.write(data[at : at + 4097])
            server.stdin.flush()
        assert read(server)["result"]["isError"] is False
    assert (shop.project / "é.txt").read_text() == text


def test_a_second_signal_ends_at_once_what_the_first_could_not(shop: Shop) -> None:
    stuck = """
import anyio, sys
from byleave.store.joining import JoinedStore
async def never(self):
    print("stuck", file=sys.stderr, flush=True)
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()
JoinedStore.aclose = never
from byleave.cli import main
main()
"""
    command = [sys.executable, "-P", "-c", stuck, *serve(shop, "--headless")[4:]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environ(shop)) as server:
        try:
            assert server.stdin is not None
            assert server.stderr is not None
            server.stdin.close()
            assert server.stderr.readline() == b"stuck\n"
            server.send_signal(signal.SIGTERM)
            server.send_signal(signal.SIGINT)
            assert ends_within_a_second(server) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        finally:
            server.kill()
    verified(shop)


def test_stdout_carries_only_the_protocol(shop: Shop) -> None:
    noisy = "import sys; print('stray'); import os; os.write(1, b'raw\\n'); os.system('echo child')"
    wrapper = f"""
import byleave.opening as opening
real = opening.open_checker
def loud(**given):
    {noisy}
    return real(**given)
opening.open_checker = loud
from byleave.cli import main
main()
"""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", wrapper, *serve(shop, "--headless")[4:]],
        input=json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode() + b"\n",
        capture_output=True,
        check=False,
        env=environ(shop),
        timeout=20,
    )
    assert ran.returncode == 0
    assert [json.loads(line)["id"] for line in ran.stdout.splitlines()] == [1]
    assert set(ran.stderr.split()) == {b"stray", b"raw", b"child"}


def test_messages_may_come_from_a_file(shop: Shop, tmp_path: Path) -> None:
    """`byleave serve < file`: a regular file cannot be waited for, only read. Its end ends what is under way."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    given = tmp_path / "messages"
    given.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n")
    with given.open() as stdin:
        ran = subprocess.run(
            serve(shop, "--headless"), stdin=stdin, capture_output=True, check=False, env=environ(shop), timeout=20
        )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["id"] == 1
    verified(shop)
