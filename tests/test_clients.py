"""The entries under examples/clients, read and started as each client would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from byleave.doctor import Kind
from byleave.doctor.clients import clients

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / "examples" / "clients"
FILES = ["files_read", "files_search", "files_write", "files_edit", "files_move", "files_remove"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "README.md").write_text("# A project\n")
    return tmp_path / "project"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and a PATH whose `byleave` is this code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder / "byleave", f'exec {sys.executable} -P -c "from byleave.cli import main; main()" "$@"')
    path = f"{folder}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "BYLEAVE_STATE_DIR": str(tmp_path / "state")}


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def filled_in(word: str, known: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}` as Cursor and Claude Code replace them; the rest is left as it is."""
    return re.sub(
        r"\$\{(?P<name>\w+)(:-(?P<default>[^}]*))?\}", lambda m: known.get(m["name"], m["default"] or m[0]), word
    )


def server(
    entry: Mapping[str, Any], known: Mapping[str, str], *, env: dict[str, str], cwd: Path
) -> StdioServerParameters:
    args = [filled_in(word, known).replace("/path/to/your/project", known["project"]) for word in entry["args"]]
    command = shutil.which(entry["command"], path=env["PATH"])
    assert command is not None
    return StdioServerParameters(command=command, args=args, env=env, cwd=cwd)


async def listed(started: StdioServerParameters) -> list[str]:
    with anyio.fail_after(30):
        async with Client(started) as client:
            return [tool.name for tool in (await client.list_tools()).tools]


def entry_of(name: str) -> Mapping[str, Any]:
    path = CLIENTS / name
    if path.suffix == ".toml":
        return tomllib.loads(path.read_text())["mcp_servers"]["byleave"]
    return json.loads(path.read_text())["mcpServers"]["byleave"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "variable"),
    [
        pytest.param("cursor/.cursor/mcp.json", "workspaceFolder", id="Cursor"),
        pytest.param("claude-code/.mcp.json", "CLAUDE_PROJECT_DIR", id="Claude Code"),
        pytest.param("claude-desktop/claude_desktop_config.json", "", id="Claude Desktop"),
        pytest.param("codex/.codex/config.toml", "", id="Codex"),
        pytest.param("ci/mcp.json", "GITHUB_WORKSPACE", id="CI"),
    ],
)
async def test_an_entry_starts_the_gate(name: str, variable: str, project: Path, env: dict[str, str]) -> None:
    known = {"project": str(project), variable: str(project)}
    assert await listed(server(entry_of(name), known, env=env, cwd=project.parent)) == [
        *FILES,
        "gate_status",
        "gate_undo",
    ]


@pytest.mark.anyio
async def test_claude_code_s_entry_works_without_the_variable(project: Path, env: dict[str, str]) -> None:
    started = server(entry_of("claude-code/.mcp.json"), {"project": str(project)}, env=env, cwd=project)
    assert started.args[-1] == "."
    assert await listed(started) == [*FILES, "gate_status", "gate_undo"]


