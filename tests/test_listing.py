"""The tool list: what every conversation pays for, and what clients are known to stumble over."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from pydantic import Field

from byleave.capability import Arguments
from byleave.wire.listing import LONGEST_DESCRIPTION, described, listed, schema_of
from byleave_capabilities import TOOLS

LISTED = {tool.name: tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listed(TOOLS)}


def keywords(node: Any) -> set[str]:
    """Every key of a schema, wherever it stands; names of arguments among them."""
    if isinstance(node, dict):
        return {*node, *(key for value in node.values() for key in keywords(value))}
    return {key for item in node for key in keywords(item)} if isinstance(node, list) else set()


def test_the_whole_list_is_under_10_kilobytes() -> None:
    assert (
        len(json.dumps({"tools": list(LISTED.values())}, separators=(",", ":"), ensure_ascii=False).encode()) < 10_000
    )


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_description_is_there_and_short(tool: Any) -> None:
    assert 0 < len(described(tool)) <= LONGEST_DESCRIPTION


@pytest.mark.parametrize("name", LISTED)
def test_a_schema_is_a_closed_flat_object(name: str) -> None:
    schema = LISTED[name]["inputSchema"]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert not {"anyOf", "oneOf", "allOf"} & set(schema)
    assert not {"$ref", "$defs", "title"} & keywords(schema)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_it_names_the_same_arguments_as_the_gate_takes(tool: Any) -> None:
    schema = LISTED[tool.name]["inputSchema"]
    fields = tool.arguments.model_fields
    assert set(schema["properties"]) == set(fields)
    assert set(schema.get("required", ())) == {name for name, field in fields.items() if field.is_required()}


def test_an_argument_may_be_called_like_a_keyword() -> None:
    class Odd(Arguments):
        """Never shown."""

        title: str
        default: int | None = None

    assert schema_of(Odd) == {
        "type": "object",
        "properties": {"title": {"type": "string"}, "default": {"type": "integer"}},
        "required": ["title"],
        "additionalProperties": False,
    }


def test_null_stays_where_it_is_a_value() -> None:
    class Values(Arguments):
        values: Annotated[list[str | None], Field(max_length=3)]

    items = schema_of(Values)["properties"]["values"]["items"]
    assert items == {"anyOf": [{"type": "string"}, {"type": "null"}]}
