"""Loading a policy: everything that can be wrong with one is said with file, line and key."""
# ruff: noqa: E501 (a case of these tables is one line)

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from byleave.effects import Effect, Verb
from byleave.policy.judge import judge
from byleave.policy.lines import line_for, lines_of
from byleave.policy.load import SIZE_LIMIT, PolicyError, Source, load, parse, sqlite_file
from byleave.policy.values import Environment, Schema
from byleave.rails.rate import Rate
from judging import file, rule

GOOD_RULE = rule('verb = "read"', "allow")


def error(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(Source("p.toml", text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


WRONG = [
    pytest.param("a =", "p.toml:1: not TOML: invalid value", id="no TOML"),
    pytest.param("\n\nx = [1,\n", "p.toml:4: not TOML: ", id="no TOML to the end"),
    pytest.param("a = 1\na = 2", "p.toml:2: not TOML: ", id="a key twice"),
    pytest.param("\nextendz = 'develop'", "p.toml:2: extendz: unknown key: did you mean `extends`?", id="unknown key"),
    pytest.param("[workspace]\nhiden = []", "p.toml:2: workspace.hiden: unknown key: did you mean `hidden`?", id="below"),
    pytest.param("[shell]\ntimeout = '1m'", "p.toml:1: shell: unknown key (known: extends, drop,", id="not there yet"),
    pytest.param("extends = 'devlop'", "p.toml:1: extends: ", id="no such preset"),
    pytest.param("drop = ['files.change']", "p.toml:1: drop: there is no preset to drop rules of", id="nothing to drop"),
    pytest.param(
        "extends = 'develop'\ndrop = [\n 'files.change',\n 'files.chang']",
        "p.toml:4: drop[2]: `files.chang` is no rule of the preset `develop`: did you mean `files.change`?",
        id="no such rule to drop",
    ),
    pytest.param("[limits]\nrate = '60/min'", "p.toml:2: limits.rate: `60/min` is no rate: write for example", id="rate"),
    pytest.param("[limits]\nrate = 60", "p.toml:2: limits.rate: `60` is no rate", id="rate without a period"),
    pytest.param("[limits]\nsession = { calls = -1 }", "p.toml:2: limits.session.calls: ", id="less than nothing"),
    pytest.param("[limits]\nsession = { calls = '9' }", "p.toml:2: limits.session.calls: ", id="a text for a number"),
    pytest.param("[limits]\nsession = { calls = true }", "p.toml:2: limits.session.calls: ", id="a yes for a number"),
    pytest.param("[limits.session]\nusd = 5.0", "p.toml:2: limits.session.usd: unknown key", id="money"),
    pytest.param("[approvals]\nwait = '5 minutes'", "p.toml:2: approvals.wait: `5 minutes` is no duration", id="duration"),
    pytest.param("[approvals]\nwait = 5", "p.toml:2: approvals.wait: `5` is no duration", id="a number for a duration"),
    pytest.param("[approvals]\nheadless = 'yes'", "p.toml:2: approvals.headless: ", id="a text for a yes"),
    pytest.param("[workspace]\nhidden = [\n'a',\n'']", "p.toml:2: workspace.hidden: `` hides nothing", id="pattern"),
    pytest.param("[backups]\nprotect = ['backups']", "p.toml:2: backups.protect: `backups` is not absolute", id="backups"),
    pytest.param("[databases.a]\nurl = ''", "p.toml:2: databases.a.url: write one line", id="no url"),
    pytest.param("[databases.a]\nwrite = ['x']", "p.toml:1: databases.a.url: this key is missing", id="url is missing"),
    pytest.param("[databases.A]\nurl = 'env:A'", "p.toml:1: `A` is no name for a database", id="a database's name"),
    pytest.param(
        "[databases.a]\nurl = 'env:A'\nenvironment = 'prod'",
        "p.toml:3: databases.a.environment: `prod` is none of: development, test, staging, production",
        id="environment",
    ),
    pytest.param("[databases.a]\nurl = 'env:A'\nschema = 'no'", "p.toml:3: databases.a.schema: `no` is none of", id="schema"),
    pytest.param("[[rule]]\nid = 'x.y'", "p.toml:1: rule[1].", id="half a rule"),
    pytest.param("\n" + GOOD_RULE + GOOD_RULE, "p.toml:9: rule[2].id: `test.rule` is the id of the rule in line 3", id="twice"),
    pytest.param(GOOD_RULE.replace("test.rule", "x"), "p.toml:2: rule[1].id: `x` is no rule id", id="no dot in the id"),
    pytest.param(GOOD_RULE.replace("test.rule", "X.Y"), "p.toml:2: rule[1].id: `X.Y` is no rule id", id="capitals in it"),
    pytest.param(GOOD_RULE.replace("test", "floor"), "p.toml:2: rule[1].id: `floor.rule` begins with", id="the gate's own"),
    pytest.param(GOOD_RULE.replace("allow", "permit"), "p.toml:4: rule[1].verdict: `permit` is none of: allow", id="verdict"),
    pytest.param(GOOD_RULE.replace('"read"', '"look"'), "p.toml:3: rule[1].when.verb: `look` is none of: read,", id="verb"),
    pytest.param(GOOD_RULE.replace('"read"', "[]"), "p.toml:3: rule[1].when.verb: write one text, or a list", id="no verb"),
    pytest.param(GOOD_RULE.replace('"read"', "[1]"), "p.toml:3: rule[1].when.verb: `1` is no text", id="a number as verb"),
    pytest.param(GOOD_RULE.replace('verb = "read"', ""), "p.toml:3: rule[1].when: a rule says when", id="always"),
    pytest.param(
        GOOD_RULE.replace('verb = "read"', 'target = "src/**"'),
        "p.toml:3: rule[1].when.target: `src/**` names no target: begin with one of file:, sql:",
        id="no scheme",
    ),
    pytest.param(
        GOOD_RULE.replace('verb = "read"', 'target = "file:src/"'),
        "p.toml:3: rule[1].when.target: `file:src/` ends in a slash: write `file:src/**`",
        id="a folder with a slash",
    ),
    pytest.param(GOOD_RULE.replace('verb = "read"', 'target = "file:/src"'), "`file:/src` is neither", id="one slash"),
    pytest.param(GOOD_RULE.replace('verb = "read"', 'target = "file:../x"'), "goes through `.` or `..`", id="up"),
    pytest.param(GOOD_RULE.replace('verb = "read"', 'target = "file:a**"'), "has `**` inside a name", id="stars in a name"),
    pytest.param(GOOD_RULE.replace('verb = "read"', 'target = "file:[z-a]"'), "no pattern can be made", id="no class"),
    pytest.param(GOOD_RULE.replace('verb = "read"', 'target = "https:x"'), "`https:x` is no URL", id="no URL"),
    pytest.param(GOOD_RULE.replace('verb = "read"', 'trait = "odd"'), "rule[1].when.trait: `odd` is none of", id="trait"),
    pytest.param(
        GOOD_RULE.replace('verb = "read"', 'verb = "read", more_than = {}'), "set at least one bound", id="no bound"
    ),
    pytest.param(
        GOOD_RULE.replace('verb = "read"', 'verb = "read", more_than = { files = 1 }'),
        "p.toml:1: rule[1]: `more_than` only tightens",
        id="a bound that allows",
    ),
    pytest.param(
        GOOD_RULE.replace("allow", "deny").replace('hint = "do that"\n', ""),
        "p.toml:1: rule[1]: a `deny` says what to do instead: add a `hint`",
        id="a no without a hint",
    ),
    pytest.param(GOOD_RULE.replace('"of it"', '"a\\nb"'), "p.toml:5: rule[1].because: write one line", id="two lines"),
    pytest.param(GOOD_RULE.replace('"of it"', '"\\u202eb"'), "p.toml:5: rule[1].because: write one line", id="turned text"),
    pytest.param(
        GOOD_RULE + "matches = [{ verb = 'read' }]", "p.toml:7: rule[1].matches[1]: an example is a call", id="half an example"
    ),
    pytest.param("[workspace]\nhidden = 'x'", "p.toml:2: workspace.hidden: ", id="a text for a list"),
    pytest.param("workspace = 1", "p.toml:1: workspace: ", id="a number for a table"),
    pytest.param("x = " + "[" * 5000 + "]" * 5000, "p.toml", id="too deep"),
    pytest.param("#" * (SIZE_LIMIT + 1), "p.toml: longer than 256 KiB", id="too long"),
    pytest.param("\u202ex = 1", "p.toml:1: ", id="a key that turns the text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_what_is_wrong_is_said_with_its_line(text: str, says: str) -> None:
    said = error(text)
    assert says in said
    assert said.isprintable()


def test_a_preset_rule_cannot_be_redefined() -> None:
    own = rule('verb = "read"', "deny", "look.allow")
    assert "p.toml:3: rule[1].id: `look.allow` is a rule of the preset `develop`: choose another id" in error(
        'extends = "develop"\n' + own
    )
    assert "choose another id" in error('extends = "develop"\ndrop = ["look.allow"]\n' + own)


# --- lines of keys ---

TEXT = '''\
# a comment with [brackets] and = signs
extends = "develop"
"quoted key" = 1

[workspace]
hidden = [
  "a", # "not here"
  'b]',
  """
  c
  """,
]
[databases.app]
url = "env:X"
[[rule]]
id = "a.b"
[rule.when]
verb = "read"
[[rule]]
id = "c.d"
when = { verb = ["read",
  "search"], target = "file:x" }
matches = [
  { verb = "read", target = "file:x" },
  { verb = "read",
    target = "file:y" },
]
dotted.key.deep = true
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("extends",), 2),
        (("quoted key",), 3),
        (("workspace",), 5),
        (("workspace", "hidden"), 6),
        (("workspace", "hidden", 0), 7),
        (("workspace", "hidden", 1), 8),
        (("workspace", "hidden", 2), 9),
        (("databases", "app"), 13),
        (("databases", "app", "url"), 14),
        (("rule", 0), 15),
        (("rule", 0, "id"), 16),
        (("rule", 0, "when"), 17),
        (("rule", 0, "when", "verb"), 18),
        (("rule", 1), 19),
        (("rule", 1, "when", "verb", 1), 22),
        (("rule", 1, "when", "target"), 22),
        (("rule", 1, "matches", 0), 24),
        (("rule", 1, "matches", 1), 25),
        (("rule", 1, "matches", 1, "target"), 26),
        (("rule", 1, "dotted", "key", "deep"), 28),
        (("rule", 1, "nowhere"), 19),
        (("nowhere",), 1),
    ],
)
def test_every_key_has_its_line(key: tuple[str | int, ...], line: int) -> None:
    assert line_for(lines_of(TEXT), key) == line


# --- merging ---


def test_what_extends_a_preset_adds_to_its_lists_and_replaces_its_values() -> None:
    preset = parse(Source("p", 'extends = "develop"'))
    text = (
        'extends = "develop"\ndrop = ["files.delete"]\n[workspace]\nhidden = ["x"]\nmax_files = 7\n'
        '[limits]\nrate = "5/second"\nsession = { calls = 3 }\n[databases.a]\nurl = "env:A"\n' + GOOD_RULE
    )
    policy = parse(Source("p", text))
    assert policy.workspace.hidden == (*preset.workspace.hidden, "x")
    assert policy.workspace.max_files == 7
    assert policy.limits.rate == Rate(5, 1)
    assert (policy.limits.session.calls, policy.limits.session.files_deleted) == (3, 500)
    ids = [r.id for r in preset.rule]
    assert [r.id for r in policy.rule] == [*(i for i in ids if i != "files.delete"), "test.rule"]
    database = policy.databases["a"]
    assert (database.environment, database.write, database.max_rows, database.schema_) == (
        Environment.PRODUCTION, (), 500, Schema.MIGRATIONS,
    )  # fmt: skip


def test_a_policy_that_extends_nothing_says_everything_itself(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("")
    (tmp_path / "w").mkdir()
    loaded = load(str(path), workspace=tmp_path / "w", state_dir=None)
    assert judge(loaded.book, [file("read")], tool="t").reasons[0].rule == "workspace.outside"
    inside = Effect(Verb.READ, file().target.file(str((tmp_path / "w").resolve() / "a")), file().extent, file().undo)
    assert judge(loaded.book, [inside], tool="t").reasons[0].rule == "judge.unmatched"


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("45s", 45), ("10m", 600), ("2h", 7200), ("1d", 86400), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    policy = parse(Source("p", f'[approvals]\nwait = "{text}"\n'))
    assert policy.approvals.wait == seconds
    assert policy.model_dump(mode="json")["approvals"]["wait"] == (text if seconds else "0ms")


# --- examples ---


def with_examples(matches: str = "", spares: str = "") -> str:
    return rule('verb = "update", target = "file:a/**"', "ask") + f"matches = [{matches}]\nspares = [{spares}]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_examples('{ verb = "update", target = "file:a/x" }', '{ verb = "update", target = "file:b/x" }'), None),
        (with_examples('{ verb = "update", target = "file:b/x" }'), ":7: rule[1].matches[1]: rule `test.rule`: the rule does"),
        (with_examples("", '{ verb = "update", target = "file:a/x" }'), ":8: rule[1].spares[1]: rule `test.rule`: the rule speaks"),
        (with_examples('{ verb = "update", target = "a/x" }'), ":7: rule[1].matches[1]: rule `test.rule`: `a/x` is no target"),
        ('extends = "develop"\n' + with_examples('{ verb = "update", target = "file:b/x" }'), ":8: rule[1].matches[1]: "),
    ],
)  # fmt: skip
def test_a_rule_is_tried_on_its_own_examples(text: str, says: str | None, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    (tmp_path / "w").mkdir()
    if says is None:
        assert load(str(path), workspace=tmp_path / "w", state_dir=None).policy.rule
        return
    with pytest.raises(PolicyError, match=re.escape(says)):
        load(str(path), workspace=tmp_path / "w", state_dir=None)


CALLS = with_examples(
    '{ tool = "files_write", arguments = { path = "a/x" } }', '{ tool = "files_write", arguments = { path = "b" } }'
)


def plan_of(tool: str, arguments: object) -> list[Effect]:
    assert tool == "files_write"
    assert isinstance(arguments, dict)
    if "path" not in arguments:
        raise ValueError("`path` is missing")
    return [Effect(Verb.UPDATE, file().target.file(f"{plan_of.root}/{arguments['path']}"), file().extent, file().undo)]


def test_examples_that_are_calls_wait_for_someone_who_can_plan(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(CALLS.replace('"a/x"', '"b/x"'))
    (tmp_path / "w").mkdir()
    plan_of.root = str((tmp_path / "w").resolve())
    loaded = load(str(path), workspace=tmp_path / "w", state_dir=None)
    with pytest.raises(PolicyError, match=r":7: rule\[1\]\.matches\[1\]: rule `test.rule`: the rule does not speak"):
        loaded.prove(plan_of)
    with pytest.raises(PolicyError, match="does not speak"):
        load(str(path), workspace=tmp_path / "w", state_dir=None, prove=plan_of)
    path.write_text(CALLS)
    assert load(str(path), workspace=tmp_path / "w", state_dir=None, prove=plan_of).policy.rule
    path.write_text(CALLS.replace('path = "a/x"', 'name = "a/x"'))
    with pytest.raises(PolicyError, match="cannot be told: `path` is missing"):
        load(str(path), workspace=tmp_path / "w", state_dir=None, prove=plan_of)


# --- the ground ---


def test_the_ground_is_canonical(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "kept").mkdir()
    (tmp_path / "backups").symlink_to(tmp_path / "kept")
    (real / ".mcp.json").write_text('{"mcpServers": {"g": {"command": "byleave"}}}')
    (real / ".cursor").mkdir()
    (real / ".cursor/mcp.json").write_text("{}")
    path = tmp_path / "p.toml"
    path.write_text(
        f'[backups]\nprotect = ["{tmp_path}/backups", "~/safe"]\n[databases.a]\nurl = "sqlite:///data/a.db"\n'
        '[databases.b]\nurl = "env:B"\n'
    )
    home = tmp_path / "home"
    loaded = load(str(path), workspace=tmp_path / "link", state_dir=tmp_path / "state", home=home)
    ground = loaded.book.ground
    root = os.path.realpath(real)
    assert ground.workspace == root
    assert ground.protected == (os.path.realpath(tmp_path / "kept"), os.path.realpath(home / "safe"))
    assert ground.databases == (f"{root}/data/a.db",)
    assert ground.client_files == (f"{root}/.mcp.json",)
    assert ground.policy_files == (f"{root}/byleave.toml", os.path.realpath(path))
    assert loaded.with_databases(("/srv/b.db",)).book.ground.databases == (f"{root}/data/a.db", "/srv/b.db")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///a.db", "/w/a.db"),
        ("sqlite:////srv/a.db", "/srv/a.db"),
        ("sqlite:///x/../a.db?mode=ro", "/w/a.db"),
        ("sqlite:///a%20b.db", "/w/a b.db"),
        ("env:X", None),
        ("postgresql://h/db", None),
    ],
)
def test_the_file_of_a_sqlite_url(url: str, path: str | None) -> None:
    assert sqlite_file(url, Path("/w")) == path


# --- where a policy comes from ---


@pytest.mark.parametrize("name", ["read-only", "develop", "operate", "ci"])
def test_a_preset_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("not = 'this'")
    loaded = load(name, workspace=tmp_path, state_dir=None)
    assert (loaded.origin, loaded.notices) == (f"preset {name}", ())
    assert len(loaded.digest) == 64


def test_no_policy_is_develop_without_a_notice(tmp_path: Path) -> None:
    loaded = load(None, workspace=tmp_path, state_dir=None)
    assert (loaded.origin, loaded.notices) == ("preset develop", ())


@pytest.mark.parametrize("name", ["nowhere.toml", "devlop"])
def test_what_is_neither_preset_nor_file_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="is neither a preset nor a file") as caught:
        load(name, workspace=tmp_path, state_dir=None)
    assert "read-only, develop, operate, ci" in caught.value.hint


@pytest.mark.parametrize("what", ["folder", "pipe", "latin", "long"])
def test_a_file_that_cannot_be_read_is_an_error_and_never_waits(what: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "latin":
            path.write_bytes(b"# \xff")
        case _:
            path.write_bytes(b"#" * (SIZE_LIMIT + 1))
    (tmp_path / "w").mkdir()
    with pytest.raises(PolicyError, match=r"p\.toml: (is|cannot)"):
        load(str(path), workspace=tmp_path / "w", state_dir=None)
