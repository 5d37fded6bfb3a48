"""Files that the host runs unprompted: whoever writes one has a shell later, outside of every gate.

Git runs hooks and keys of its configuration, an editor its tasks on opening a folder, a client its configured servers
and hooks, a shell its profile, direnv its `.envrc`. Such a file is matched by name anywhere in the tree, existing or
not (CVE-2026-25725 was a settings file unprotected because absent). What runs only by a later command of someone
(package scripts, Makefiles, tests, CI) is not here. Pure; names come folded (`names.fold_path`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from byleave.policy.names import fold_path

#: Folders of which everything counts, at any depth.
FOLDERS = frozenset(
    {
        # git and its hook managers. `git~1` is the short name of `.git` on NTFS.
        *(".git", "git~1", ".githooks", ".git-hooks", ".husky", ".lefthook"),
        *(".hg", ".jj"),  # configurations with hooks, like git's
        # coding agents and their clients
        *(".agent", ".agents", ".aider", ".amazonq", ".amp", ".augment", ".claude", ".cline", ".codex", ".continue"),
        *(
            ".copilot",
            ".crush",
            ".cursor",
            ".factory",
            ".gemini",
            ".goose",
            ".junie",
            ".kilocode",
            ".kiro",
            ".opencode",
        ),
        *(".openhands", ".qwen", ".roo", ".trae", ".windsurf"),
        # editors, and what they start when a folder is opened
        *(".devcontainer", ".fleet", ".helix", ".idea", ".run", ".vs", ".zed"),
        # environments entered by changing into a folder
        *(".direnv", ".mise"),
        ".ssh",  # `config` runs ProxyCommand, `rc` runs at login
    }
)

#: Files of these names, at any depth.
FILES = frozenset(
    {
        # Any folder with `HEAD`, `objects` and `refs` is a bare repository to git, whose `config` there runs a program
        # on `git status`, which prompts of shells call (core.fsmonitor). None is one without this file.
        "head",
        *(".gitconfig", ".pre-commit-config.yaml", ".pre-commit-config.yml", "lefthook.yml", "lefthook.yaml"),
        *("lefthook.toml", "lefthook.json", ".lefthook.yml", ".lefthook.yaml", ".lefthook.toml", ".lintstagedrc"),
        *(
            ".mcp.json",
            ".claude.json",
            ".aider.conf.yml",
            "opencode.json",
            "opencode.jsonc",
            "crush.json",
            ".crush.json",
        ),
        *(".devcontainer.json", ".gitpod.yml", ".nvim.lua", ".nvimrc", ".vimrc", ".lvimrc", ".exrc", ".dir-locals.el"),
        *(".emacs", ".gdbinit", ".lldbinit", ".tmux.conf"),
        *(".envrc", ".direnvrc", ".mise.toml", "mise.toml", ".mise.local.toml", "mise.local.toml", ".autoenv"),
        ".autoenv.zsh",
        *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".kshrc", ".mkshrc"),
        *(
            ".zshrc",
            ".zshenv",
            ".zprofile",
            ".zlogin",
            ".zlogout",
            ".cshrc",
            ".tcshrc",
            ".login",
            ".logout",
            ".inputrc",
        ),
        *(".xprofile", ".xinitrc", ".xsession", ".xsessionrc", ".pam_environment"),
    }
)

#: A folder, and what directly in it counts (globs).
WITHIN = {
    ".vscode": ("tasks.json", "launch.json", "settings.json", "extensions.json", "mcp.json", "*.code-profile"),
    ".github": ("copilot*", "hooks", "mcp.json", "agents"),
    ".config": ("autostart", "environment.d", "fish", "git", "nvim", "systemd", "direnv", "mise", "zed", "opencode"),
    "library": ("launchagents", "launchdaemons"),
    "hooks": ("update",),
}

#: Endings of file names.
ENDINGS = ("*.code-workspace", "*.run.xml", ".lintstagedrc.*")

#: What git calls hooks (githooks(5)): one may lie in the folder that `core.hooksPath` names, wherever that is.
HOOKS = frozenset(
    {
        *(
            "applypatch-msg",
            "pre-applypatch",
            "post-applypatch",
            "pre-commit",
            "pre-merge-commit",
            "prepare-commit-msg",
        ),
        *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-receive"),
        *("proc-receive", "post-receive", "post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc"),
        *("post-rewrite", "sendemail-validate", "fsmonitor-watchman", "post-index-change", "p4-changelist"),
        *("p4-prepare-changelist", "p4-post-changelist", "p4-pre-submit"),
    }
)


def _any_of(globs: Iterable[str]) -> str:
    return "|".join(re.escape(glob).replace(r"\*", "[^/]*") for glob in sorted(globs))


def _within() -> str:
    return "|".join(f"{re.escape(folder)}/(?:{_any_of(names)})" for folder, names in WITHIN.items())


# `*.git`: a bare repository carries its hooks and its configuration in itself.
_RUNS_LATER = re.compile(
    rf"(?:^|/)(?:(?:{_any_of(FOLDERS)}|[^/]*\.git|{_within()})(?:/|$)|(?:{_any_of([*FILES, *HOOKS, *ENDINGS])})$)"
)


def runs_later(path: str) -> bool:
    """Whether the host would run what lies at `path` (relative to the workspace, POSIX form) without being asked."""
    return folded_runs_later(fold_path(path))


def folded_runs_later(path: str) -> bool:
    """The same for a path that is folded already."""
    return _RUNS_LATER.search(path) is not None
