"""The JSON schema of policy files, as it is published in `docs/byleave.schema.json`."""

from __future__ import annotations

import json
from typing import Any, cast

from byleave.policy.model import Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema, as the published file has it."""
    schema = cast("dict[str, Any]", _untitled(Policy.model_json_schema(mode="validation")))
    text = json.dumps({"$schema": DIALECT, "title": "byleave policy", **schema}, indent=2, ensure_ascii=False)
    return text + "\n"


def _untitled(part: object) -> object:
    """Without the titles that pydantic makes from names, which editors would show in place of the descriptions."""
    if isinstance(part, dict):
        table = cast("dict[str, object]", part)
        return {
            key: _untitled(value) for key, value in table.items() if not (key == "title" and isinstance(value, str))
        }
    if isinstance(part, list):
        return [_untitled(one) for one in cast("list[object]", part)]
    return part
