"""The rules made ready for judging: globs compiled, indexed by verb and scheme, with the floor they stand on. Pure.

Besides the rules that are written, the sections speak as rules of the same kind, so that they are shown, explained and
recorded like any other: `databases.*` and `workspace.max-files`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from byleave.effects import LOOKING, Effect, Scheme, Undo, Unit, Verb
from byleave.policy.decision import Verdict
from byleave.policy.floor import Floor, Ground
from byleave.policy.globs import Globs, compile_globs, name_globs, table_globs
from byleave.policy.model import Policy
from byleave.policy.names import fold, fold_path, lies_in
from byleave.policy.rules import RuleModel
from byleave.policy.runs_later import folded_runs_later
from byleave.policy.values import Schema

#: Rows and files change by these.
_CHANGING = (Verb.CREATE, Verb.UPDATE, Verb.DELETE)


@dataclass(frozen=True, slots=True)
class Seen:
    """An effect with what follows from its name: computed once, asked by every rule."""

    effect: Effect
    name: str  # the target's name, folded
    text: str  # the whole target, folded
    traits: frozenset[str]
    environment: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. None in a condition means that it is not asked. `more_than` makes it one that only tightens."""

    id: str
    verdict: Verdict
    because: str
    hint: str
    verbs: frozenset[Verb] | None = None
    target: Globs | None = None
    tools: re.Pattern[str] | None = None
    traits: frozenset[str] | None = None
    undo: frozenset[Undo] | None = None
    environments: frozenset[str] | None = None
    more_than: tuple[tuple[Unit, int], ...] = ()

    def may_speak(self, verb: Verb, scheme: Scheme) -> bool:
        """Whether it can speak about any effect of this verb and scheme: what the index is made by."""
        return (self.verbs is None or verb in self.verbs) and (self.target is None or scheme in self.target.schemes)

    def of_tool(self, tool: str | None) -> bool:
        """Whether it speaks about what this tool does."""
        return self.tools is None or (tool is not None and self.tools.fullmatch(tool) is not None)

    def fits(self, seen: Seen) -> bool:
        """Whether every condition but verb, tool and extent holds for this effect."""
        effect = seen.effect
        return (
            (self.undo is None or effect.undo in self.undo)
            and (self.traits is None or not self.traits.isdisjoint(seen.traits))
            and (self.environments is None or seen.environment in self.environments)
            and (self.target is None or self._meant(seen))
        )

    def exceeded_by(self, effects: Sequence[Effect]) -> bool:
        """Whether the effects together are more than one of the bounds. What is unknown may always be more."""
        for unit, bound in self.more_than:
            amounts = [effect.extent.amount for effect in effects if effect.extent.unit is unit]
            if None in amounts or sum(amount for amount in amounts if amount is not None) > bound:
                return True
        return False

    def _meant(self, seen: Seen) -> bool:
        assert self.target is not None  # noqa: S101 (for the type checker: `fits` asked)
        if self.target.regex.fullmatch(seen.text):
            return True
        # A change somewhere in a database may be one of the table that a strict rule means: doubt is refusal.
        wide = self.target.wide
        return (
            wide is not None
            and self.verdict >= Verdict.ASK
            and seen.effect.verb not in LOOKING
            and wide.fullmatch(seen.text) is not None
        )


@dataclass(frozen=True, slots=True)
class Store:
    """A configured database, as far as judging needs it."""

    environment: str
    write: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules in their order, and the floor. `index` gives those that can speak about a verb and a scheme, `choosy`
    those that ask for the tool, `order` the place of each."""

    rules: tuple[Rule, ...]
    floor: Floor
    databases: Mapping[str, Store]
    index: Mapping[tuple[Verb, Scheme], tuple[Rule, ...]] = field(repr=False)
    choosy: tuple[Rule, ...] = field(repr=False)
    order: Mapping[str, int] = field(repr=False)

    @property
    def ground(self) -> Ground:
        return self.floor.ground

    def see(self, effect: Effect) -> Seen:
        """The effect with its derived traits (`TRAITS`) and its database's environment."""
        target = effect.target
        if target.scheme is Scheme.FILE:
            name = fold_path(target.name)
            traits = effect.traits
            if lies_in(target.name, self.ground.workspace):
                traits = traits | (_RUNS_LATER if folded_runs_later(self.floor.inside(name)) else _IN_WORKSPACE)
            return Seen(effect, name, "file://" + name, traits, None)
        name = fold(target.name)
        text = f"{target.scheme.value}:{'//' if target.scheme is Scheme.HTTPS else ''}{name}"
        if target.scheme is not Scheme.SQL:
            return Seen(effect, name, text, effect.traits, None)
        database, _, table = name.partition("/")
        store = self.databases.get(database)
        if store is None:
            return Seen(effect, name, text, effect.traits | {"not-configured"}, None)
        granted = effect.verb in LOOKING or store.write.fullmatch(table)
        return Seen(
            effect, name, text, effect.traits if granted else effect.traits | {"not-granted"}, store.environment
        )


