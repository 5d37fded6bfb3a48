"""Making rulebooks and effects in one line, for the tests of the policy."""

from __future__ import annotations

from byleave.effects import Effect, Extent, Precision, Target, Undo, Unit, Verb
from byleave.policy.floor import Ground
from byleave.policy.load import Source, parse
from byleave.policy.rulebook import Rulebook, compile_rulebook

ROOT = "/home/ann/shop"

GROUND = Ground(
    workspace=ROOT,
    state_dir="/home/ann/.local/state/byleave",
    home="/home/ann",
    policy_files=(f"{ROOT}/byleave.toml",),
    protected=("/mnt/backups", f"{ROOT}/data/backups"),
    databases=(f"{ROOT}/data/shop.db",),
    client_files=(f"{ROOT}/.mcp.json",),
    hidden=(".env*", "!.env.example", "secrets/", "*.pem"),
)

#: Allows whatever can be allowed: what is refused under it is refused by the floor or a limit.
EVERYTHING = """
[[rule]]
id = "all.allow"
when = { target = "*" }
verdict = "allow"
because = "everything"
"""

DATABASES = """
[databases.dev]
url = "env:DEV"
environment = "development"
write = ["*"]
max_rows = 5

[databases.shop]
url = "env:SHOP"
environment = "production"
write = ["public.orders", "carts"]
max_rows = 5
"""


def book(text: str, ground: Ground = GROUND) -> Rulebook:
    """The rulebook of a policy's text."""
    return compile_rulebook(parse(Source("policy.toml", text)), ground)


def rule(when: str, verdict: str, name: str = "test.rule") -> str:
    """One rule, as text."""
    return f'[[rule]]\nid = "{name}"\nwhen = {{ {when} }}\nverdict = "{verdict}"\nbecause = "of it"\nhint = "do that"\n'


def file(
    verb: Verb | str = Verb.UPDATE,
    path: str = "src/app.py",
    amount: int | None = 1,
    undo: Undo = Undo.SNAPSHOT,
    traits: tuple[str, ...] = (),
    *,
    waits: bool = False,
) -> Effect:
    """An effect on a file; a relative path lies in the workspace."""
    name = path if path.startswith("/") else f"{ROOT}/{path}" if path else ROOT
    precision = Precision.UNKNOWN if amount is None else Precision.EXACT
    extent = Extent(Unit.FILES, amount, precision)
    return Effect(Verb(verb), Target.file(name), extent, undo, waits=waits, traits=frozenset(traits))


def rows(
    verb: Verb | str = Verb.UPDATE,
    name: str = "dev/orders",
    amount: int | None = 1,
    undo: Undo = Undo.SNAPSHOT,
    *,
    waits: bool = False,
) -> Effect:
    """An effect on rows of `database/table`."""
    precision = Precision.UNKNOWN if amount is None else Precision.EXACT
    database, _, table = name.partition("/")
    return Effect(Verb(verb), Target.sql(database, table), Extent(Unit.ROWS, amount, precision), undo, waits=waits)
