"""Writes docs/cli.md from the commands themselves: `python tests/cli_page.py > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from byleave.cli import SECTIONS, main
from byleave.cli.ending import MEANING

INTRODUCTION = """\
# The command line

Written from the commands' own help by `python tests/cli_page.py`; a test compares it. `byleave --version` says which
version this is.

Options that many commands share: `--workspace` (the project's folder), `--policy` (a file or a preset), `--state-dir`
(where log, snapshots and trust lie; `BYLEAVE_STATE_DIR` says the same), `--json` (for a program). What fails says why
on standard error, in one line, and what to do about it in a second.

## Exit codes

The same for every command.

| code | means |
|---|---|
"""

COMPLETION = """
## Completion

Words, options and files are completed in bash, zsh and fish:

```sh
eval "$(byleave completion bash)"
```
"""


def page() -> str:
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANING.items())
    parts = [INTRODUCTION + codes + COMPLETION]
    for section, commands in SECTIONS.items():
        parts.append(f"\n## {section}\n")
        for name in commands:
            command = main.get_command(click.Context(main), name)
            assert command is not None
            parts.extend(help_of(command, f"byleave {name}"))
    return "".join(parts)


def help_of(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, terminal_width=100)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"\n### {name}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from help_of(below, f"{name} {word}")


if __name__ == "__main__":
    print(page(), end="")
