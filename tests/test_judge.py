"""The judge: the strictest of all that speak, and no where nothing does."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, cast

import pytest

from byleave.effects import Effect, Extent, Scheme, Target, Undo, Unit, Verb
from byleave.policy.judge import ERROR, NO_EFFECTS, UNKNOWN_VERB, UNMATCHED, Decision, Reason, Verdict, judge
from judging import DATABASES, EVERYTHING, book, file, rows, rule


def verdict(text: str, *effects: Effect, tool: str = "files_write") -> tuple[str, list[str]]:
    decision = judge(book(text), effects, tool=tool)
    return decision.verdict.word, [reason.rule for reason in decision.reasons]


def test_the_verdicts_are_ordered_from_mild_to_strict() -> None:
    assert [v.word for v in sorted(Verdict)] == ["allow", "delay", "ask", "deny"]


def test_a_plan_without_effects_is_denied() -> None:
    assert verdict(EVERYTHING) == ("deny", ["judge.no-effects"])


def test_what_no_rule_speaks_about_is_denied() -> None:
    assert verdict(rule('verb = "read"', "allow"), file("update")) == ("deny", ["judge.unmatched"])


def test_one_effect_that_no_rule_speaks_about_denies_the_whole_plan() -> None:
    decision = judge(book(rule('verb = "read"', "allow")), [file("read"), file("update"), file("read")], tool="t")
    assert decision == Decision(
        Verdict.DENY,
        (
            Reason(
                "judge.unmatched",
                Verdict.DENY,
                "no rule of the policy speaks about this effect",
                "`gate_status` tells what the policy grants; a person can add a rule for this",
                (1,),
            ),
            Reason("test.rule", Verdict.ALLOW, "of it", "do that", (0, 2)),
        ),
    )


@pytest.mark.parametrize(
    ("said", "comes_to"),
    [
        (("allow", "allow"), "allow"),
        (("allow", "delay"), "delay"),
        (("delay", "allow"), "delay"),
        (("ask", "allow"), "ask"),
        (("delay", "ask"), "ask"),
        (("deny", "allow"), "deny"),
        (("ask", "deny"), "deny"),
    ],
)
def test_the_strictest_holds_in_whatever_order(said: tuple[str, str], comes_to: str) -> None:
    one, two = (rule('verb = "update"', word, f"test.{name}") for name, word in zip("ab", said, strict=True))
    assert verdict(one + two, file())[0] == comes_to
    assert verdict(two + one, file())[0] == comes_to


def test_reasons_are_all_that_spoke_strictest_first_then_as_written() -> None:
    words = ("allow", "ask", "deny", "allow", "ask")
    text = "".join(rule('verb = "update"', word, f"test.r{at}") for at, word in enumerate(words))
    assert verdict(text, file()) == ("deny", ["test.r2", "test.r1", "test.r4", "test.r0", "test.r3"])


def test_an_unknown_verb_is_denied() -> None:
    odd = dataclasses.replace(file(), verb=cast("Any", "obliterate"))
    assert verdict(EVERYTHING, odd) == ("deny", ["judge.unknown-verb"])


def test_an_unknown_scheme_is_denied() -> None:
    odd = dataclasses.replace(file(), target=Target(cast("Any", "ftp"), "host"))
    assert verdict(EVERYTHING, odd) == ("deny", ["judge.unknown-verb"])


class Broken:
    """A name that cannot be looked at."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("broken on purpose")


def test_an_error_while_judging_denies_and_spares_no_other_effect() -> None:
    broken = dataclasses.replace(file(), target=Target(Scheme.FILE, cast("Any", Broken())))
    decision = judge(book(EVERYTHING), [file(), broken, file()], tool="t")
    assert decision.verdict is Verdict.DENY
    assert [(r.rule, r.effects) for r in decision.reasons] == [("judge.error", (1,)), ("all.allow", (0, 2))]


def test_every_deny_of_the_judge_says_what_to_do_instead() -> None:
    broken = dataclasses.replace(file(), target=Target(Scheme.FILE, cast("Any", Broken())))
    odd = dataclasses.replace(file(), verb=cast("Any", "obliterate"))
    for effects in ([], [broken], [odd], [file("execute")]):
        strictest = judge(book(rule('verb = "read"', "allow")), effects, tool="t").reasons[0]
        assert strictest.because
        assert strictest.hint


# --- conditions: all that are given hold ---

