"""Asking the person at the terminal, before something happens on their word."""

from __future__ import annotations

import os

import click

from byleave.cli.ending import Code, ended


def confirmed(question: str, *, yes: bool, instead: str) -> bool:
    """Whether the person says so; `yes` said it already. Where nobody can be asked the command ends, with what to run
    `instead`: a pipe is nobody's word."""
    if yes:
        return True
    if not os.isatty(0):
        raise ended("there is no terminal to ask on", f"`{instead}`", Code.USAGE)
    return click.confirm(f"\n{question}", default=False)
