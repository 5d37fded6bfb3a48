"""`examples/run`, the newcomer's one command: what it says where something is missing, and that it installs once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "cat", "cksum", "dirname", "sed", "mkdir")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the script needs of the tree, and a PATH on which nothing lies but a few tools of the system."""
    for name in ("pyproject.toml", "uv.lock", "examples/run"):
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path / "clone"


def program(clone: Path, name: str, script: str) -> None:
    path = clone.parent / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(clone.parent / "bin"), "HOME": str(clone.parent), "LC_ALL": "C"}
    command = [str(shutil.which("sh")), "examples/run", *words]
    return subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_without_python_it_says_what_to_install(clone: Path) -> None:
    said = run(clone, "demo")
    assert said.returncode == 1
    assert said.stderr.startswith("byleave: needs Python 3.11 or newer, found none\nhint: apt install python3 ")
    assert not (clone / ".venv").exists()


def test_an_old_python_is_named(clone: Path) -> None:
    program(clone, "python3", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    said = run(clone, "test")
    assert said.returncode == 1
    assert "needs Python 3.11 or newer, found Python 3.9.2" in said.stderr


def test_a_newer_python_beside_an_old_one_is_found(clone: Path) -> None:
    program(clone, "python3", "exit 1")
    program(clone, "python3.12", 'case "$2" in *ensurepip*) exit 1;; *version_info\\[:2\\]*) echo 3.12;; esac')
    said = run(clone, "demo")
    assert said.returncode == 1
    assert said.stderr.startswith("byleave: this Python has no venv\nhint: apt install python3")


def test_without_words_it_says_what_there_is(clone: Path) -> None:
    said = run(clone)
    assert said.returncode == 2
    assert "sh examples/run demo" in said.stderr
    assert "sh examples/run test" in said.stderr


def test_what_is_installed_is_not_installed_again(clone: Path) -> None:
    stamp = subprocess.run(
        "cat pyproject.toml uv.lock | cksum", shell=True, cwd=clone, capture_output=True, text=True, check=True
    )
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "byleave-installed").write_text(f"dev {stamp.stdout}")
    (clone / ".venv" / "bin" / "byleave").symlink_to(clone.parent / "bin" / "fake")
    program(clone, "fake", 'echo "ran $*"')
    said = run(clone, "demo", "--json")
    assert (said.returncode, said.stdout, said.stderr) == (0, "ran demo --json\n", "")


def test_a_changed_lock_installs_again(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / "byleave-installed").write_text("dev 1 1")
    program(clone, "uv", 'echo "uv $*" >&2; exit 3')
    said = run(clone, "test")
    assert said.returncode == 3
    assert (
        said.stderr == "byleave: installing into .venv with uv (once)\nuv sync --quiet --frozen --inexact --extra dev\n"
    )
    assert (clone / ".venv" / "byleave-installed").read_text() == "dev 1 1"


def test_the_lock_s_versions_become_pip_s_constraints(clone: Path) -> None:
    program(clone, "python3.13", f'exec {sys.executable} "$@"')
    fake = "import pathlib, sys; pathlib.Path('said.txt').write_text(' '.join(sys.argv[1:]))"
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -m ]; then exec {sys.executable} -c "{fake}" "$@"; fi\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    (clone / ".venv" / "bin" / "byleave").symlink_to("/bin/true")
    said = run(clone, "demo")
    assert said.returncode == 0, said.stderr
    constraints = (clone / ".venv" / "constraints.txt").read_text().splitlines()
    assert "aiosqlite==0.22.1" in constraints
    assert not [line for line in constraints if line.startswith("byleave==")]
    assert (clone / "said.txt").read_text().endswith("--constraint .venv/constraints.txt --editable .")
    assert os.access(clone / ".venv" / "byleave-installed", os.R_OK)
