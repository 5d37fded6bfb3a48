"""The generated parts of docs/policy.md, and the published schema. `python tests/policy_page.py` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from byleave.policy.explain import explain
from byleave.policy.floor import REFUSALS
from byleave.policy.load import Source, checked
from byleave.policy.model import Policy
from byleave.policy.runs_later import ENDINGS, FILES, FOLDERS, HOOKS, WITHIN
from byleave.policy.schema import schema_text
from byleave.policy.values import PRESETS, TRAITS

DOCS = Path(__file__).parents[1] / "docs"
PAGE, SCHEMA = DOCS / "policy.md", DOCS / "byleave.schema.json"

#: Two databases, so that the table has lines for them.
DATABASES = """
[databases.dev]
url = "env:DEV"
environment = "development"
write = ["*"]

[databases.shop]
url = "env:SHOP"
environment = "production"
write = ["*"]
"""


def presets_table() -> str:
    """What each preset says to each sample, by judging it."""
    columns = {}
    for name in PRESETS:
        loaded = checked(Source(name, f'extends = "{name}"\n{DATABASES}'), Path("/project"))
        columns[name] = explain(loaded)
    lines = [f"| a call that would | {' | '.join(PRESETS)} |", "|---" * (len(PRESETS) + 1) + "|"]
    for row in zip(*columns.values(), strict=True):
        assert len({line.words for line in row}) == 1
        lines.append(f"| {row[0].words} | {' | '.join(line.verdict for line in row)} |")
    return "\n".join(lines)


def keys_tables() -> str:
    """Every key that a policy file may have, with what the schema says of it."""
    return "\n\n".join(_tables(Policy, ""))


def _tables(model: type[BaseModel], where: str) -> Iterator[str]:
    lines = [f"**`{where}`**" if where else "**The file itself**", "", "| key | |", "|---|---|"]
    below: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        lines.append(f"| `{key}` | {field.description} |")
        for inner in _models(field.annotation):
            below.append((inner, _heading(where, key)))
    yield "\n".join(lines)
    seen = set[type[BaseModel]]()
    for inner, heading in below:
        if inner not in seen:
            seen.add(inner)
            yield from _tables(inner, heading)


def _heading(where: str, key: str) -> str:
    match where, key:
        case "", "rule":
            return "[[rule]]"
        case "", "databases":
            return "[databases.NAME]"
        case "", _:
            return f"[{key}]"
        case "[[rule]]", "matches":
            return "an example in matches or spares"
        case _:
            return f"{key} = {{ … }}"


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def floor_table() -> str:
    rows = (f"| `{no.rule}` | {no.because} | {no.hint} |" for no in REFUSALS)
    return "\n".join(["| rule | why | what to do instead |", "|---|---|---|", *rows])


def traits_table() -> str:
    return "\n".join(["| trait | |", "|---|---|", *(f"| `{name}` | {says} |" for name, says in TRAITS.items())])


def runs_later_list() -> str:
    within = [f"{folder}/{name}" for folder, names in WITHIN.items() for name in names]
    parts = {
        "Folders with everything in them": [*FOLDERS, "*.git"],
        "Files": [*FILES, *ENDINGS],
        "In some folders": within,
        "Hooks of git, in any folder": HOOKS,
    }
    return "\n".join(f"- {words}: {', '.join(f'`{name}`' for name in sorted(names))}" for words, names in parts.items())


PARTS = {
    "presets": presets_table,
    "keys": keys_tables,
    "floor": floor_table,
    "traits": traits_table,
    "runs-later": runs_later_list,
}


def renewed(page: str) -> str:
    """The page with every generated part as it is now."""
    for name, make in PARTS.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text = f"{begin}\n\n{make()}\n\n{end}"
        page, count = pattern.subn(lambda _, text=text: text, page)
        assert count == 1, name
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
    SCHEMA.write_text(schema_text())
