"""What lies under examples/ works as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from byleave.policy.load import load

ROOT = Path(__file__).parents[1]
POLICIES = sorted((ROOT / "examples" / "policies").glob("*.toml"))


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_loads_and_its_examples_hold(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", "sqlite:///shop.db")
    loaded = load(str(path), workspace=tmp_path, state_dir=None)
    assert loaded.policy.rule
    assert not loaded.notices


def check_policy(folder: Path, expected: Path) -> subprocess.CompletedProcess[str]:
    """The steps of examples/ci/policy.yml in a small shop."""
    byleave = folder / "byleave"
    byleave.write_text(f'#!/bin/sh\nexec {sys.executable} -P -c "from byleave.cli import main; main()" "$@"\n')
    byleave.chmod(0o755)
    shop = folder / "shop"
    shop.mkdir()
    (shop / "README.md").write_text("# shop\n")
    (shop / "byleave.toml").write_text((ROOT / "examples/policies/web-shop.toml").read_text())
    make = "import sqlite3; sqlite3.connect('shop.db').execute('CREATE TABLE orders (id, state)')"
    subprocess.run([sys.executable, "-c", make], cwd=shop, check=True)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "SHOP_DATABASE_URL": "sqlite:///shop.db"}
    subprocess.run(["byleave", "trust"], cwd=shop, env=env, check=True, capture_output=True)
    script = str(ROOT / "examples/ci/check_policy.py")
    command = [sys.executable, script, "byleave.toml", ".", str(expected)]
    return subprocess.run(command, cwd=shop, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_the_ci_recipe_passes_where_the_policy_answers_as_expected(tmp_path: Path) -> None:
    said = check_policy(tmp_path, ROOT / "examples/ci/expect.jsonl")
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.endswith("8 of 8 as expected\n")


def test_and_fails_where_it_does_not(tmp_path: Path) -> None:
    expected = tmp_path / "expect.jsonl"
    expected.write_text('{"expect": "allow", "tool": "files_read", "arguments": {"path": ".env"}}\n')
    said = check_policy(tmp_path, expected)
    assert said.returncode == 1
    assert "deny (workspace.hidden, look.allow), expected allow" in said.stdout
