"""SECURITY.md and these files say the same: every promise has its test file, every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

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
