"""The kinds of value that a policy file holds: each is checked where it stands, in words that say what would be one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from byleave.effects import Undo, Verb
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


Preset = Literal["read-only", "develop", "operate", "ci"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_RULE_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
#: First words of ids that the gate itself gives out.
RESERVED = ("backups", "databases", "floor", "judge", "workspace")

T = TypeVar("T")


def _duration(value: object) -> float:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"`{value}` is no duration: write for example `45s`, `10m`, `2h` (ms, s, m, h or d)")
    return int(found["count"]) * _SECONDS[found["unit"]]


def _duration_text(seconds: float) -> str:
    for unit, size in sorted(_SECONDS.items(), key=lambda pair: -pair[1]):
        if seconds >= size and (seconds / size).is_integer():
            return f"{int(seconds / size)}{unit}"
    return f"{round(seconds * 1000)}ms"


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


def _one(kind: type[StrEnum]) -> BeforeValidator:
    return BeforeValidator(lambda value: _word(kind, value))


def _word_schema(kind: type[StrEnum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(kind)})


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
    PlainSerializer(_duration_text),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$"}),
]
RateText = Annotated[
    Rate,
    BeforeValidator(_rate),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^[1-9][0-9]{{0,8}} ?/ ?({'|'.join(PERIODS)})$"}),
]
VerdictWord = Annotated[
    Verdict,
    BeforeValidator(_verdict),
    PlainSerializer(lambda verdict: verdict.word),
    WithJsonSchema({"type": "string", "enum": [verdict.word for verdict in Verdict]}),
]
Line = Annotated[str, AfterValidator(_line)]
Several = Annotated[tuple[str, ...], BeforeValidator(_several), _several_schema()]
OneVerb = Annotated[Verb, _one(Verb), _word_schema(Verb)]
OneUndo = Annotated[Undo, _one(Undo), _word_schema(Undo)]
OneEnvironment = Annotated[Environment, _one(Environment), _word_schema(Environment)]
OneSchema = Annotated[Schema, _one(Schema), _word_schema(Schema)]
Verbs = Annotated[tuple[Verb, ...], _words(Verb), _several_schema(*Verb)]
Undos = Annotated[tuple[Undo, ...], _words(Undo), _several_schema(*Undo)]
Environments = Annotated[tuple[Environment, ...], _words(Environment), _several_schema(*Environment)]
Traits = Annotated[Several, AfterValidator(_traits), _several_schema(*TRAITS)]
Targets = Annotated[Several, AfterValidator(_targets)]
Tools = Annotated[Several, AfterValidator(_tools)]
Tables = Annotated[Listed[str], AfterValidator(_tables)]
Hidden = Annotated[Listed[str], AfterValidator(_hidden)]
Places = Annotated[Listed[str], AfterValidator(_absolute)]
RuleId = Annotated[str, AfterValidator(_rule_id)]
Hint = Annotated[str, AfterValidator(lambda text: _line(text) if text else text)]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