@pytest.fixture
def clone(tmp_path: Path, env: dict[str, str]) -> Path:
    """What `examples/run` needs of a clone in which everything is installed."""
    place = tmp_path / "clone"
    for name in ("pyproject.toml", "uv.lock", "examples/run"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    stamp = subprocess.run("cat pyproject.toml uv.lock | cksum", shell=True, cwd=place, capture_output=True, check=True)
    (place / ".venv" / "bin").mkdir(parents=True)
    (place / ".venv" / "byleave-installed").write_bytes(b"dev " + stamp.stdout)
    shutil.copy(env["PATH"].split(":")[0] + "/byleave", place / ".venv" / "bin" / "byleave")
    return place


@pytest.mark.anyio
async def test_the_entry_at_the_top_starts_the_gate_from_a_clone(clone: Path, env: dict[str, str]) -> None:
    entry = json.loads((ROOT / "mcp.json").read_text())["mcpServers"]["byleave"]
    started = server(entry, {"project": ""}, env=env, cwd=clone)
    assert await listed(started) == [*FILES, "gate_status", "gate_undo"]


def test_cursor_s_hook_refuses_and_names_the_tools_instead() -> None:
    hooks = json.loads((CLIENTS / "cursor/.cursor/hooks.json").read_text())["hooks"]
    for hook in [*hooks["preToolUse"], *hooks["beforeShellExecution"]]:
        assert hook["failClosed"] is True
        ran = subprocess.run(
            hook["command"], shell=True, cwd=CLIENTS / "cursor", input="{}", capture_output=True, text=True, check=True
        )
        said = json.loads(ran.stdout)
        assert said["permission"] == "deny"
        assert [tool for tool in FILES if tool not in said["agent_message"]] == []


@pytest.mark.parametrize("folder", ["cursor", "claude-code", "codex"])
def test_the_doctor_finds_no_raw_tool_left(folder: str, tmp_path: Path) -> None:
    shutil.copytree(CLIENTS / folder, tmp_path / "project")
    found = [finding.kind for finding in clients(tmp_path / "project", tmp_path / "home")]
    assert found == []


def test_the_doctor_finds_the_raw_tools_of_an_entry_alone(tmp_path: Path) -> None:
    shutil.copy(CLIENTS / "claude-code/.mcp.json", tmp_path)
    (found,) = clients(tmp_path, tmp_path / "home")
    assert found.kind is Kind.RAW_TOOLS
    assert "Claude Code keeps Bash, Edit, Write" in found.what


# --- the headless job ------------------------------------------------------------------------------------------------

#: Stands for `claude -p`: does with its arguments what Claude Code does, with one call in place of a model.
AGENT = """
import json, os, re, sys
import anyio
from mcp import Client, StdioServerParameters

options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert sys.argv[1] == "-p" and "--strict-mcp-config" in sys.argv, sys.argv
assert sys.argv[sys.argv.index("--tools") + 1] == "", "its own tools are off"
entry = json.load(open(sys.argv[sys.argv.index("--mcp-config") + 1]))["mcpServers"]["byleave"]
fill = lambda m: os.environ.get(m[1]) or m[3]
args = [re.sub(r"[$][{](\\w+)(:-([^}]*))?[}]", fill, word) for word in entry["args"]]

async def main():
    async with Client(StdioServerParameters(command=entry["command"], args=args, env=dict(os.environ))) as client:
        for call in ("files_write", {"path": "fix.py", "text": "FIXED = 1\\n"}), ("files_read", {"path": ".env"}):
            print((await client.call_tool(*call)).content[0].text)

anyio.run(main)
"""


def agent(tmp_path: Path, project: Path, env: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "agent.py").write_text(AGENT)
    program(tmp_path / "bin" / "claude", f'exec {sys.executable} {tmp_path / "agent.py"} "$@"')
    job = (CLIENTS / "ci/agent.yml").read_text()
    (command,) = re.findall(r"run: (sh examples/clients/ci/agent\.sh .*)", job)
    return subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env={**env, "GITHUB_WORKSPACE": str(project), "CI": "true", **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_headless_job_lets_the_agent_work_and_verifies_the_log(
    tmp_path: Path, project: Path, env: dict[str, str]
) -> None:
    (project / ".env").write_text("KEY=sk_live_123\n")
    said = agent(tmp_path, project, env)
    assert said.returncode == 0, said.stdout + said.stderr
    assert (project / "fix.py").read_text() == "FIXED = 1\n"
    assert "denied: rule `workspace.hidden`" in said.stdout
    assert "sk_live_123" not in said.stdout
    assert said.stdout.splitlines()[-1] == "sound"


def test_no_agent_starts_under_a_policy_that_allows_too_much(
    tmp_path: Path, project: Path, env: dict[str, str]
) -> None:
    policy = tmp_path / "loose.toml"
    policy.write_text('extends = "ci"\ndrop = ["files.runs-later"]\n')
    said = agent(tmp_path, project, env, BYLEAVE_POLICY=str(policy))
    assert said.returncode == 1
    assert ".git/hooks/pre-commit" in said.stderr
    assert not (project / "fix.py").exists()
