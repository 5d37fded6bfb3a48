"""The presets say what the documented table says, and their rules hold together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from byleave.effects import Effect, Extent, Scheme, Target, Undo, Unit, Verb
from byleave.policy.explain import rule_in_words
from byleave.policy.judge import Verdict, judge
from byleave.policy.load import Source, parse, preset
from byleave.policy.values import PRESETS
from judging import DATABASES, GROUND, book, file, rows

EVERYDAY = DATABASES.replace("max_rows = 5", "max_rows = 500")


def verdict(name: str, effects: list[Effect], tool: str) -> str:
    return judge(book(f'extends = "{name}"\n{EVERYDAY}'), effects, tool=tool).verdict.word


def one(verb: Verb, scheme: Scheme, name: str) -> Effect:
    return Effect(verb, Target(scheme, name), Extent(Unit.FILES, 1), Undo.NONE)


CHANGES = [Verb.CREATE, Verb.UPDATE, Verb.CHMOD]
# (words, effects, tool, read-only, develop, operate, ci)
TABLE = [
    ("read a file", [file("read")], "files_read", "allow", "allow", "allow", "allow"),
    ("search files", [file("search", "src")], "files_search", "allow", "allow", "allow", "allow"),
    ("read rows", [rows("read", "shop/users")], "sql_query", "allow", "allow", "allow", "allow"),
    ("tell the gate's status", [one(Verb.READ, Scheme.GATE, "status")], "gate_status", *["allow"] * 4),
    *(
        (f"{v} files, undoable, up to 200", [file(v, amount=200)], "files_write", "deny", "allow", "ask", "allow")
        for v in CHANGES
    ),
    *(
        (f"{v} files, undoable, over 200", [file(v, amount=150), file(v, "b", 51)], "t", "deny", "ask", "ask", "deny")
        for v in (*CHANGES, Verb.DELETE)
    ),
    ("create, nothing lost", [file("create", undo=Undo.TRIVIAL)], "files_write", "deny", "allow", "ask", "allow"),
    ("delete files, undoable", [file("delete", amount=200)], "files_remove", "deny", "delay", "ask", "allow"),
    *(
        (f"{v} files, not undoable", [file(v, undo=Undo.NONE)], "files_write", "deny", "ask", "ask", "deny")
        for v in (*CHANGES, Verb.DELETE)
    ),
    ("of unknown extent", [file(amount=None)], "files_write", "deny", "ask", "ask", "deny"),
    ("to be measured", [file(amount=None, waits=True)], "files_write", "deny", "allow", "ask", "allow"),
    ("undo files", [file("restore", amount=300)], "gate_undo", "deny", "allow", "ask", "allow"),
    ("a git hook", [file("create", ".git/hooks/pre-commit")], "files_write", "deny", "ask", "ask", "deny"),
    ("delete an editor task", [file("delete", ".vscode/tasks.json")], "files_remove", "deny", "ask", "ask", "deny"),
    ("read a git hook", [file("read", ".git/hooks/pre-commit")], "files_read", *["allow"] * 4),
    ("a CI file", [file("update", ".github/workflows/ci.yml")], "files_write", "deny", "allow", "ask", "allow"),
    ("a hidden file", [file("read", ".env")], "files_read", *["deny"] * 4),
    ("a backup", [file("read", "/mnt/backups/x")], "files_read", *["deny"] * 4),
    ("run a program", [one(Verb.EXECUTE, Scheme.PROGRAM, "pytest")], "shell_run", *["allow"] * 4),
    ("rows of development", [rows("update", "dev/t", 500)], "sql_change", "deny", "allow", "ask", "allow"),
    ("insert there", [rows("create", "dev/t", 500, Undo.TRIVIAL)], "sql_change", "deny", "allow", "ask", "allow"),
    ("delete there", [rows("delete", "dev/t", 500)], "sql_change", "deny", "delay", "ask", "allow"),
    ("more rows there", [rows("update", "dev/t", 501)], "sql_change", "deny", "ask", "ask", "deny"),
    ("not undoable there", [rows("update", "dev/t", 1, Undo.NONE)], "sql_change", "deny", "ask", "ask", "deny"),
    ("rows of production", [rows("update", "shop/carts", 1)], "sql_change", "deny", "ask", "ask", "deny"),
    ("delete there", [rows("delete", "shop/carts", 1)], "sql_change", "deny", "ask", "ask", "deny"),
    ("an ungranted table", [rows("update", "shop/users", 1)], "sql_change", *["deny"] * 4),
    ("undo rows", [rows("restore", "dev/t", 1)], "gate_undo", "deny", "allow", "ask", "allow"),
    ("undo rows of production", [rows("restore", "shop/carts", 1)], "gate_undo", "deny", "ask", "ask", "deny"),
    ("structure by a statement", [rows("define", "dev/t", 1, Undo.NONE)], "sql_change", *["deny"] * 4),
    ("by a migration", [rows("define", "dev/t", 1, Undo.NONE)], "migration_apply", "deny", "delay", "ask", "deny"),
    ("send", [one(Verb.SEND, Scheme.HTTPS, "api.example.com/x")], "http_request", "deny", "ask", "ask", "deny"),
    ("connect", [one(Verb.CONNECT, Scheme.HTTPS, "api.example.com/")], "shell_run", "deny", "ask", "ask", "deny"),
    ("push", [one(Verb.PUBLISH, Scheme.GIT, "origin/main")], "git_push", "deny", "ask", "ask", "deny"),
    ("install", [one(Verb.INSTALL, Scheme.PKG, "pypi/requests@2")], "packages_add", "deny", "allow", "ask", "allow"),
    ("rights", [rows("grant", "dev/t", 1, Undo.NONE)], "sql_change", *["deny"] * 4),
]


@pytest.mark.parametrize(("at", "name"), list(enumerate(PRESETS)), ids=PRESETS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_the_table(row: tuple[str, list[Effect], str, str, str, str, str], at: int, name: str) -> None:
    assert verdict(name, row[1], row[2]) == row[3 + at]


def test_structure_changes_unwatched_only_on_a_database_that_may_be_thrown_away() -> None:
    text = 'extends = "ci"\n[databases.t]\nurl = "env:T"\nenvironment = "test"\n'
    define = [rows("define", "t/x", 1, Undo.NONE)]
    assert judge(book(text), define, tool="migration_apply").verdict is Verdict.ALLOW
    assert judge(book(text), define, tool="sql_change").verdict is Verdict.DENY


@pytest.mark.parametrize("name", PRESETS)
def test_every_verb_is_spoken_about_where_it_is_at_home(name: str) -> None:
    """A refusal by a preset says why, and what to do; `no rule speaks` is for what nobody thought of."""
    ready = book(f'extends = "{name}"\n{EVERYDAY}')
    homes = {Scheme.FILE: file, Scheme.SQL: rows}
    for verb in (Verb.READ, Verb.SEARCH, Verb.CREATE, Verb.UPDATE, Verb.DELETE, Verb.RESTORE):
        for undo in Undo:
            for make in homes.values():
                effects = [make(verb, undo=undo)]
                assert "judge.unmatched" not in [r.rule for r in judge(ready, effects, tool="t").reasons]


@pytest.mark.parametrize("name", PRESETS)
def test_every_rule_has_examples_and_every_refusal_a_hint(name: str) -> None:
    for rule in parse(preset(name)).rule:
        assert rule.matches, rule.id
        assert rule.hint or rule.verdict in (Verdict.ALLOW, Verdict.DELAY), rule.id
        assert not rule.because.endswith("."), rule.id
        assert rule_in_words(rule)


def test_all_presets_hide_the_same() -> None:
    assert len({parse(preset(name)).workspace.hidden for name in PRESETS}) == 1


def test_only_ci_says_that_nobody_is_there() -> None:
    assert {name: parse(preset(name)).approvals.headless for name in PRESETS} == {
        "read-only": None, "develop": None, "operate": None, "ci": True,
    }  # fmt: skip


def test_presets_are_plain_policy_files() -> None:
    """Whoever copies one has the same policy: nothing hangs on its name."""
    effects = [case[1] for case in TABLE]
    for name in PRESETS:
        text = preset(name).text
        own = judge_all(text + EVERYDAY, effects)
        assert own == judge_all(f'extends = "{name}"\n{EVERYDAY}', effects)


def judge_all(text: str, plans: list[list[Effect]]) -> list[object]:
    ready = book(text, GROUND)
    return [judge(ready, plan, tool="sql_change") for plan in plans]


def test_presets_are_in_the_package_beside_the_code() -> None:
    folder = Path(__file__).parents[1] / "server" / "byleave" / "policy" / "presets"
    assert sorted(path.stem for path in folder.glob("*.toml")) == sorted(PRESETS)
    assert re.fullmatch(r"preset (read-only|develop|operate|ci)", preset("ci").name)
    assert parse(Source("x", 'extends = "ci"')).rule == parse(preset("ci")).rule
