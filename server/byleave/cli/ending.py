"""How a command ends when it does not end well: one sentence, what to do about it, and a code that means one thing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import click


class Code(IntEnum):
    """Exit codes of every command."""

    FINE = 0
    NO = 1
    USAGE = 2
    WORKSPACE = 3
    POLICY = 4
    STORE = 5
    ASK = 6


#: What each says. The table in docs/cli.md is compared with this one by a test.
MEANING: Mapping[Code, str] = {
    Code.FINE: "done; or what was asked about is allowed, sound, in order",
    Code.NO: "a no: denied, refused, not found, damaged, or `doctor` found something serious",
    Code.USAGE: "the command was not given as it has to be",
    Code.WORKSPACE: "there is no sensible workspace",
    Code.POLICY: "the policy cannot be used, or is not trusted",
    Code.STORE: "the state directory or the log cannot be used",
    Code.ASK: "`check`: a person would be asked",
}


def ended(message: str, hint: str = "", code: int = Code.NO) -> click.exceptions.Exit:
    """Says why a command ends and what to do about it, on stderr; to be raised."""
    click.echo(f"byleave: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return click.exceptions.Exit(code)
