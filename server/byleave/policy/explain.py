"""A policy read aloud: what it says to samples of everyday effects, found by judging them. Pure.

Nothing here knows a preset: each line is the judge's own answer, so what is explained is what happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from byleave.effects import Effect, Extent, Scheme, Target, Undo, Unit, Verb
from byleave.policy.decision import Decision, Verdict
from byleave.policy.floor import REFUSALS
from byleave.policy.judge import judge
from byleave.policy.load import Loaded
from byleave.policy.model import Policy
from byleave.policy.rules import RuleModel


@dataclass(frozen=True, slots=True)
class Sample:
    """An everyday effect, in words, with the tool that would have it."""

    words: str
    tool: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Line:
    """What a policy says to one sample."""

    words: str
    decision: Decision
    headless: bool

    @property
    def verdict(self) -> str:
        """The verdict's word; where nobody is there to ask, what `ask` comes to."""
        word = self.decision.verdict.word
        return "deny (nobody to ask)" if self.headless and self.decision.verdict is Verdict.ASK else word

    @property
    def rule(self) -> str:
        return self.decision.reasons[0].rule


def explain(loaded: Loaded) -> tuple[Line, ...]:
    """The policy's answers to all samples."""
    headless = loaded.policy.approvals.headless is True
    return tuple(
        Line(sample.words, judge(loaded.book, [sample.effect], tool=sample.tool), headless)
        for sample in samples(loaded.policy, loaded.book.ground.workspace)
    )


def samples(policy: Policy, workspace: str) -> Iterator[Sample]:
    """Samples for everything that the policy has a word for; those of sql are of its own databases."""
    yield from _of_files(workspace, 200 if policy.workspace.max_files is None else policy.workspace.max_files)
    for name, database in policy.databases.items():
        yield from _of_database(name, database.environment, database.write, database.max_rows)
    yield from _of_the_rest()


def _of_files(workspace: str, most: int) -> Iterator[Sample]:
    def file(verb: Verb, path: str, amount: int = 1, undo: Undo = Undo.SNAPSHOT) -> Effect:
        return Effect(verb, Target.file(f"{workspace.rstrip('/')}/{path}"), Extent(Unit.FILES, amount), undo)

    lies = Target.file(f"{workspace.rstrip('/')}/.env")
    hidden = Effect(Verb.READ, lies, Extent(Unit.FILES, 1), Undo.TRIVIAL, traits=frozenset({"hidden"}))
    change = "create, update or chmod files, undoable"
    yield Sample("read or search files", "files_read", file(Verb.READ, "src/app.py", undo=Undo.TRIVIAL))
    yield Sample("read a hidden file", "files_read", hidden)
    yield Sample(f"{change}, up to {most:,}", "files_write", file(Verb.UPDATE, "src/app.py", most))
    yield Sample(f"{change}, more than {most:,}", "files_write", file(Verb.UPDATE, "src", most + 1))
    yield Sample(f"delete files, undoable, up to {most:,}", "files_remove", file(Verb.DELETE, "build/out.o", most))
    yield Sample(f"delete files, undoable, more than {most:,}", "files_remove", file(Verb.DELETE, "build", most + 1))
    yield Sample("change or delete files, not undoable", "files_remove", file(Verb.DELETE, "data/big", 1, Undo.NONE))
    yield Sample("write what the host runs unprompted", "files_write", file(Verb.CREATE, ".git/hooks/pre-commit"))
    yield Sample("undo an earlier change of files", "gate_undo", file(Verb.RESTORE, "src/app.py"))
    outside = Effect(Verb.READ, Target.file("/srv/elsewhere/notes.txt"), Extent(Unit.FILES, 1), Undo.TRIVIAL)
    yield Sample("anything outside the workspace", "files_read", outside)


