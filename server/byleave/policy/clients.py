"""Which configurations of clients in reach start this gate: whoever edits one starts something else in its place."""

from __future__ import annotations

import os
from pathlib import Path

#: Where clients keep their configuration, relative to a project and to the home directory.
PLACES = (
    ".mcp.json",
    ".claude.json",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".continue/config.yaml",
    ".copilot/mcp-config.json",
    ".cursor/mcp.json",
    ".cursor/cli.json",
    ".gemini/settings.json",
    ".idea/mcp.json",
    ".junie/mcp/mcp.json",
    ".kiro/settings/mcp.json",
    ".opencode/opencode.json",
    ".roo/mcp.json",
    ".vscode/mcp.json",
    ".vscode/settings.json",
    ".zed/settings.json",
    "opencode.json",
    "opencode.jsonc",
    ".config/Claude/claude_desktop_config.json",
    ".config/opencode/opencode.json",
    ".config/zed/settings.json",
    ".codeium/windsurf/mcp_config.json",
    "Library/Application Support/Claude/claude_desktop_config.json",
)
_SIZE_LIMIT = 1024 * 1024


def client_files(*roots: Path) -> tuple[str, ...]:
    """The configurations below `roots` that name `byleave`, canonical. What cannot be read counts: doubt is refusal."""
    found = (os.path.realpath(root / place) for root in roots for place in PLACES if os.path.lexists(root / place))
    return tuple(dict.fromkeys(path for path in found if _names_the_gate(path)))


def _names_the_gate(path: str) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except OSError:
        return True
    return len(content) > _SIZE_LIMIT or b"byleave" in content