CONDITIONS = [
    pytest.param('verb = "update"', file("update"), file("create"), id="verb"),
    pytest.param('verb = ["update", "create"]', file("create"), file("delete"), id="one of the verbs"),
    pytest.param('target = "file:src/*.py"', file(path="src/app.py"), file(path="src/a/app.py"), id="star in a folder"),
    pytest.param('target = "file:src/**"', file(path="src/a/b/c.py"), file(path="srcs/a.py"), id="everything beneath"),
    pytest.param('target = "file:src/**"', file(path="src"), file(path="sr"), id="the folder itself"),
    pytest.param('target = "file:**/test_*"', file(path="a/b/test_x"), file(path="a/test/x"), id="in any folder"),
    pytest.param('target = "file:**/x"', file(path="x"), file(path="yx"), id="in no folder"),
    pytest.param('target = "file:a/**/z"', file(path="a/z"), file(path="a/b/zz"), id="no folder between"),
    pytest.param('target = "file:a/**/z"', file(path="a/b/c/z"), file(path="b/a/z"), id="folders between"),
    pytest.param('target = "file:a?c"', file(path="abc"), file(path="a/c"), id="one character"),
    pytest.param('target = "file:[ab]x"', file(path="bx"), file(path="cx"), id="a class"),
    pytest.param('target = "file:[!ab]x"', file(path="cx"), file(path="ax"), id="not of a class"),
    pytest.param('target = "file:a[!b]c"', file(path="axc"), file(path="a/c"), id="no slash by a class"),
    pytest.param("target = 'file:a\\*'", file(path="a*"), file(path="ab"), id="a star that is meant"),
    pytest.param('target = "file:a.b"', file(path="a.b"), file(path="axb"), id="a dot is a dot"),
    pytest.param('target = "file:Src/APP.py"', file(path="src/app.PY"), file(path="src/app.p"), id="without case"),
    pytest.param('target = ["file:a", "file:b"]', file(path="b"), file(path="c"), id="one of the targets"),
    pytest.param('target = "sql:*"', rows(name="dev/x/y"), file(), id="everything of a scheme"),
    pytest.param('target = "sql:dev/*"', rows(name="dev/a.b/c"), rows(name="shop/carts"), id="any table"),
    pytest.param('target = "sql:*/carts"', rows(name="shop/carts"), rows(name="dev/orders"), id="any database"),
    pytest.param('tool = "files_*"', file(), None, id="tool"),
    pytest.param('trait = "hard-link"', file(traits=("hard-link",)), file(), id="trait"),
    pytest.param('trait = "in-workspace"', file(), rows(), id="in the workspace"),
    pytest.param('trait = "runs-later"', file(path=".git/config"), file(path="git/config"), id="runs later"),
    pytest.param('undo = "none"', file(undo=Undo.NONE), file(undo=Undo.SNAPSHOT), id="undo"),
    pytest.param('undo = ["trivial", "snapshot"]', file(undo=Undo.TRIVIAL), file(undo=Undo.NONE), id="undoable"),
    pytest.param('environment = "production"', rows(name="shop/carts"), rows(name="dev/carts"), id="environment"),
    pytest.param('environment = "production"', rows(name="shop/carts"), file(), id="no database, no environment"),
]


@pytest.mark.parametrize(("when", "matching", "other"), CONDITIONS)
def test_a_condition_matches_what_it_says_and_nothing_else(when: str, matching: Effect, other: Effect | None) -> None:
    text = DATABASES + rule(when, "ask") + EVERYTHING
    assert "test.rule" in verdict(text, matching)[1]
    if other is not None:
        assert "test.rule" not in verdict(text, other)[1]


def test_a_rule_of_another_tool_does_not_speak() -> None:
    assert "test.rule" not in verdict(rule('tool = "sql_*"', "deny") + EVERYTHING, file(), tool="files_sql_write")[1]


@pytest.mark.parametrize("missed", ["verb", "target", "tool", "undo", "trait"])
def test_every_condition_that_is_given_must_hold(missed: str) -> None:
    given = {
        "verb": ('verb = "update"', 'verb = "create"'),
        "target": ('target = "file:src/**"', 'target = "file:doc/**"'),
        "tool": ('tool = "files_*"', 'tool = "sql_*"'),
        "undo": ('undo = "snapshot"', 'undo = "none"'),
        "trait": ('trait = "in-workspace"', 'trait = "runs-later"'),
    }
    all_hold = ", ".join(holds for holds, _ in given.values())
    one_fails = ", ".join(fails if key == missed else holds for key, (holds, fails) in given.items())
    assert verdict(rule(all_hold, "allow"), file()) == ("allow", ["test.rule"])
    assert verdict(rule(one_fails, "allow"), file()) == ("deny", ["judge.unmatched"])


# --- bounds ---


def bounded(bound: str) -> str:
    return rule(f'verb = "update", more_than = {{ {bound} }}', "ask") + EVERYTHING


