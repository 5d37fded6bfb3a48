"""What a policy file may say: one pydantic model, from which the JSON schema is published.

Unknown keys are refused, values are not coerced. Where a value may be one or several, it becomes a tuple.
"""

from __future__ import annotations

import re

from pydantic import Field, model_validator

from byleave.policy.rules import RuleModel
from byleave.policy.values import (
    Duration,
    Environment,
    Hidden,
    Line,
    Listed,
    OneEnvironment,
    OneSchema,
    Places,
    Preset,
    RateText,
    Schema,
    Section,
    Tables,
)

_DATABASE = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class WorkspaceSection(Section):
    """What of the workspace is there for tools."""

    hidden: Hidden = Field(
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
    environment: OneEnvironment = Field(
        default=Environment.PRODUCTION,
        description="`development`, `test` (may be thrown away), `staging` or `production`. Rules ask for it; what is "
        "not stated is production.",
    )
    write: Tables = Field(
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
    schema_: OneSchema = Field(
        default=Schema.MIGRATIONS,
        alias="schema",
        description="When the structure may change: `never`, `ask`, or by `migrations` only.",
    )


class BackupsSection(Section):
    """Where backups lie."""

    protect: Places = Field(
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
        json_schema_extra={"default": "45s"},
        description="How long a call waits for an answer before it goes on without one. Clients give up at 60 seconds.",
    )
    expire: Duration = Field(
        default=900.0,
        json_schema_extra={"default": "15m"},
        description="How long a request can be answered, and leave that was given can be used.",
    )
    headless: bool | None = Field(
        default=None,
        description="Whether nobody is there to ask: then `ask` is an immediate, explained deny. Left out, the gate "
        "finds out.",
    )


class Policy(Section):
    """A policy: what a tool's effects may be, in words that can be read aloud."""

    extends: Preset | None = Field(
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
