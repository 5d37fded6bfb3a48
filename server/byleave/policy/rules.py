"""What a `[[rule]]` of a policy file may say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from byleave.effects import Undo, Unit
from byleave.policy.decision import Verdict
from byleave.policy.values import (
    TRAITS,
    Environments,
    Hint,
    Line,
    Listed,
    OneEnvironment,
    OneUndo,
    OneVerb,
    RuleId,
    Section,
    Targets,
    Tools,
    Traits,
    Undos,
    Verbs,
    VerdictWord,
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

    verb: Verbs | None = Field(default=None, description="What is done.")
    target: Targets | None = Field(
        default=None,
        description="Globs over the target: `file:src/**`, `file:///etc/**`, `sql:app/public.*`, `git:*/main`, `*`.",
    )
    tool: Tools | None = Field(default=None, description="Globs over the tool's name: `sql_*`.")
    trait: Traits | None = Field(
        default=None,
        description="What no name shows, one of: " + ", ".join(f"`{name}`" for name in TRAITS) + ".",
    )
    undo: Undos | None = Field(
        default=None,
        description="How it can be taken back: `snapshot` (the gate keeps what was there), `trivial` (nothing is "
        "lost), `none`.",
    )
    environment: Environments | None = Field(
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
    verb: OneVerb | None = Field(default=None, description="Instead of a call: the effect's verb.")
    target: str | None = Field(
        default=None, description="The effect's target, no glob; `file:src/x` is relative to the workspace."
    )
    undo: OneUndo = Field(default=Undo.SNAPSHOT, description="How the effect can be taken back.")
    trait: Traits | None = Field(default=None, description="Traits of the survey that the effect has.")
    environment: OneEnvironment | None = Field(
        default=None, description="The environment of the database, where the policy does not name it."
    )
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

    id: RuleId = Field(description="Dotted, lower case, stable: `git.protected`. It stands in refusals and in the log.")
    when: When = Field(description="When the rule speaks.")
    verdict: VerdictWord = Field(
        description="`allow`, `delay` (it happens after a moment in which it can be stopped), `ask` (a person), `deny`."
    )
    because: Line = Field(description="Why, in a few words without a full stop; shown with the verdict.")
    hint: Hint = Field(default="", description="What to do instead. A `deny` must have one.")
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