@pytest.mark.parametrize(
    ("effects", "comes_to"),
    [
        pytest.param([file(amount=3)], "allow", id="as many as the bound"),
        pytest.param([file(amount=4)], "ask", id="one more"),
        pytest.param([file(amount=2), file(amount=1)], "allow", id="together as many"),
        pytest.param([file(amount=2), file(amount=2)], "ask", id="together one more"),
        pytest.param([file(amount=None)], "ask", id="unknown counts as more"),
        pytest.param([file(amount=1), file(amount=None)], "ask", id="one of them unknown"),
        pytest.param([file(amount=3), file("create", amount=9)], "allow", id="others are not counted"),
        pytest.param([file(amount=9, waits=True)], "allow", id="what waits is counted later"),
        pytest.param([file(amount=None, waits=True), file(amount=3)], "allow", id="and not among the others"),
        pytest.param([rows(amount=9)], "allow", id="another unit"),
    ],
)
def test_a_bound_looks_at_all_matching_effects_together(effects: list[Effect], comes_to: str) -> None:
    assert verdict(DATABASES.replace("max_rows = 5", "max_rows = 99") + bounded("files = 3"), *effects)[0] == comes_to


@pytest.mark.parametrize(("files", "sizes", "comes_to"), [(3, 9, "allow"), (4, 9, "ask"), (3, 10, "ask")])
def test_any_of_several_bounds_is_enough(files: int, sizes: int, comes_to: str) -> None:
    size = Effect(Verb.UPDATE, file().target, Extent(Unit.BYTES, sizes), Undo.SNAPSHOT)
    assert verdict(bounded("files = 3, bytes = 9"), file(amount=files), size)[0] == comes_to


def test_a_bound_of_nothing_asks_for_the_first() -> None:
    assert verdict(bounded("files = 0"), file(amount=0))[0] == "allow"
    assert verdict(bounded("files = 0"), file(amount=1))[0] == "ask"


def test_a_bound_speaks_about_the_effects_it_counted() -> None:
    effects = [file(amount=2), file("create"), file(amount=2), file(amount=1, waits=True)]
    reasons = judge(book(bounded("files = 3")), effects, tool="t").reasons
    assert [(r.rule, r.effects) for r in reasons] == [("test.rule", (0, 2)), ("all.allow", (0, 1, 2, 3))]


def test_a_bound_lets_nothing_pass_by_itself() -> None:
    only = rule('verb = "update", more_than = { files = 1 }', "delay")
    assert verdict(only, file(amount=9)) == ("deny", ["judge.unmatched", "test.rule"])


# --- what the sections say ---

MAX_ROWS, NOT_GRANTED = "databases.dev.max-rows", "databases.not-granted"


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        pytest.param([rows(amount=5)], ("allow", ["all.allow"]), id="as many rows as the limit"),
        pytest.param([rows(amount=6)], ("ask", [MAX_ROWS, "all.allow"]), id="one more"),
        pytest.param([rows(amount=3), rows("delete", amount=3)], ("ask", [MAX_ROWS, "all.allow"]), id="together"),
        pytest.param([rows(amount=3), rows(name="shop/carts", amount=3)], ("allow", ["all.allow"]), id="each its own"),
        pytest.param([rows("read", amount=99)], ("allow", ["all.allow"]), id="reading is not counted"),
        pytest.param([rows(amount=None, waits=True)], ("allow", ["all.allow"]), id="to be measured"),
        pytest.param([rows(amount=None)], ("ask", [MAX_ROWS, "all.allow"]), id="measured, and unknown"),
        pytest.param([rows(name="shop/public.orders")], ("allow", ["all.allow"]), id="a granted table"),
        pytest.param([rows(name="shop/PUBLIC.Orders")], ("allow", ["all.allow"]), id="names have no case"),
        pytest.param([rows(name="shop/main.carts")], ("allow", ["all.allow"]), id="the default schema"),
        pytest.param([rows(name="shop/audit.carts")], ("deny", [NOT_GRANTED, "all.allow"]), id="another schema"),
        pytest.param([rows(name="shop/users")], ("deny", [NOT_GRANTED, "all.allow"]), id="another table"),
        pytest.param([rows(name="shop/*")], ("deny", [NOT_GRANTED, "all.allow"]), id="some table"),
        pytest.param([rows("read", name="shop/users")], ("allow", ["all.allow"]), id="reading another table"),
        pytest.param([rows(name="else/t")], ("deny", ["databases.not-configured", "all.allow"]), id="no such database"),
        pytest.param([rows("read", name="else/t")], ("deny", ["databases.not-configured", "all.allow"]), id="to read"),
        pytest.param([rows("define")], ("deny", ["databases.dev.schema", "all.allow"]), id="structure by a statement"),
    ],
)  # fmt: skip
def test_a_database_section_is_a_limit_that_no_rule_lifts(effects: list[Effect], expected: object) -> None:
    assert verdict(DATABASES + EVERYTHING, *effects, tool="sql_change") == expected


