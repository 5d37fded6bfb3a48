"""The shape of the code, held by tests: who may import what, who may act, what a reader may rely on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from byleave.capability import Word

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "server" / "byleave"
CAPABILITIES = ROOT / "capabilities" / "byleave_capabilities"
MODULES = sorted([*SERVER.rglob("*.py"), *CAPABILITIES.rglob("*.py")])

#: What reaches the machine below Python: processes, sockets, databases, foreign code.
OS_LEVEL = {
    "subprocess", "multiprocessing", "pty", "socket", "socketserver", "ssl",
    "http.client", "http.server", "urllib.request",
    "sqlite3", "aiosqlite", "apsw", "psycopg", "asyncmy", "ctypes", "mmap", "fcntl",
}  # fmt: skip

#: Who else may, and why. A line that is no longer needed fails.
OS_LEVEL_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("demo/gated.py", "subprocess"): "the type of what it gets back from a command that it runs",
    ("demo/raw.py", "sqlite3"): "the run without the gate: what a raw tool would do",
    ("opening.py", "sqlite3"): "names SQLite's version in the session's first record",
    ("demo/world.py", "sqlite3"): "builds the demo's shop, and counts it from outside the gate",
}

#: Modules that compute and nothing else: no disk, no clock, no chance, no environment.
PURE = [
    "effects.py", "capability.py", "store/entry.py", "hands/stage.py",
    "policy/judge.py", "policy/floor.py", "policy/hiding.py", "rails/rate.py", "rails/budget.py",
]  # fmt: skip
IMPURE = OS_LEVEL | {
    "os",
    "io",
    "pathlib",
    "shutil",
    "tempfile",
    "glob",
    "time",
    "datetime",
    "random",
    "secrets",
    "anyio",
    "asyncio",
}

#: All that a capability may import: words, the contract, and modules of the standard library that only compute.
CAPABILITY_MAY = {
    "__future__", "typing", "collections", "dataclasses", "enum", "re", "difflib", "hashlib", "json", "math", "codecs",
    "itertools", "functools", "fnmatch", "string", "textwrap", "unicodedata", "base64", "decimal", "posixpath",
    "pydantic", "byleave.effects", "byleave.capability", "byleave_capabilities",
}  # fmt: skip
CAPABILITY_MAY_NOT_CALL = {"open", "exec", "eval", "compile", "__import__", "input", "breakpoint", "globals", "vars"}


def name_of(module: Path) -> str:
    return module.relative_to(SERVER if module.is_relative_to(SERVER) else CAPABILITIES.parent).as_posix()


def imports(module: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too, by its full name."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield node.module or ""


def called_names(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield "." + node.func.attr


def test_perform_has_one_call_site() -> None:
    sites = [name_of(module) for module in MODULES for name in called_names(module) if name == ".perform"]
    assert len(sites) == 1, sites


@pytest.mark.parametrize("module", sorted(CAPABILITIES.rglob("*.py")), ids=name_of)
def test_a_capability_imports_only_words_and_contract(module: Path) -> None:
    strange = {
        name for name in imports(module) if name not in CAPABILITY_MAY and name.split(".")[0] not in CAPABILITY_MAY
    }
    assert not strange


@pytest.mark.parametrize("module", sorted(CAPABILITIES.rglob("*.py")), ids=name_of)
def test_a_capability_opens_and_evaluates_nothing(module: Path) -> None:
    assert not CAPABILITY_MAY_NOT_CALL.intersection(called_names(module))


def test_only_hands_and_store_reach_below_python() -> None:
    found = {
        (name_of(module), name)
        for module in MODULES
        if not name_of(module).startswith(("hands/", "store/"))
        for name in imports(module)
        if name in OS_LEVEL or name.split(".")[0] in OS_LEVEL
    }
    assert found == set(OS_LEVEL_EXCEPTIONS)


@pytest.mark.parametrize("name", PURE)
def test_what_judges_reads_no_disk_and_no_clock(name: str) -> None:
    found = set(imports(SERVER / name))
    assert not (found | {imported.split(".")[0] for imported in found}) & IMPURE


def test_imports_point_down() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_long_module_says_why(module: Path) -> None:
    lines = module.read_text().splitlines()
    assert len(lines) <= 300 or any(line.startswith("# long: ") for line in lines[:40])


def test_the_words_of_a_refusal_are_a_closed_list() -> None:
    assert [word.value for word in Word] == [
        "denied", "approval_pending", "approval_refused", "rate_limited", "budget_exhausted", "halted",
        "invalid_arguments", "not_found", "conflict", "timed_out", "failed",
    ]  # fmt: skip


def test_every_refusal_begins_with_a_word_of_the_list() -> None:
    """The first argument of `Refused(...)` is a member of `Word`, or a value that already has the type."""
    wrong = [
        f"{name_of(module)}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused"
        if not node.args or isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    ]
    assert not wrong


def test_modules_are_named_after_things() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "base", "common", "core", "misc"}
    assert not [name_of(module) for module in MODULES if vague & {module.stem, *module.parent.parts}]


def test_nothing_is_promised_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|(?i:not (built|implemented) yet|not yet (built|implemented))")
    assert not [name_of(module) for module in MODULES if marks.search(module.read_text())]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_on_its_authors_machine() -> None:
    place = re.compile(rb"(?<![\w.~}>-])/(work|opt/\w\w|root/\.pyenv)/|/\." + rb"library\b")
    here = Path(__file__)
    assert not [str(path) for path in tracked() if path != here and place.search(path.read_bytes())]


def test_the_lock_names_only_the_public_index() -> None:
    hosts = set(re.findall(r"(?:https?|file)://[^/\"]*", (ROOT / "uv.lock").read_text()))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}
    assert '"resolved"' not in (ROOT / "tests/e2e/package-lock.json").read_text()


def test_the_licence_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
