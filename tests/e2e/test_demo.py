"""The demo, as a newcomer runs it: both worlds are looked at, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from anybody import DROP, python_for_anybody

COMMAND = [sys.executable, "-P", "-c", "from byleave.cli import main; main()", "demo"]


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder)}
    env.pop("BYLEAVE_STATE_DIR", None)
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, check=False, env=env, cwd=folder, timeout=60
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo")
    start = time.monotonic()
    said = demo(folder, "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    return {**json.loads(said.stdout), "took": time.monotonic() - start, "left": os.listdir(folder)}


def test_without_the_gate_everything_is_lost(told: dict[str, Any]) -> None:
    assert told["without"] == {
        "files": 12,
        "invoices": 0,
        "images": 0,
        "cache": 0,
        "customers": 0,
        "orders": 0,
        "backups": 0,
        "policy_as_written": False,
        "keys_shown": 1,
        "log_lines": None,
    }


def test_with_it_only_the_task_is_done(told: dict[str, Any]) -> None:
    kept = ("images", "customers", "orders", "backups", "policy_as_written")
    assert {name: told["with"][name] for name in kept} == {name: told["before"][name] for name in kept}
    assert told["with"]["cache"] == 0
    assert told["with"]["keys_shown"] == 0


def test_the_unwanted_change_that_was_allowed_is_undone(told: dict[str, Any]) -> None:
    assert (told["before"]["invoices"], told["with"]["invoices"], told["after_undo"]["invoices"]) == (120, 0, 120)
    assert told["undo"]["refused"] is False


def test_every_slip_but_the_undoable_one_is_refused_in_words(told: dict[str, Any]) -> None:
    for number, step in enumerate(told["steps"]):
        assert step["refused"] is (bool(step["slip"]) and number != 2), step
        if step["refused"]:
            assert step["with"].split(":")[0] in {"denied", "not_found"}
            assert "\nhint: " in step["with"]
            assert step["with"].splitlines()[-1].startswith("receipt r-")


def test_its_log_verifies(told: dict[str, Any]) -> None:
    assert told["log"]["verified"] is True


def test_it_takes_less_than_fifteen_seconds_and_leaves_nothing(told: dict[str, Any]) -> None:
    assert told["took"] < 15
    assert told["left"] == []


def test_into_a_pipe_it_is_plain_text(tmp_path: Path) -> None:
    said = demo(tmp_path)
    assert said.returncode == 0, said.stderr
    assert "\x1b" not in said.stdout
    assert "without the gate" in said.stdout
    assert str(tmp_path) not in said.stdout


def test_with_keep_it_says_where_everything_is(tmp_path: Path) -> None:
    said = demo(tmp_path, "--keep")
    (kept,) = tmp_path.glob("byleave-demo-*")
    assert f"kept: {kept}" in said.stderr
    assert (kept / "with" / "srv" / "shop" / "README.md").exists()
    assert not (kept / "without" / "mnt" / "backups").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="this user is already one without rights")
def test_anybody_can_run_it() -> None:
    with tempfile.TemporaryDirectory(prefix="byleave-anybody-") as name:
        folder, home = Path(name), Path(name) / "home"
        folder.chmod(0o755)
        home.mkdir()
        os.chown(home, 65534, 65534)
        python = python_for_anybody(folder)
        if python is None:
            pytest.skip("this Python lies where nobody else may read it")
        env = {"TMPDIR": str(home), "HOME": str(home), "PATH": os.environ["PATH"]}
        command = [*DROP, str(python), *COMMAND[1:], "--json"]
        said = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=home, timeout=60)
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout)["after_undo"]["invoices"] == 120
        assert os.listdir(home) == []
