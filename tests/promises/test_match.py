"""SECURITY.md and these files say the same: every promise has its test file, every test that it names is there."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from byleave.policy.trust import trust
from shop import Shop, call, gate_over

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "SECURITY.md").read_text()


def test_every_promise_has_a_file_of_tests_and_every_file_a_promise() -> None:
    promised = [int(number) for number in re.findall(r"^- \*\*P(\d+)\*\*", SECURITY, re.MULTILINE)]
    tested = sorted(int(path.name[6:8]) for path in Path(__file__).parent.glob("test_P*.py"))
    assert promised == list(range(1, len(promised) + 1))
    assert tested == promised


def test_every_test_that_the_table_of_failures_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)
    assert named
    missing = [f"{path}::{name}" for path, name in named if name not in functions(ROOT / path)]
    assert not missing


def functions(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.anyio
async def test_every_file_of_the_state_directory_is_in_the_table(shop: Shop) -> None:
    policy = shop.project / "byleave.toml"
    policy.write_text('extends = "develop"\n')
    trust(shop.state, policy, policy.read_text())
    async with gate_over(shop, '[approvals]\nwait = "0s"\n', headless=False) as gate:
        (shop.project / "large.bin").write_bytes(bytes(1 << 20))
        await call(gate, "files_remove", path="large.bin")
        await call(gate, "files_write", path=".mcp.json", text="{}\n")  # parked: it waits for a person
        kept = {path.relative_to(shop.state).as_posix() for path in shop.state.rglob("*") if not path.is_dir()}
    table = SECURITY[SECURITY.index("## The files that are kept") : SECURITY.index("## Known failures")]
    patterns = [
        pattern
        for row in table.splitlines()
        for pattern in re.findall(r"`([^`]+)`", row.split("|")[1] if "|" in row else "")
    ]
    assert "log.db-wal" in kept
    assert not {
        name
        for name in kept
        if not any(fnmatch(name, pattern.rstrip("/") + ("/*" if pattern.endswith("/") else "")) for pattern in patterns)
    }
