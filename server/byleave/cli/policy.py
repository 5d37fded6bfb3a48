"""`byleave init`, `byleave trust` and `byleave policy`: writing a policy, letting it take effect, reading it aloud."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byleave.effects import printable
from byleave.policy import load as loading
from byleave.policy.drafting import draft
from byleave.policy.explain import Line, as_json, explain, limits
from byleave.policy.floor import REFUSALS
from byleave.policy.load import Loaded, PolicyError, load
from byleave.policy.schema import schema_text
from byleave.policy.trust import POLICY_NAME, TrustError, UnreadableError, read_policy_file, recall
from byleave.policy.trust import trust as record_trust
from byleave.policy.values import PRESETS
from byleave.store.entry import StoreDown
from byleave.store.opening import default_state_dir
from byleave.store.place import claim_state_dir

#: Exit codes of every command here: the policy is wrong, untrusted or there already; the state directory is unusable.
POLICY, STORE = 4, 5

_COLOURS = {"allow": "green", "delay": "green", "ask": "yellow"}


class CannotDo(click.ClickException):
    """Ends a command with a sentence and what to do about it."""

    exit_code = POLICY

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: object = None) -> None:
        del file
        click.echo(f"byleave: {self.message}", err=True)
        if self.hint:
            click.echo(f"hint: {self.hint}", err=True)


class CannotKeep(CannotDo):
    """The state directory cannot be used."""

    exit_code = STORE


def _workspace(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--workspace",
        type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
        default=".",
        help="The project's folder; the current one if not given.",
    )(command)


def _policy(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--policy",
        metavar="FILE|PRESET",
        help=f"A policy file, or one of {', '.join(PRESETS)}. Not given: the workspace's {POLICY_NAME} where it "
        "is trusted, else develop.",
    )(command)


def _state_dir(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="BYLEAVE_STATE_DIR",
        help="Where trust is kept, if not in the usual place.",
    )(command)


@contextmanager
def _in_words() -> Generator[None]:
    try:
        yield
    except PolicyError as error:
        raise CannotDo(str(error), error.hint) from error


def _load(policy: str | None, workspace: Path, state_dir: Path | None) -> Loaded:
    with _in_words():
        return load(policy, workspace=workspace, state_dir=state_dir or default_state_dir(os.environ))


@click.command()
@_workspace
@click.option(
    "--extends", type=click.Choice(PRESETS), default="develop", show_default=True, help="The preset to build on."
)
@click.option("--stdout", "to_stdout", is_flag=True, help="Print the policy instead of writing it.")
def init(workspace: Path, extends: str, to_stdout: bool) -> None:
    """Write a commented byleave.toml for a project.

    Looks for SQLite databases, files of secrets and backups, and writes them down as suggestions in comments: nothing
    is granted by a guess. A file that is there already is left as it is. The new policy takes effect after
    `byleave trust`.
    """
    text = draft(workspace, extends)
    if to_stdout:
        click.echo(text, nl=False)
        return
    path = workspace / POLICY_NAME
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CannotDo(
            f"`{printable(str(path))}` is there already", "print a fresh one with `byleave init --stdout`"
        ) from None
    except OSError as error:
        raise CannotDo(f"`{printable(str(path))}` cannot be written: {(error.strerror or 'error').lower()}") from error
    click.echo(f"wrote {printable(str(path))}")
    click.echo("next: read it, uncomment what fits, then run `byleave trust`")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True), default=POLICY_NAME)
@click.option(
    "--digest", metavar="SHA256", help="Trust the file only if it has this digest (at least 12 characters of it)."
)
@_state_dir
@click.option("--json", "json_", is_flag=True, help="Print path and digest as JSON.")
def trust(file: Path, digest: str | None, state_dir: Path | None, json_: bool) -> None:
    """Let the policy FILE take effect, exactly as it now is (byleave.toml here, if not given).

    A policy in a workspace can be written by whoever works there, the agent included. So the gate follows only the text
    that a person has trusted: after each change it goes on with the last trusted one and says so, until this command
    is run again. What has changed since is shown. A file outside of the workspace is trusted by being named.
    """
    path = Path(os.path.realpath(file / POLICY_NAME if file.is_dir() else file))
    try:
        text = read_policy_file(path, loading.SIZE_LIMIT)
    except UnreadableError as error:
        raise CannotDo(f"`{printable(str(path))}` {error}") from error
    with _in_words():
        loaded = loading.checked(loading.Source(str(path), text), path.parent)
    if digest is not None and (len(digest) < 12 or not loaded.digest.startswith(digest.lower())):
        raise CannotDo(
            f"the digest is {loaded.digest}, not the one given", "read the file again: it is not what you read"
        )
    try:
        place = claim_state_dir(state_dir or default_state_dir(os.environ), path.parent)
        before = recall(place, path)
        trusted = record_trust(place, path, text)
    except (StoreDown, TrustError) as error:
        raise CannotKeep(str(error)) from error
    if json_:
        click.echo(
            json.dumps(
                {"path": trusted.path, "digest": trusted.digest, "changed": before is None or before.text != text}
            )
        )
        return
    if before is not None and before.text != text:
        changes = difflib.unified_diff(
            before.text.splitlines(), text.splitlines(), "trusted before", "trusted now", lineterm=""
        )
        click.echo("\n".join(printable(line) for line in changes))
    click.echo(f"trusted {printable(trusted.path)}, digest {trusted.digest[:12]}")
    click.echo("a gate that runs already follows it after a restart")


@click.group(name="policy")
def policy() -> None:
    """Read a policy: what it says, as a table, as text, as a schema for editors."""


@policy.command(name="explain")
@_policy
@_workspace
@_state_dir
@click.option("--json", "json_", is_flag=True, help="Everything as JSON.")
def explain_(policy: str | None, workspace: Path, state_dir: Path | None, json_: bool) -> None:
    """Read the policy in force aloud: effect by effect, then the floor and the limits.

    Every line is the answer of the judge to a sample, so what is shown is what happens.
    """
    loaded = _load(policy, workspace, state_dir)
    if json_:
        click.echo(json.dumps(as_json(loaded), indent=2))
        return
    console = Console(highlight=False)
    for notice in loaded.notices:
        console.print(Text(f"notice: {notice}", style="yellow"))
    console.print(Text(f"policy: {printable(loaded.origin)}, digest {loaded.digest[:12]}"))
    console.print(Text(f"workspace: {printable(loaded.book.ground.workspace)}\n"))
    console.print(_table(explain(loaded)))
    console.print(Text("\nThe floor, which nothing lifts:", style="bold"))
    for no in REFUSALS:
        console.print(Text(f"  {no.rule}: {no.because}"), soft_wrap=True)
    protected = ", ".join(map(printable, loaded.book.ground.protected)) or "none named: add [backups] protect"
    console.print(Text(f"  backups: {protected}"), soft_wrap=True)
    console.print(Text(f"\n{'Limits:' if limits(loaded.policy) else 'No limits.'}", style="bold"))
    for name, bound in limits(loaded.policy).items():
        console.print(Text(f"  {name}: {bound:,}" if isinstance(bound, int) else f"  {name}: {bound}"))


def _table(lines: tuple[Line, ...]) -> Table:
    table = Table("a call that would", "verdict", "rule", box=None, pad_edge=False, header_style="bold")
    for line in lines:
        table.add_row(Text(line.words), Text(line.verdict, style=_COLOURS.get(line.verdict, "red")), Text(line.rule))
    return table


@policy.command()
@_policy
@_workspace
@_state_dir
@click.option("--json", "json_", is_flag=True, help="The policy with its preset merged in, as JSON.")
def show(policy: str | None, workspace: Path, state_dir: Path | None, json_: bool) -> None:
    """Print the text in force: of an untrusted file that is the one last trusted, or the preset."""
    loaded = _load(policy, workspace, state_dir)
    if json_:
        merged = loaded.policy.model_dump(mode="json", by_alias=True, exclude_none=True)
        shown = {"policy": loaded.origin, "digest": loaded.digest, "notices": list(loaded.notices), "merged": merged}
        click.echo(json.dumps(shown, indent=2))
        return
    for line in (*loaded.notices, f"policy: {printable(loaded.origin)}, digest {loaded.digest[:12]}"):
        click.echo(line, err=True)
    click.echo(loaded.text, nl=not loaded.text.endswith("\n"))


@policy.command()
def schema() -> None:
    """Print the JSON schema of policy files, for editors: `#:schema ./byleave.schema.json` as the first line."""
    click.echo(schema_text(), nl=False)
