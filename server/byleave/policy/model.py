"""What a policy file may say: one pydantic model, from which the JSON schema is published.

Unknown keys are refused, values are not coerced. Where a value may be one or several, it becomes a tuple.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from byleave.effects import Undo, Unit, Verb
from byleave.policy.decision import Verdict
from byleave.policy.globs import compile_globs, name_globs, table_globs
from byleave.policy.hiding import check_pattern
from byleave.rails.rate import PERIODS, Rate

#: Traits that a rule may name, with what they say; the survey's first, then those that judging derives.
TRAITS: Mapping[str, str] = {
    "hidden": "the policy hides it",
    "hidden-alias": "another name of a hidden file",
    "outside": "it lands outside the workspace",
    "readonly": "the file system says that it is not to be written",
    "other-user": "it belongs to another user",
    "in-workspace": "a file in the workspace",
    "hard-link": "the file has more than one name",
    "moved-away": "it is no longer at this name",
    "no-where": "a change of rows without a condition",
    "indirect": "done by a trigger or a cascade",
    "runs-later": "the host runs it unprompted: git hooks, client and editor configurations, shell profiles",
    "not-configured": "a database that the policy does not name",
    "not-granted": "a table that the database's `write` does not list",
}


class Schema(StrEnum):
    """When the structure of a database may change."""

    NEVER = "never"
    ASK = "ask"
    MIGRATIONS = "migrations"


class Environment(StrEnum):
    """What a database is for. `test` is one that may be thrown away."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


PRESETS = ("read-only", "develop", "operate", "ci")

_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_RULE_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
_DATABASE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
#: First words of ids that the gate itself gives out.
RESERVED = ("backups", "databases", "floor", "judge", "workspace")

T = TypeVar("T")


def _duration(value: object) -> float:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"`{value}` is no duration: write for example `45s`, `10m`, `2h` (ms, s, m, h or d)")
    return int(found["count"]) * _SECONDS[found["unit"]]


def _rate(value: object) -> Rate:
    return Rate.parse(value if isinstance(value, str) else str(value))


def _word(kind: type[StrEnum], value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        raise ValueError(f"`{value}` is none of: {', '.join(kind)}") from None


def _verdict(value: object) -> Verdict:
    words = {verdict.word: verdict for verdict in Verdict}
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"`{value}` is none of: {', '.join(words)}")
    return words[value]


def _several(value: object) -> tuple[str, ...]:
    """One text or a list of them; never an empty list, which would be a condition that nothing fulfils."""
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not several:
        raise ValueError("write one text, or a list of at least one")
    for one in several:  # pyright: ignore[reportUnknownVariableType] (what a TOML list holds is looked at here)
        if not isinstance(one, str):
            raise ValueError(f"`{one}` is no text")  # noqa: TRY004 (pydantic turns ValueError into its own)
    return tuple(several)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] (looked at above)


def _several_schema(*words: str) -> WithJsonSchema:
    one: dict[str, object] = {"type": "string"}
    if words:
        one["enum"] = list(words)
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})


def _words(kind: type[StrEnum]) -> BeforeValidator:
    return BeforeValidator(lambda value: tuple(_word(kind, one) for one in _several(value)))


def _targets(patterns: tuple[str, ...]) -> tuple[str, ...]:
    compile_globs(patterns, "/")
    return patterns


def _tools(patterns: tuple[str, ...]) -> tuple[str, ...]:
    name_globs(patterns)
    return patterns


def _tables(patterns: tuple[str, ...]) -> tuple[str, ...]:
    table_globs(patterns)
    return patterns


def _traits(traits: tuple[str, ...]) -> tuple[str, ...]:
    for trait in traits:
        if trait not in TRAITS:
            raise ValueError(f"`{trait}` is none of: {', '.join(TRAITS)}")
    return traits


