"""What the host runs unprompted, by its name alone, anywhere in the tree."""

from __future__ import annotations

import pytest

from byleave.policy.runs_later import FILES, FOLDERS, HOOKS, WITHIN, runs_later

LATER = [
    ".git/hooks/pre-commit", ".git/config", ".git/info/attributes", ".git/modules/lib/config", ".git",
    "sub/project/.git/hooks/post-checkout", "vendor/lib.git/hooks/update", "lib.git", "worktree/.git",
    ".GIT/config", "\uff0egit/config", ".g\u200cit/config", ".git./config", ".git /config", "GIT~1/config",
    ".husky/pre-push", ".githooks/anything", "scripts/pre-commit", "tools/hooks/update", ".pre-commit-config.yaml",
    "docs/HEAD", "HEAD", ".hg/hgrc", ".jj/repo/config.toml",
    "lefthook.yml", ".lintstagedrc", ".lintstagedrc.mjs",
    ".cursor/mcp.json", ".Cursor/mcp.json", "sub/.cursor/rules/a.mdc", ".claude/settings.json", ".claude/hooks/x.sh",
    ".mcp.json", "sub/.mcp.json", ".codex/config.toml", ".gemini/settings.json", ".continue/config.yaml",
    ".windsurf/mcp.json", ".opencode/x", "opencode.json", ".aider.conf.yml",
    ".vscode/tasks.json", ".vscode/settings.json", ".vscode/launch.json", ".vscode/extensions.json",
    ".VSCode/Tasks.json",
    "shop.code-workspace", ".idea/runConfigurations/x.xml", ".idea/workspace.xml", ".run/server.run.xml", "a.run.xml",
    ".zed/tasks.json", ".devcontainer/devcontainer.json", ".devcontainer.json", ".github/copilot-setup-steps.yml",
    ".github/hooks/x.json", ".envrc", "sub/.envrc", ".bashrc", ".zshenv", ".profile", ".config/fish/config.fish",
    ".config/autostart/x.desktop", "Library/LaunchAgents/x.plist", ".exrc", ".nvim.lua", ".mise.toml", ".gitconfig",
]  # fmt: skip
NOT_LATER = [
    "src/app.py", "package.json", "Makefile", "conftest.py", ".github/workflows/ci.yml", ".gitlab-ci.yml", ".gitignore",
    ".gitattributes", "git/config", "digit/config", "gitconfig", ".github/CODEOWNERS", ".github", ".vscode",
    ".vscode/cspell.json", "vscode/tasks.json", "CLAUDE.md", "AGENTS.md", "docs/husky.md", "bin/update",
    "src/hooks/useCart.ts", "HEAD.md", "src/Head.tsx",
    "hooks/useUpdate.js", "mcp.json", "src/claude/settings.json", "config/autostart", ".config/app.json",
    "cursor/mcp.json",
    "a.envrc.md", "pre-commit.md", "docs/pre-commit/readme.md", "profile", "bashrc", "lefthook.md", "tasks.json",
    ".git-blame-ignore-revs", ".idea.md", "x.github/hooks/y",
]  # fmt: skip


@pytest.mark.parametrize("path", LATER)
def test_the_host_runs_it(path: str) -> None:
    assert runs_later(path)


@pytest.mark.parametrize("path", NOT_LATER)
def test_it_runs_only_by_a_later_command_or_never(path: str) -> None:
    assert not runs_later(path)


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_everything_in_a_folder_of_the_list_counts(name: str) -> None:
    assert runs_later(name)
    assert runs_later(f"{name}/x/y")
    assert runs_later(f"a/{name.upper()}/x")
    assert not runs_later(f"a/x{name}x/y")


@pytest.mark.parametrize("name", sorted(FILES | HOOKS))
def test_a_file_of_the_list_counts_anywhere_and_only_as_a_whole_name(name: str) -> None:
    assert runs_later(name)
    assert runs_later(f"a/b/{name.upper()}")
    assert not runs_later(f"a/{name}/b") or name in FOLDERS
    assert not runs_later(f"a/x{name}x")


@pytest.mark.parametrize(("folder", "names"), sorted(WITHIN.items()))
def test_of_some_folders_only_a_part_counts(folder: str, names: tuple[str, ...]) -> None:
    for name in names:
        assert runs_later(f"a/{folder}/{name.replace('*', 'x')}")
        assert not runs_later(f"a/{name.replace('*', 'x')}")
    assert not runs_later(f"{folder}/ordinary.txt")


def test_the_list_is_folded_as_names_are() -> None:
    names = [*FOLDERS, *FILES, *HOOKS, *WITHIN, *(name for names in WITHIN.values() for name in names)]
    assert [name for name in names if name != name.lower()] == []
