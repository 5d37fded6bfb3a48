"""docs/policy.md and the published schema say what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from byleave.policy.load import PolicyError, Source, checked, parse, preset
from byleave.policy.schema import schema_text
from byleave.policy.values import PRESETS
from policy_page import PAGE, SCHEMA, renewed

BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
SCHEMA_NOW = json.loads(SCHEMA.read_text())


def test_the_page_is_current() -> None:
    """Else run `python tests/policy_page.py`."""
    assert PAGE.read_text() == renewed(PAGE.read_text())


def test_the_published_schema_is_current() -> None:
    assert SCHEMA.read_text() == schema_text()


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_of_the_page_loads_and_its_examples_hold(text: str) -> None:
    loaded = checked(Source("policy.md", text), Path("/project"))
    assert loaded.policy.rule


def test_the_page_has_examples() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("text", [*BLOCKS, *(preset(name).text for name in PRESETS)], ids=lambda text: text[:20])
def test_the_schema_accepts_what_loads(text: str) -> None:
    jsonschema.validate(tomllib.loads(text), SCHEMA_NOW)


@pytest.mark.parametrize(
    "text",
    [
        "extendz = 'develop'",
        "extends = 'devlop'",
        "[limits]\nrate = '60/min'",
        "[approvals]\nwait = '5 minutes'",
        "[databases.a]\nwrite = ['x']",
        "[databases.a]\nurl = 'env:A'\nenvironment = 'prod'",
        "[[rule]]\nid = 'a.b'\nwhen = { verb = 'look' }\nverdict = 'allow'\nbecause = 'x'",
        "[[rule]]\nid = 'a.b'\nwhen = { verb = [] }\nverdict = 'allow'\nbecause = 'x'",
        "[[rule]]\nid = 'a.b'\nwhen = { verb = 'read' }\nverdict = 'permit'\nbecause = 'x'",
    ],
)
def test_the_schema_refuses_what_does_not(text: str) -> None:
    with pytest.raises(PolicyError):
        parse(Source("x", text))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), SCHEMA_NOW)


def test_every_key_and_every_table_is_described() -> None:
    tables = {"the file": SCHEMA_NOW, **SCHEMA_NOW["$defs"]}
    assert [name for name, table in tables.items() if not table.get("description")] == []
    keys = [(name, key, value) for name, table in tables.items() for key, value in table["properties"].items()]
    assert [(name, key) for name, key, value in keys if not value.get("description") and "$ref" not in value] == []