def _hidden(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        check_pattern(pattern)
    return patterns


def _absolute(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not path.startswith(("/", "~/")) or "\0" in path:
            raise ValueError(f"`{path}` is not absolute: write `/mnt/backups` or `~/backups`")
    return paths


def _rule_id(text: str) -> str:
    if _RULE_ID.fullmatch(text) is None:
        raise ValueError(
            f"`{text}` is no rule id: write lower-case words with dots between, for example `git.protected`"
        )
    if text.split(".", 1)[0] in RESERVED:
        raise ValueError(f"`{text}` begins with a word of the gate's own: use another than {', '.join(RESERVED)}")
    return text


def _line(text: str) -> str:
    if not text.strip() or any(not c.isprintable() for c in text):
        raise ValueError("write one line of plain text")
    return text


Listed = Annotated[tuple[T, ...], Field(strict=False)]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_DURATION.pattern}$".replace("?P<count>", "").replace("?P<unit>", "")}
    ),
]
RateText = Annotated[
    Rate,
    BeforeValidator(_rate),
    WithJsonSchema({"type": "string", "pattern": f"^[1-9][0-9]{{0,8}} ?/ ?({'|'.join(PERIODS)})$"}),
]
Line = Annotated[str, AfterValidator(_line)]
Several = Annotated[tuple[str, ...], BeforeValidator(_several), _several_schema()]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class WorkspaceSection(Section):
    """What of the workspace is there for tools."""

    hidden: Annotated[Listed[str], AfterValidator(_hidden)] = Field(
        default=(),
        description="Patterns as in .gitignore, relative to the workspace. What they match is not there by any route. "
        "Added to those of the preset; `!pattern` brings a name back.",
    )
    max_files: int | None = Field(
        default=None,
        ge=0,
        description="The number of files that one call may change; more than that asks, and is denied where nobody is "
        "there to ask.",
    )


class DatabaseSection(Section):
    """One database that sql tools reach, under the name that tools use."""

    url: Line = Field(
        description="Where it is: `sqlite:///data/app.db` (relative to the workspace; four slashes for an absolute "
        "path), or where to read that: `env:NAME`, `file:PATH`, `command:LINE`. Read by the gate alone."
    )
    environment: Annotated[
        Environment,
        BeforeValidator(lambda v: _word(Environment, v)),
        WithJsonSchema({"type": "string", "enum": list(Environment)}),
    ] = Field(
        default=Environment.PRODUCTION,
        description="`development`, `test` (may be thrown away), `staging` or `production`. Rules ask for it; what is "
        "not stated is production.",
    )
    write: Annotated[Listed[str], AfterValidator(_tables)] = Field(
        default=(),
        description="The tables in which rows may change, as globs: `public.orders`, `audit.*`, `*`. None unless "
        "listed.",
    )
    max_rows: int = Field(
        default=500,
        ge=0,
        description="The number of rows that one call may change, counted as they really change, cascades and triggers "
        "included; more than that asks, and is denied where nobody is there to ask.",
    )
    schema_: Annotated[
        Schema, BeforeValidator(lambda v: _word(Schema, v)), WithJsonSchema({"type": "string", "enum": list(Schema)})
    ] = Field(
        default=Schema.MIGRATIONS,
        alias="schema",
        description="When the structure may change: `never`, `ask`, or by `migrations` only.",
    )


class BackupsSection(Section):
    """Where backups lie."""

    protect: Annotated[Listed[str], AfterValidator(_absolute)] = Field(
        default=(),
        description="Absolute folders or files (`~/` is the home directory) that no tool reaches, reading included, "
        "whatever the rest says. Added to those of the preset.",
    )


class SessionLimits(Section):
    """What one session may use up. A call that failed still costs."""

    calls: int | None = Field(default=None, ge=0, description="Calls of any tool.")
    rows_deleted: int | None = Field(default=None, ge=0, description="Rows deleted in all databases together.")
    files_deleted: int | None = Field(default=None, ge=0, description="Files deleted.")


class LimitsSection(Section):
    """How much and how fast."""

    rate: RateText | None = Field(
        default=None,
        description="Calls per `second`, `minute`, `hour` or `day`, all of which may come at once: `60/minute`.",
    )
    session: SessionLimits = Field(default=SessionLimits(), description="What one session may use up.")