def _of_database(name: str, environment: str, write: tuple[str, ...], most: int) -> Iterator[Sample]:
    table = next((one.replace("*", "orders") for one in write), "orders")
    about = f"`{name}` ({environment})"

    def rows(verb: Verb, amount: int = 1, undo: Undo = Undo.SNAPSHOT, table: str = table) -> Effect:
        return Effect(verb, Target.sql(name, table), Extent(Unit.ROWS, amount), undo)

    yield Sample(f"{about}: read rows", "sql_query", rows(Verb.READ, undo=Undo.TRIVIAL))
    if write:
        yield Sample(f"{about}: change rows, undoable, up to {most:,}", "sql_change", rows(Verb.UPDATE, most))
        yield Sample(f"{about}: delete rows, undoable, up to {most:,}", "sql_change", rows(Verb.DELETE, most))
        yield Sample(f"{about}: change more than {most:,} rows", "sql_change", rows(Verb.UPDATE, most + 1))
        yield Sample(f"{about}: change rows, not undoable", "sql_change", rows(Verb.UPDATE, 1, Undo.NONE))
    if "*" not in write:
        other = rows(Verb.UPDATE, table="a_table_that_write_does_not_list")
        yield Sample(f"{about}: change rows of another table", "sql_change", other)
    yield Sample(f"{about}: change the structure by a statement", "sql_change", rows(Verb.DEFINE, 1, Undo.NONE))
    yield Sample(f"{about}: change the structure by a migration", "migration_apply", rows(Verb.DEFINE, 1, Undo.NONE))


def _of_the_rest() -> Iterator[Sample]:
    def one(verb: Verb, scheme: Scheme, name: str) -> Effect:
        return Effect(verb, Target(scheme, name), Extent(Unit.FILES, 1), Undo.NONE)

    yield Sample("run a program in the sandbox", "shell_run", one(Verb.EXECUTE, Scheme.PROGRAM, "pytest"))
    yield Sample("connect or send to a host", "http_request", one(Verb.SEND, Scheme.HTTPS, "api.example.com/v1/orders"))
    yield Sample("publish: push, release, comment", "git_push", one(Verb.PUBLISH, Scheme.GIT, "origin/feature"))
    yield Sample(
        "install a package that was screened", "packages_add", one(Verb.INSTALL, Scheme.PKG, "pypi/requests@2.32")
    )
    yield Sample("give rights", "sql_change", one(Verb.GRANT, Scheme.PROGRAM, "anything"))


def rule_in_words(rule: RuleModel) -> str:
    """A rule's conditions in a line, for people."""
    said = [f"{key} {' or '.join(map(str, values))}" for key, values in rule.when.given()]
    if rule.when.more_than is not None:
        said += [f"more than {bound:,} {unit}" for unit, bound in rule.when.more_than.bounds()]
    return ", ".join(said)


def as_json(loaded: Loaded) -> dict[str, object]:
    """The whole explanation for machines."""
    ground = loaded.book.ground
    own = {rule.id: rule for rule in loaded.policy.rule}
    return {
        "policy": loaded.origin,
        "digest": loaded.digest,
        "notices": list(loaded.notices),
        "workspace": ground.workspace,
        "effects": [
            {
                "effect": line.words,
                "verdict": line.decision.verdict.word,
                "headless": line.headless,
                "rules": [
                    {"id": r.rule, "verdict": r.verdict.word, "because": r.because, "hint": r.hint}
                    for r in line.decision.reasons
                ],
            }
            for line in explain(loaded)
        ],
        "rules": [
            {
                "id": rule.id,
                "verdict": rule.verdict.word,
                "when": rule_in_words(own[rule.id]) if rule.id in own else None,
                "because": rule.because,
                "hint": rule.hint,
            }
            for rule in loaded.book.rules
        ],
        "floor": [{"id": no.rule, "because": no.because, "hint": no.hint} for no in REFUSALS],
        "hidden": list(ground.hidden),
        "backups": list(ground.protected),
        "databases": {
            name: {
                "environment": d.environment.value,
                "write": list(d.write),
                "max_rows": d.max_rows,
                "schema": d.schema_.value,
            }
            for name, d in loaded.policy.databases.items()
        },
        "limits": limits(loaded.policy),
    }


def limits(policy: Policy) -> dict[str, object]:
    """What is limited, by the words of the policy; what has no limit is left out."""
    session = policy.limits.session
    said: dict[str, object] = {
        "rate": None if policy.limits.rate is None else str(policy.limits.rate),
        "calls in a session": session.calls,
        "rows deleted in a session": session.rows_deleted,
        "files deleted in a session": session.files_deleted,
        "files changed in a call": policy.workspace.max_files,
    }
    return {name: bound for name, bound in said.items() if bound is not None}
