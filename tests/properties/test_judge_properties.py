"""What holds for every policy and every plan."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from byleave.effects import Effect, Extent, Precision, Scheme, Target, Undo, Unit, Verb
from byleave.policy.decision import Decision, Verdict
from byleave.policy.floor import floor
from byleave.policy.judge import judge
from byleave.policy.rulebook import Rulebook
from judging import GROUND, ROOT, book, rule

NAMES = ["src/app.py", "src/b.py", ".env", ".git/config", "data/shop.db", "data", "build/x"]
TARGETS = [
    *(Target.file(f"{ROOT}/{name}") for name in NAMES),
    Target.file("/mnt/backups/monday"),
    Target.file("/etc/passwd"),
    Target.file(ROOT),
    Target.sql("dev", "orders"),
    Target.sql("dev"),
    Target.sql("shop", "users"),
    Target.sql("none", "t"),
    Target(Scheme.GIT, "origin/main"),
    Target(Scheme.HTTPS, "api.example.com/v1"),
    Target(Scheme.GATE, "status"),
]
CONDITIONS = [
    'verb = "update"',
    'verb = ["create", "update", "delete"]',
    'verb = "delete", undo = "none"',
    'target = "file:src/**"',
    'target = "file:**"',
    'target = "sql:*"',
    'target = "sql:dev/orders"',
    'target = "*"',
    'trait = "in-workspace"',
    'trait = "runs-later"',
    'undo = ["snapshot", "trivial"]',
    'environment = "development"',
    'tool = "files_*"',
    'tool = "sql_*", verb = "update"',
]
BOUNDS = ["files = 2", "rows = 3", "files = 0, rows = 9"]
DATABASE = '[databases.dev]\nurl = "env:DEV"\nenvironment = "development"\nwrite = ["*"]\nmax_rows = 3\n'


@st.composite
def effects(draw: st.DrawFn) -> Effect:
    amount = draw(st.sampled_from([0, 1, 2, 3, 4, None]))
    extent = Extent(draw(st.sampled_from(list(Unit))), amount, Precision.UNKNOWN if amount is None else Precision.EXACT)
    return Effect(
        draw(st.sampled_from(list(Verb))),
        draw(st.sampled_from(TARGETS)),
        extent,
        draw(st.sampled_from(list(Undo))),
        waits=draw(st.booleans()),
        traits=draw(st.sets(st.sampled_from(["hidden", "outside", "readonly"]), max_size=1).map(frozenset)),
    )


@st.composite
def rules(draw: st.DrawFn, name: str = "test.rule") -> str:
    condition = draw(st.sampled_from(CONDITIONS))
    if draw(st.booleans()):
        bound = draw(st.sampled_from(BOUNDS))
        return rule(f"{condition}, more_than = {{ {bound} }}", draw(st.sampled_from(["delay", "ask", "deny"])), name)
    return rule(condition, draw(st.sampled_from(["allow", "delay", "ask", "deny"])), name)


@st.composite
def policies(draw: st.DrawFn) -> str:
    many = draw(st.integers(0, 4))
    sections = draw(st.sampled_from(["", "[workspace]\nmax_files = 2\n", DATABASE]))
    return sections + "".join(draw(rules(f"test.r{n}")) for n in range(many))


plans = st.lists(effects(), min_size=1, max_size=5)
tools = st.sampled_from(["files_write", "sql_change"])


def strictest(decision: Decision) -> Verdict:
    return max(reason.verdict for reason in decision.reasons)


@given(policies(), plans, effects(), st.integers(0, 5), tools)
def test_one_more_effect_never_weakens_a_verdict(
    text: str, plan: list[Effect], more: Effect, at: int, tool: str
) -> None:
    ready = book(text)
    assert judge(ready, [*plan[:at], more, *plan[at:]], tool=tool).verdict >= judge(ready, plan, tool=tool).verdict


@given(policies(), rules("test.more"), plans, tools)
def test_one_more_rule_never_turns_a_denial_by_a_rule_into_anything_else(
    text: str, more: str, plan: list[Effect], tool: str
) -> None:
    """Only `no rule speaks` can be answered by a rule: that is what rules are for."""
    before, after = judge(book(text), plan, tool=tool), judge(book(text + more), plan, tool=tool)
    said = {r.rule for r in before.reasons if r.verdict is Verdict.DENY} - {"judge.unmatched"}
    if said:
        assert after.verdict is Verdict.DENY
        assert said <= {r.rule for r in after.reasons}


@given(policies(), rules("test.more"), plans, tools)
def test_one_more_rule_never_weakens_what_was_let_pass(text: str, more: str, plan: list[Effect], tool: str) -> None:
    before, after = judge(book(text), plan, tool=tool), judge(book(text + more), plan, tool=tool)
    if before.verdict < Verdict.DENY:
        assert after.verdict >= before.verdict


@given(policies(), tools)
def test_a_plan_without_effects_is_refused(text: str, tool: str) -> None:
    assert judge(book(text), [], tool=tool).verdict is Verdict.DENY


@given(policies(), plans, tools)
def test_waiting_only_puts_off(text: str, plan: list[Effect], tool: str) -> None:
    """What waits is judged no more strictly now than when it is measured, and then as if it had never waited."""
    ready = book(text)
    measured = [replace(effect, waits=False) for effect in plan]
    finally_ = judge(ready, measured, tool=tool)
    assert judge(ready, plan, tool=tool).verdict <= finally_.verdict
    assert judge(ready, [replace(e, waits=True) for e in measured], tool=tool).verdict <= finally_.verdict


@given(policies(), plans, tools)
def test_the_floor_beats_every_policy(text: str, plan: list[Effect], tool: str) -> None:
    refusals = [reason for effect in plan if (reason := floor(GROUND, effect)) is not None]
    decision = judge(book(text), plan, tool=tool)
    if refusals:
        assert decision.verdict is Verdict.DENY
        assert {r.rule for r in refusals} <= {r.rule for r in decision.reasons}


@given(policies(), plans, tools)
def test_nothing_is_said_that_is_not_meant(text: str, plan: list[Effect], tool: str) -> None:
    decision = judge(book(text), plan, tool=tool)
    assert decision.verdict is strictest(decision)
    assert [r.verdict for r in decision.reasons] == sorted((r.verdict for r in decision.reasons), reverse=True)
    assert {at for reason in decision.reasons for at in reason.effects} == set(range(len(plan)))
    assert len({r.rule for r in decision.reasons}) == len(decision.reasons)


@given(policies(), plans, tools, st.randoms(use_true_random=False))
def test_order_means_nothing(text: str, plan: list[Effect], tool: str, random) -> None:
    head, *rest = text.split("[[rule]]")
    random.shuffle(rest)
    other = "[[rule]]".join([head, *rest])
    shuffled = random.sample(plan, len(plan))
    assert judge(book(other), shuffled, tool=tool).verdict is judge(book(text), plan, tool=tool).verdict


@given(policies(), plans, tools)
def test_judging_is_a_function(text: str, plan: list[Effect], tool: str) -> None:
    ready: Rulebook = book(text)
    assert judge(ready, plan, tool=tool) == judge(ready, plan, tool=tool) == judge(book(text), plan, tool=tool)