class ApprovalsSection(Section):
    """How a person is asked."""

    wait: Duration = Field(
        default=45.0,
        description="How long a call waits for an answer before it goes on without one. Clients give up at 60 seconds.",
    )
    expire: Duration = Field(
        default=900.0, description="How long a request can be answered, and leave that was given can be used."
    )
    headless: bool | None = Field(
        default=None,
        description="Whether nobody is there to ask: then `ask` is an immediate, explained deny. Left out, the gate "
        "finds out.",
    )


class MoreThan(Section):
    """Bounds on how much all matching effects of a call come to together."""

    files: int | None = Field(default=None, ge=0, description="More files than this.")
    rows: int | None = Field(default=None, ge=0, description="More rows than this.")
    bytes: int | None = Field(default=None, ge=0, description="More bytes than this.")
    commits: int | None = Field(default=None, ge=0, description="More commits than this.")

    def bounds(self) -> tuple[tuple[Unit, int], ...]:
        """The bounds that are set."""
        pairs = (
            (Unit.FILES, self.files),
            (Unit.ROWS, self.rows),
            (Unit.BYTES, self.bytes),
            (Unit.COMMITS, self.commits),
        )
        return tuple((unit, bound) for unit, bound in pairs if bound is not None)

    @model_validator(mode="after")
    def _bounds_something(self) -> MoreThan:
        if not self.bounds():
            raise ValueError("set at least one bound, for example `files = 200`")
        return self


