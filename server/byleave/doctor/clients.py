"""Findings about clients: which start this gate, and which keep raw tools beside it. Only reported, never changed.

With its own shell on, a client walks round the gate, and nothing here can see it. What is read are the files that
each client documents; docs/clients.md says what to write into them.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from byleave.doctor.finding import Finding, Gravity, Kind
from byleave.effects import printable
from byleave.policy.clients import client_files

Table = Mapping[str, object]

#: Claude Code's tools that act or read past the gate; its list grows, so `--tools ""` or a hook is the stronger way.
_CLAUDE_RAW = ("Bash", "Edit", "Write", "NotebookEdit", "Read", "Glob", "Grep", "WebFetch")
_CURSOR_RAW = ("Shell", "Read", "Write", "Grep", "Delete", "Task")


def clients(workspace: Path, home: Path) -> Iterator[Finding]:
    found = client_files(workspace, home)
    if not found:
        yield Finding(
            Kind.NO_CLIENT,
            Gravity.NOTE,
            "no client's configuration here starts the gate",
            "`byleave serve` prints the entry for each client; docs/clients.md has them too",
        )
    for name in found:
        path = Path(name)
        if servers := _other_servers(path):
            yield Finding(
                Kind.OTHER_SERVERS,
                Gravity.NOTE,
                f"`{printable(name)}` starts other servers too: {', '.join(servers)}: what they do is not judged",
                "keep only those that cannot touch files, databases or a shell",
            )
        if left := _raw_left(path, workspace, home):
            yield Finding(
                Kind.RAW_TOOLS,
                Gravity.WARNING,
                f"`{printable(name)}` starts the gate, and {left}",
                "switch them off as docs/clients.md says: with them, the agent walks round the gate",
            )


def _raw_left(path: Path, workspace: Path, home: Path) -> str | None:
    """What of the client's own tools is left on beside the gate, in words; None where they are off, or it has none."""
    by_name: Mapping[str, Callable[[Path, Path], str | None]] = {
        ".mcp.json": _claude_code,
        ".claude.json": _claude_code,
        "settings.json": _claude_code if path.parent.name == ".claude" else _unknown,
        "settings.local.json": _claude_code,
        "claude_desktop_config.json": lambda _workspace, _home: None,
        "config.toml": lambda _workspace, _home: _codex(path),
        "opencode.json": lambda _workspace, _home: _opencode(path),
        "mcp.json": _cursor if path.parent.name == ".cursor" else _unknown,
        "cli.json": _cursor,
    }
    return by_name.get(path.name, _unknown)(workspace, home)


def _claude_code(workspace: Path, home: Path) -> str | None:
    names = ("settings.json", "settings.local.json")
    files = [root / ".claude" / name for root in (workspace, home) for name in names]
    files.append(Path("/etc/claude-code/managed-settings.json"))
    denied = {str(rule) for file in files for rule in _list(_table(_json(file), "permissions"), "deny")}
    left = [] if "*" in denied else [tool for tool in _CLAUDE_RAW if tool not in denied]
    return f'Claude Code keeps {", ".join(left)}, unless it is run with `--tools ""`' if left else None


def _cursor(workspace: Path, home: Path) -> str | None:
    files = [root / ".cursor" / "hooks.json" for root in (workspace, home)]
    hooks = [
        hook
        for file in (*files, Path("/etc/cursor/hooks.json"))
        for hook in _list(_table(_json(file), "hooks"), "preToolUse")
    ]
    tables = [cast("Table", hook) for hook in hooks if isinstance(hook, dict)]
    closed = [str(hook.get("matcher", "")).split("|") for hook in tables if hook.get("failClosed") is True]
    stopped = {tool for matcher in closed for tool in matcher}
    left = [tool for tool in _CURSOR_RAW if tool not in stopped]
    return f"no hook that fails closed stops Cursor's own {', '.join(left)}" if left else None


def _codex(path: Path) -> str | None:
    features = _table(_toml(path), "features")
    left = [name for name in ("shell_tool", "unified_exec") if features.get(name) is not False]
    return f"Codex keeps {', '.join(left)} (`[features]`)" if left else None


def _opencode(path: Path) -> str | None:
    return (
        None if _table(_json(path), "permission").get("*") == "deny" else "opencode keeps its own tools (`permission`)"
    )


def _unknown(workspace: Path, home: Path) -> str | None:
    del workspace, home
    return "whether this client's own tools are off cannot be told from here"


def _other_servers(path: Path) -> list[str]:
    content = _toml(path) if path.suffix == ".toml" else _json(path)
    named = {str(name) for key in ("mcpServers", "servers", "mcp_servers", "mcp") for name in _table(content, key)}
    return [f"`{printable(name)}`" for name in sorted(named) if name != "byleave"]


def _json(path: Path) -> Table:
    try:
        value: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("Table", value) if isinstance(value, dict) else {}


def _toml(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _table(of: Table, key: str) -> Table:
    value = of.get(key)
    return cast("Table", value) if isinstance(value, dict) else {}


def _list(of: Table, key: str) -> list[object]:
    value = of.get(key)
    return cast("list[object]", value) if isinstance(value, list) else []
