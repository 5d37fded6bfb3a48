"""Every block of the README is true: commands run, policies load, entries start, the transcript is the demo's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from byleave.answers import HEAD_SHOWN
from byleave.policy.floor import BACKUPS
from byleave.policy.load import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Where `byleave` is this very one, and state and home are scratch folders."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "byleave"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -c "from byleave.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    return {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BYLEAVE_STATE_DIR": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path),
        "NO_COLOR": "1",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("print('hello')\n")
    return folder


def test_there_is_no_block_that_nobody_looks_at() -> None:
    assert {kind for kind, _ in BLOCKS} == {"sh", "text", "json", "toml"}
    assert [len(blocks(kind)) for kind in ("sh", "text", "json", "toml")] == [3, 2, 1, 1]


def test_the_newcomer_s_two_commands_are_those_that_ci_runs() -> None:
    first, second = blocks("sh")[0].splitlines()
    assert first == "sh examples/run demo"
    assert second == (ROOT / ".ci" / "run").read_text().splitlines()[-1]


@pytest.mark.anyio
async def test_the_commands_run_as_they_stand(project: Path, env: dict[str, str]) -> None:
    set_up, work = blocks("sh")[1:]
    run_lines(set_up, project, env)
    await tools_of(blocks("json")[0], project, env)  # a client has been here
    run_lines(work, project, env)


def run_lines(block: str, project: Path, env: dict[str, str]) -> None:
    for line in block.splitlines():
        said = subprocess.run(line, shell=True, cwd=project, env=env, capture_output=True, text=True, check=False)
        assert said.returncode == 0, f"{line}: {said.stdout}{said.stderr}"


async def tools_of(text: str, project: Path, env: dict[str, str]) -> list[str]:
    """Start the server of a client's entry, and list its tools."""
    entry = json.loads(text)["mcpServers"]["byleave"]
    args = [word.replace("/path/to/your/project", str(project)) for word in entry["args"]]
    command = str(Path(env["PATH"].split(":")[0]) / entry["command"])
    server = StdioServerParameters(command=command, args=args, env=env, cwd=project)
    with anyio.fail_after(30):
        async with Client(stdio_client(server)) as client:
            return [tool.name for tool in (await client.list_tools()).tools]


def test_the_policy_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", "sqlite:///shop.db")
    path = tmp_path / "policy.toml"
    path.write_text(blocks("toml")[0])
    (tmp_path / "project").mkdir()
    assert load(str(path), workspace=tmp_path / "project", state_dir=None).policy.rule[-1].id == "shop.invoices"


@pytest.mark.anyio
async def test_the_client_s_entry_starts_a_server(project: Path, env: dict[str, str]) -> None:
    names = await tools_of(blocks("json")[0], project, env)
    assert "files_read" in names
    assert "sql_query" not in names  # no database is named, so none is offered


def test_the_refusal_is_one_that_the_gate_gives() -> None:
    first, second, last = blocks("text")[1].splitlines()
    assert first == f"denied: rule `{BACKUPS.rule}`: {BACKUPS.because}"
    assert second == f"hint: nothing was done. {BACKUPS.hint}"
    assert re.fullmatch(rf"receipt r-[a-z2-7]{{10}} · log \d+:[0-9a-f]{{{HEAD_SHOWN}}}", last)


def steady(text: str) -> str:
    """A transcript without what differs from run to run."""
    for varies, stands in (
        (r"r-[a-z2-7]{10}", "r-…"),
        (r"\b\d+:[0-9a-f]{8,}", "…"),
        (r"\brecords? \d+|\b\d+ records", "record …"),
        (r"\b[0-9a-f]{12,}\b", "…"),
        (r"\d+\.\d s\b", "… s"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?Z?", "…"),
    ):
        text = re.sub(varies, stands, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_the_transcript_is_what_the_demo_prints(env: dict[str, str], tmp_path: Path) -> None:
    """Word for word, piece by piece; a line `[…]` stands for what is left out."""
    command = f"{env['PATH'].split(':')[0]}/byleave"
    said = subprocess.run(
        [command, "demo"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 0, said.stderr
    rest = steady(said.stdout)
    for piece in steady(blocks("text")[0]).split("[…]"):
        assert piece.strip("\n") in rest
        rest = rest.split(piece.strip("\n"), 1)[1]