_IN_WORKSPACE = frozenset({"in-workspace"})
_RUNS_LATER = frozenset({"in-workspace", "runs-later"})


def compile_rulebook(policy: Policy, ground: Ground) -> Rulebook:
    """Raises ValueError where a pattern is none; the model has said so before, with the line."""
    databases = {fold(name): Store(d.environment, table_globs(d.write)) for name, d in policy.databases.items()}
    rules = (*(compile_rule(rule, ground.workspace) for rule in policy.rule), *_of_sections(policy, ground.workspace))
    index = {
        (verb, scheme): tuple(rule for rule in rules if rule.may_speak(verb, scheme))
        for verb in Verb
        for scheme in Scheme
    }
    choosy = tuple(rule for rule in rules if rule.tools is not None)
    return Rulebook(rules, Floor(ground), databases, index, choosy, {rule.id: at for at, rule in enumerate(rules)})


def compile_rule(rule: RuleModel, workspace: str) -> Rule:
    """A rule as it is written, made ready."""
    when = rule.when
    return Rule(
        rule.id,
        rule.verdict,
        rule.because,
        rule.hint,
        frozenset(when.verb) if when.verb else None,
        compile_globs(when.target, workspace) if when.target else None,
        name_globs(when.tool) if when.tool else None,
        frozenset(when.trait) if when.trait else None,
        frozenset(when.undo) if when.undo else None,
        frozenset(when.environment) if when.environment else None,
        tuple(when.more_than.bounds()) if when.more_than else (),
    )


def _of_sections(policy: Policy, workspace: str) -> Iterable[Rule]:
    any_database = compile_globs(["sql:*"], workspace)
    beyond = Verdict.DENY if policy.approvals.headless else Verdict.ASK
    if policy.workspace.max_files is not None:
        most = policy.workspace.max_files
        yield Rule(
            "workspace.max-files",
            beyond,
            f"one call changes more than {most:,} files",
            "do it in smaller steps, each of which can be undone",
            frozenset({*_CHANGING, Verb.CHMOD}),
            compile_globs(["file:///**"], workspace),
            more_than=((Unit.FILES, most),),
        )
    yield Rule(
        "databases.not-configured",
        Verdict.DENY,
        "the policy names no such database",
        "use a database that `gate_status` lists; a person adds one to the policy",
        target=any_database,
        traits=frozenset({"not-configured"}),
    )
    yield Rule(
        "databases.not-granted",
        Verdict.DENY,
        "the policy does not list this table under the database's `write`",
        "read it with `sql_query`, or say which table should be writable; a person adds it to the policy",
        frozenset({*_CHANGING, Verb.GRANT}),
        any_database,
        traits=frozenset({"not-granted"}),
    )
    for name, database in policy.databases.items():
        everything = compile_globs([f"sql:{name}/*"], workspace)
        yield Rule(
            f"databases.{name}.max-rows",
            beyond,
            f"one call changes more than {database.max_rows:,} rows of `{name}`",
            "narrow the condition, or go in steps that each stay below the limit",
            frozenset(_CHANGING),
            everything,
            more_than=((Unit.ROWS, database.max_rows),),
        )
        if (speaks := _schema(name, database.schema_, everything)) is not None:
            yield speaks


def _schema(name: str, schema: Schema, everything: Globs) -> Rule | None:
    rule, define = f"databases.{name}.schema", frozenset({Verb.DEFINE})
    if schema is Schema.ASK:
        return Rule(rule, Verdict.ASK, f"the structure of `{name}` changes only with leave", "", define, everything)
    if schema is Schema.NEVER:
        because, hint = "does not change through the gate", "write the statement down for a person to run"
        return Rule(rule, Verdict.DENY, f"the structure of `{name}` {because}", hint, define, everything)
    hint = "write the change as a migration file in the project, to be merged and applied"
    because = f"the structure of `{name}` changes by migrations only"
    tools = re.compile(r"(?!migration_).*", re.DOTALL)
    return Rule(rule, Verdict.DENY, because, hint, define, everything, tools)