class When(Section):
    """When a rule speaks: every key that is given holds. A list holds where one of its members does."""

    verb: Annotated[tuple[Verb, ...], _words(Verb), _several_schema(*Verb)] | None = Field(
        default=None, description="What is done."
    )
    target: Annotated[Several, AfterValidator(_targets)] | None = Field(
        default=None,
        description="Globs over the target: `file:src/**`, `file:///etc/**`, `sql:app/public.*`, `git:*/main`, `*`.",
    )
    tool: Annotated[Several, AfterValidator(_tools)] | None = Field(
        default=None, description="Globs over the tool's name: `sql_*`."
    )
    trait: Annotated[Several, AfterValidator(_traits), _several_schema(*TRAITS)] | None = Field(
        default=None,
        description="What no name shows: " + "; ".join(f"`{name}`: {says}" for name, says in TRAITS.items()) + ".",
    )
    undo: Annotated[tuple[Undo, ...], _words(Undo), _several_schema(*Undo)] | None = Field(
        default=None,
        description="How it can be taken back: `snapshot` (the gate keeps what was there), `trivial` (nothing is "
        "lost), `none`.",
    )
    environment: Annotated[tuple[Environment, ...], _words(Environment), _several_schema(*Environment)] | None = Field(
        default=None, description="The environment of the database that the target names."
    )
    more_than: MoreThan | None = Field(
        default=None,
        description="How much all effects that the rest matches come to together; what is unknown counts as more. Such "
        "a rule only tightens: what it speaks about needs another rule that lets it pass.",
    )

    def given(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        """The conditions that are given, but for `more_than`."""
        for key in ("verb", "target", "tool", "trait", "undo", "environment"):
            if (values := getattr(self, key)) is not None:
                yield key, values

    @model_validator(mode="after")
    def _asks_something(self) -> When:
        if not any(True for _ in self.given()):
            raise ValueError("a rule says when it speaks: give `verb`, `target` or another condition")
        return self


class Example(Section):
    """A call, or an effect, that a rule is tried on when the file loads."""

    tool: str | None = Field(default=None, description="The tool that is called, or that the effect comes from.")
    arguments: dict[str, Any] | None = Field(
        default=None, description="The tool's arguments; then its effects are what it plans."
    )
    verb: (
        Annotated[
            Verb, BeforeValidator(lambda v: _word(Verb, v)), WithJsonSchema({"type": "string", "enum": list(Verb)})
        ]
        | None
    ) = Field(default=None, description="Instead of a call: the effect's verb.")
    target: str | None = Field(
        default=None, description="The effect's target, no glob; `file:src/x` is relative to the workspace."
    )
    undo: Annotated[
        Undo, BeforeValidator(lambda v: _word(Undo, v)), WithJsonSchema({"type": "string", "enum": list(Undo)})
    ] = Field(default=Undo.SNAPSHOT, description="How the effect can be taken back.")
    trait: Annotated[Several, AfterValidator(_traits), _several_schema(*TRAITS)] | None = Field(
        default=None, description="Traits of the survey that the effect has."
    )
    environment: (
        Annotated[
            Environment,
            BeforeValidator(lambda v: _word(Environment, v)),
            WithJsonSchema({"type": "string", "enum": list(Environment)}),
        ]
        | None
    ) = Field(default=None, description="The environment of the database, where the policy does not name it.")
    files: int | None = Field(default=None, ge=0, description="The effect's extent in files.")
    rows: int | None = Field(default=None, ge=0, description="The effect's extent in rows.")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Example:
        call = self.tool is not None and self.arguments is not None
        effect = self.verb is not None and self.target is not None
        if call == effect:
            raise ValueError("an example is a call (`tool` and `arguments`) or an effect (`verb` and `target`)")
        return self


class RuleModel(Section):
    """One rule. The strictest verdict of all rules that speak holds, so their order does not matter."""

    id: Annotated[str, AfterValidator(_rule_id)] = Field(
        description="Dotted, lower case, stable: `git.protected`. It stands in refusals and in the log."
    )
    when: When = Field(description="When the rule speaks.")
    verdict: Annotated[
        Verdict, BeforeValidator(_verdict), WithJsonSchema({"type": "string", "enum": [v.word for v in Verdict]})
    ] = Field(
        description="`allow`, `delay` (it happens after a moment in which it can be stopped), `ask` (a person), `deny`."
    )
    because: Line = Field(description="Why, in a few words without a full stop; shown with the verdict.")
    hint: Annotated[str, AfterValidator(lambda text: _line(text) if text else text)] = Field(
        default="", description="What to do instead. A `deny` must have one."
    )
    matches: Listed[Example] = Field(
        default=(), description="Examples about which the rule must speak; tried when the file loads."
    )
    spares: Listed[Example] = Field(default=(), description="Examples about which it must not.")

    @model_validator(mode="after")
    def _holds_together(self) -> RuleModel:
        if self.verdict is Verdict.DENY and not self.hint:
            raise ValueError("a `deny` says what to do instead: add a `hint`")
        if self.verdict is Verdict.ALLOW and self.when.more_than is not None:
            raise ValueError("`more_than` only tightens: make the verdict `delay`, `ask` or `deny`")
        return self


class Policy(Section):
    """A policy: what a tool's effects may be, in words that can be read aloud."""

    extends: Literal["read-only", "develop", "operate", "ci"] | None = Field(
        default=None, description="The preset that this policy builds on: `read-only`, `develop`, `operate` or `ci`."
    )
    drop: Listed[str] = Field(default=(), description="Ids of rules of the preset that do not apply here.")
    workspace: WorkspaceSection = Field(
        default=WorkspaceSection(), description="What of the workspace is there for tools."
    )
    databases: dict[str, DatabaseSection] = Field(
        default_factory=dict[str, DatabaseSection],
        description="The databases that sql tools reach, by the name that tools use: `[databases.app]`.",
    )
    backups: BackupsSection = Field(
        default=BackupsSection(), description="Where backups lie: out of reach of every tool."
    )
    limits: LimitsSection = Field(default=LimitsSection(), description="How much and how fast.")
    approvals: ApprovalsSection = Field(default=ApprovalsSection(), description="How a person is asked.")
    rule: Listed[RuleModel] = Field(
        default=(), description="The rules, each a `[[rule]]` table. An effect about which no rule speaks is denied."
    )

    @model_validator(mode="after")
    def _names_databases(self) -> Policy:
        for name in self.databases:
            if _DATABASE.fullmatch(name) is None:
                raise ValueError(f"`{name}` is no name for a database: write lower-case letters, digits, `-` and `_`")
        return self
