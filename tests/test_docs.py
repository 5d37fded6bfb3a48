"""Nothing that a user can meet is missing from the docs: tools, keys of the policy, flags, refusal words, rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from pydantic import BaseModel

from byleave.capability import Word
from byleave.cli import main
from byleave.policy.floor import REFUSALS
from byleave.policy.model import Policy
from byleave_capabilities import TOOLS

ROOT = Path(__file__).parents[1]
DOCS = {
    path.name: path.read_text() for path in [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]
}
ALL = "\n".join(DOCS.values())


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_and_its_arguments_are_in_the_docs(tool) -> None:
    lines = [line for line in ALL.splitlines() if f"`{tool.name}`" in line]
    assert lines
    missing = [
        name for name in tool.arguments.model_fields if not any(re.search(rf"`{name}\b", line) for line in lines)
    ]
    assert not missing


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_description_stays_under_450_characters(tool) -> None:
    assert tool.__doc__
    assert len(tool.__doc__) <= 450


def keys(model: type[BaseModel]) -> Iterator[str]:
    """Every key that a policy file may have, as it is written there."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        yield from keys_within(field.annotation)


def keys_within(annotation: object) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from keys(annotation)
    for argument in get_args(annotation):
        yield from keys_within(argument)


@pytest.mark.parametrize("key", sorted(set(keys(Policy))))
def test_every_key_of_the_policy_is_in_its_page(key: str) -> None:
    assert re.search(rf"\b{re.escape(key)}\b", DOCS["policy.md"])


@pytest.mark.parametrize("rule", [reason.rule for reason in REFUSALS])
def test_every_refusal_of_the_floor_is_in_the_docs(rule: str) -> None:
    assert f"`{rule}`" in ALL


@pytest.mark.parametrize("word", list(Word))
def test_every_refusal_word_is_in_the_docs(word: Word) -> None:
    assert f"`{word}`" in ALL


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from commands(below, f"{name} {word}")


COMMANDS = [(name, command) for name, command in commands(main, "byleave") if not command.hidden]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_flag_is_in_its_page(name: str, command: click.Command) -> None:
    assert name in DOCS["cli.md"]
    flags = [flag for option in command.params for flag in option.opts if flag.startswith("--") and flag != "--help"]
    assert not [flag for flag in flags if flag not in DOCS["cli.md"]]


def test_links_between_pages_lead_somewhere() -> None:
    for path in [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
