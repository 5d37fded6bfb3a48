"""The command line as a whole: its page, its exit codes, its endings, and that it starts fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from byleave.cli import COMMANDS, main
from byleave.cli.ending import MEANING, Code
from cli_page import page

ROOT = Path(__file__).parents[1]


def run(*words: str, **more: str) -> Result:
    return CliRunner().invoke(main, words, env=more, prog_name="byleave")


def test_the_page_is_what_the_commands_say() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == page(), "run: python tests/cli_page.py > docs/cli.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_in_the_list_begins_the_command_s_own_help(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name].summary


def test_every_exit_code_has_one_meaning() -> None:
    assert list(MEANING) == list(Code)
    assert len(set(MEANING.values())) == len(Code)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["serve"], ["serve", "--help"], ["completion", "bash"]])
def test_help_and_a_refused_start_import_next_to_nothing(words: list[str]) -> None:
    script = f"""
import sys
from byleave.cli import main
try:
    main({words!r})
except SystemExit:
    pass
heavy = {{"mcp", "mcp_types", "pydantic", "anyio", "sqlglot", "apsw", "rich"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_wrong_word_is_answered_with_the_nearest() -> None:
    said = run("chekc")
    assert said.exit_code == Code.USAGE
    assert "there is no command `chekc`: did you mean `check`?" in said.output


@pytest.mark.parametrize(("typed", "found"), [("", list(COMMANDS)), ("p", ["policy", "pending"]), ("zz", [])])
def test_commands_are_completed(typed: str, found: list[str]) -> None:
    said = run(_BYLEAVE_COMPLETE="bash_complete", COMP_WORDS=f"byleave {typed}", COMP_CWORD="1")
    assert said.output.split() == [f"plain,{name}" for name in found]


def test_options_of_a_command_are_completed() -> None:
    said = run(_BYLEAVE_COMPLETE="bash_complete", COMP_WORDS="byleave check --ba", COMP_CWORD="2")
    assert said.output.split() == ["plain,--batch"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_this_command(shell: str) -> None:
    said = run("completion", shell)
    assert said.exit_code == 0
    assert "_BYLEAVE_COMPLETE" in said.output


# --- serve, where it refuses -----------------------------------------------------------------------------------------


def refused(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from byleave.cli import main; main()", "serve", *words]
    env = {"HOME": str(tmp_path / "home"), "BYLEAVE_STATE_DIR": str(tmp_path / "state"), "PATH": "/usr/bin:/bin"}
    (tmp_path / "home").mkdir(exist_ok=True)
    return subprocess.run(command, input="", env=env, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "no workspace was named", id="none"),
        pytest.param(["--workspace", ""], "no workspace was named", id="empty"),
        pytest.param(["--workspace", "/"], "the workspace `/` is the whole disk", id="the whole disk"),
        pytest.param(["--workspace", "~"], "the workspace `~` is a home directory", id="the home directory"),
        pytest.param(["--workspace", "/etc"], "the workspace `/etc` is the machine's own", id="the machine's own"),
        pytest.param(["--workspace", "/usr"], "the workspace `/usr` is the machine's own", id="holds such a folder"),
        pytest.param(["--workspace", "/no/such/place"], "the workspace `/no/such/place` does not exist", id="nowhere"),
        pytest.param(["--workspace", "${workspaceFolder}"], "the client did not fill in the variable", id="unfilled"),
    ],
)
def test_without_a_sensible_workspace_it_refuses_and_prints_the_entry(
    tmp_path: Path, words: list[str], said: str
) -> None:
    ran = refused(tmp_path, *words)
    assert ran.returncode == Code.WORKSPACE
    assert ran.stdout == ""
    assert said in ran.stderr
    for line in ('"args": ["serve", "--workspace", "${workspaceFolder}"]', ".mcp.json", "claude_desktop_config.json"):
        assert line in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_with_a_standard_descriptor_closed_it_does_not_start(tmp_path: Path, closed: str) -> None:
    command = f"exec {sys.executable} -P -c 'from byleave.cli import main; main()' serve --workspace . {closed}"
    env = {"HOME": str(tmp_path / "home"), "BYLEAVE_STATE_DIR": str(tmp_path / "state"), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(command, shell=True, cwd=tmp_path, env=env, capture_output=True, check=False, timeout=30)
    assert ran.returncode == Code.USAGE
    assert ran.stderr.startswith(b"byleave: standard input, output or error is closed\n")
    assert not (tmp_path / "state").exists()


def test_a_policy_that_cannot_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "p.toml").write_text('extends = "develop"\nallow_everything = true\n')
    ran = refused(tmp_path, "--workspace", str(tmp_path / "project"), "--policy", str(tmp_path / "p.toml"))
    assert ran.returncode == Code.POLICY
    assert ran.stderr.startswith(f"byleave: {tmp_path}/p.toml:2: allow_everything: unknown key")
    assert ran.stdout == ""


def test_a_state_directory_in_the_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    place = tmp_path / "project" / "state"
    ran = refused(tmp_path, "--workspace", str(tmp_path / "project"), "--state-dir", str(place))
    assert ran.returncode == Code.STORE
    assert "is inside the workspace, where the agent writes" in ran.stderr
    assert not place.exists()