def test_reading_a_table_that_write_does_not_list_is_no_trespass() -> None:
    text = DATABASES + rule('trait = "not-granted"', "ask") + EVERYTHING
    assert verdict(text, rows("read", name="shop/users"))[0] == "allow"
    assert "test.rule" in verdict(text, rows("update", name="shop/users"))[1]


@pytest.mark.parametrize(
    ("schema", "tool", "comes_to"),
    [
        ("never", "sql_change", "deny"),
        ("never", "migration_apply", "deny"),
        ("ask", "sql_change", "ask"),
        ("ask", "migration_apply", "ask"),
        ("migrations", "sql_change", "deny"),
        ("migrations", "migration_apply", "allow"),
        ("migrations", "x_migration_apply", "deny"),
    ],
)
def test_schema_says_when_the_structure_changes(schema: str, tool: str, comes_to: str) -> None:
    text = f'[databases.dev]\nurl = "env:DEV"\nschema = "{schema}"\n{EVERYTHING}'
    assert verdict(text, rows("define"), tool=tool)[0] == comes_to


@pytest.mark.parametrize(("headless", "comes_to"), [("true", "deny"), ("false", "ask")])
def test_limits_deny_where_nobody_is_there_to_ask(headless: str, comes_to: str) -> None:
    text = f"[approvals]\nheadless = {headless}\n[workspace]\nmax_files = 2\n{DATABASES}{EVERYTHING}"
    assert verdict(text, file(amount=3)) == (comes_to, ["workspace.max-files", "all.allow"])
    assert verdict(text, file(amount=2))[0] == "allow"
    assert verdict(text, rows(amount=6)) == (comes_to, ["databases.dev.max-rows", "all.allow"])


@pytest.mark.parametrize("verb", ["read", "search", "restore"])
def test_files_that_are_not_changed_do_not_count(verb: str) -> None:
    assert verdict(f"[workspace]\nmax_files = 2\n{EVERYTHING}", file(verb, amount=3))[0] == "allow"


def test_a_strict_rule_about_a_table_speaks_about_a_change_somewhere_in_its_database() -> None:
    """What a statement will touch is not known: it may be that table."""
    text = DATABASES + rule('target = "sql:dev/users"', "ask") + EVERYTHING
    assert verdict(text, rows(name="dev/*"))[0] == "ask"
    assert verdict(text, rows("read", name="dev/*"))[0] == "allow"
    assert verdict(text, rows(name="shop/carts"))[0] == "allow"
    mild = DATABASES + rule('target = "sql:dev/users"', "delay")
    assert verdict(mild, rows(name="dev/*"))[0] == "deny"


# --- the floor ---


def test_the_floor_beats_an_allow_and_both_are_told() -> None:
    assert verdict(EVERYTHING, file(path="/mnt/backups/x")) == ("deny", ["backups.protected", "all.allow"])


def test_of_equal_verdicts_the_gates_own_come_before_the_rules() -> None:
    """The first denial is the one that is told: what no policy lifts, before what this one says."""
    text = rule('verb = "update"', "deny", "test.first") + rule('verb = "update"', "deny", "test.second")
    assert verdict(text, file(path=".env"), file("read")) == (
        "deny",
        ["workspace.hidden", "judge.unmatched", "test.first", "test.second"],
    )


def test_what_the_floor_refuses_is_not_called_unmatched_as_well() -> None:
    assert verdict(rule('verb = "read"', "allow"), file(path=".env")) == ("deny", ["workspace.hidden"])


def test_a_place_that_folds_alike_is_not_in_the_workspace() -> None:
    """`/home/ann/Shop` is another folder than `/home/ann/shop`: what grants compares exactly."""
    text = rule('trait = "in-workspace"', "allow")
    assert verdict(text, file(path="/home/ann/Shop/x")) == ("deny", ["workspace.outside"])


# --- what it costs ---


def test_twenty_thousand_effects_are_one_pass_over_few_rules() -> None:
    """Rules are found by verb and scheme: those of others are never asked."""
    text = "".join(rule(f'verb = "delete", target = "file:{n}/**"', "ask", f"test.n{n}") for n in range(200))
    ready = book(text + EVERYTHING)
    asked = ready.index[Verb.UPDATE, Scheme.FILE]
    assert [rule.id for rule in asked] == ["all.allow"]
    effects = [file(path=f"src/{n % 97}/m{n}.py") for n in range(20_000)]
    decision = judge(ready, effects, tool="t")
    assert (decision.verdict, len(decision.reasons[0].effects)) == (Verdict.ALLOW, 20_000)


@pytest.mark.parametrize("reason", [NO_EFFECTS, UNMATCHED, UNKNOWN_VERB, ERROR], ids=lambda reason: reason.rule)
def test_the_judges_own_reasons_are_denials_with_stable_ids(reason: Reason) -> None:
    assert reason.verdict is Verdict.DENY
    assert re.fullmatch(r"judge\.[a-z-]+", reason.rule)
