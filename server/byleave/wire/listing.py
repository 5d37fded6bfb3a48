"""The tool list as MCP wants it: small, flat, and the same in every process.

Clients cut a description after 2 kB, skip or rewrite schemas with a choice at their root, read a missing annotation as
the worst case, and put the whole list in front of every conversation. So: short, inlined, all four hints, fixed order.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, cast

import mcp_types as types

from byleave.capability import Arguments, Tool

#: Characters; a longer description costs every conversation, and clients start to cut at 2,000.
LONGEST_DESCRIPTION = 450

Schema = dict[str, Any]


def listed(tools: Iterable[Tool[Any, Any, Any]]) -> list[types.Tool]:
    """The tools in the order given. That order is part of the prompt, so a stable one keeps clients' caches warm."""
    return [_tool(tool) for tool in tools]


def described(tool: Tool[Any, Any, Any]) -> str:
    """The description the model reads: the tool's own docstring, unwrapped to one paragraph per blank line."""
    text = inspect.cleandoc(type(tool).__doc__ or "")
    return "\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def schema_of(arguments: type[Arguments]) -> Schema:
    """The JSON schema of a tool's arguments without titles, references and null branches.

    Unknown fields stay forbidden. An optional field is one that may be left out: that it would also take null is true,
    and not worth an `anyOf` in every prompt.
    """
    raw = arguments.model_json_schema()
    parts = cast("Mapping[str, Schema]", raw.pop("$defs", {}))
    schema = cast("Schema", _flat(raw, parts))
    schema.pop("description", None)
    return {"type": "object", "properties": {}, **schema, "additionalProperties": False}


def _tool(tool: Tool[Any, Any, Any]) -> types.Tool:
    hints = tool.hints
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=described(tool),
        input_schema=schema_of(tool.arguments),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=hints.read_only,
            destructive_hint=hints.destructive,
            idempotent_hint=hints.idempotent,
            open_world_hint=hints.open_world,
        ),
    )


def _flat(node: object, parts: Mapping[str, Schema]) -> object:
    if isinstance(node, list):
        return [_flat(item, parts) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    node = cast("Schema", node)
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        node = {**parts[name], **{key: value for key, value in node.items() if key != "$ref"}}
    out: Schema = {}
    for key, value in node.items():
        if key == "properties":
            # Names of arguments, not keywords: one may be called `title`.
            fields = cast("Mapping[str, Schema]", value).items()
            out[key] = {name: _without_null(cast("Schema", _flat(field, parts))) for name, field in fields}
        elif key != "title" and not (key == "default" and value is None):
            out[key] = _flat(value, parts)
    return out


def _without_null(field: Schema) -> Schema:
    """A field that is optional because it may be null: it may be left out, which is all that a client has to know."""
    choices = cast("list[Schema]", field.get("anyOf", []))
    left = [choice for choice in choices if choice != {"type": "null"}]
    if len(left) == len(choices):
        return field
    rest = {key: value for key, value in field.items() if key != "anyOf"}
    return {**left[0], **rest} if len(left) == 1 else {**rest, "anyOf": left}
