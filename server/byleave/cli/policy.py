"""`byleave init`, `byleave trust` and `byleave policy`: writing a policy, letting it take effect, reading it aloud."""

from __future__ import annotations

import difflib
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byleave.audit import record
from byleave.cli import options
from byleave.cli.ending import Code, ended
from byleave.effects import printable
from byleave.policy import explain as explaining
from byleave.policy import load as loading
from byleave.policy.drafting import draft
from byleave.policy.floor import REFUSALS
from byleave.policy.load import Loaded, PolicyError, load
from byleave.policy.schema import schema_text
from byleave.policy.trust import POLICY_NAME, TrustError, UnreadableError, forget, place_of, read_policy_file, recall
from byleave.policy.trust import trust as record_trust
from byleave.policy.values import PRESETS
from byleave.store.entry import Entry, Kind, StoreDown
from byleave.store.opening import default_state_dir, open_store
from byleave.store.place import claim_state_dir
from byleave.user import user

_COLOURS = {"allow": "green", "delay": "green", "ask": "yellow"}


@contextmanager
def _in_words() -> Generator[None]:
    try:
        yield
    except PolicyError as error:
        raise ended(str(error), error.hint, Code.POLICY) from error


def _load(policy: str | None, workspace: Path, state_dir: Path | None) -> Loaded:
    with _in_words():
        return load(policy, workspace=workspace, state_dir=state_dir or default_state_dir(os.environ))


@click.command()
@options.workspace
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
    if not workspace.is_dir():
        raise ended(f"`{printable(str(workspace))}` is no folder", code=Code.WORKSPACE)
    workspace = workspace.resolve()
    text = draft(workspace, extends)
    if to_stdout:
        click.echo(text, nl=False)
        return
    path = workspace / POLICY_NAME
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ended(
            f"`{printable(str(path))}` is there already", "print a fresh one with `byleave init --stdout`"
        ) from None
    except OSError as error:
        raise ended(f"`{printable(str(path))}` cannot be written: {(error.strerror or 'error').lower()}") from error
    click.echo(f"wrote {printable(str(path))}")
    click.echo("next: read it, uncomment what fits, then run `byleave trust`")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=POLICY_NAME)
@click.option(
    "--digest", metavar="SHA256", help="Trust the file only if it has this digest (at least 12 characters of it)."
)
@click.option("--forget", "forget_it", is_flag=True, help="Take trust back: the file is followed no longer.")
@options.state_dir
@options.as_json
def trust(file: Path, digest: str | None, forget_it: bool, state_dir: Path | None, as_json: bool) -> None:
    """Let the policy FILE take effect, exactly as it now is.

    FILE is byleave.toml of the current folder, if not given. A policy in a workspace can be written by whoever works
    there, the agent included. So the gate follows only the text that a person has trusted: after each change it goes
    on with the last trusted one and says so, until this command is run again; also where the file is gone. What has
    changed since is shown. A file outside of the workspace is trusted by being named.

    \b
    Examples:
      byleave trust
      byleave trust ~/shop/byleave.toml --digest 15ec12c73710
      byleave trust --forget
    """
    path = place_of((file / POLICY_NAME if file.is_dir() else file).expanduser())
    if forget_it:
        _forget(path, state_dir, as_json=as_json)
        return
    try:
        text = read_policy_file(Path(os.path.realpath(path)), loading.SIZE_LIMIT)
    except UnreadableError as error:
        raise ended(f"`{printable(str(path))}` {error}") from error
    with _in_words():
        loaded = loading.checked(loading.Source(str(path), text), path.parent)
    if digest is not None and (len(digest) < 12 or not loaded.digest.startswith(digest.lower())):
        raise ended(f"the digest is {loaded.digest}, not the one given", "read the file again: it is not what you read")
    _prove_calls(loaded, path, state_dir)
    try:
        place = _place(state_dir)
        before = recall(place, path)
        _note(place, f"{user()} trusts {path}, digest {loaded.digest}")
        trusted = record_trust(place, path, text)
    except (StoreDown, TrustError) as error:
        raise ended(str(error), code=Code.STORE) from error
    if as_json:
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


def _forget(path: Path, state_dir: Path | None, *, as_json: bool) -> None:
    try:
        place = _place(state_dir)
        _note(place, f"{user()} trusts {path} no longer")
        forgotten = forget(place, path)
    except (StoreDown, TrustError) as error:
        raise ended(str(error), code=Code.STORE) from error
    if as_json:
        click.echo(json.dumps({"path": str(path), "forgotten": forgotten}))
    else:
        click.echo(
            f"{printable(str(path))} is " + ("trusted no longer" if forgotten else "not trusted: nothing to forget")
        )


def _prove_calls(loaded: Loaded, path: Path, state_dir: Path | None) -> None:
    """What no gate could open is not trusted in place of what it can: the examples that are calls, through the tools.

    Only for a project's own policy, which says by its place where the calls are made.
    """
    from byleave.checking import CannotOpen, checker_of  # noqa: PLC0415  (the tools take long to import)
    from byleave.snapshots.keep import Nowhere  # noqa: PLC0415

    calls = any(e.arguments is not None for rule in loaded.policy.rule for e in (*rule.matches, *rule.spares))
    if path.name != POLICY_NAME or not calls:
        return
    place = state_dir or default_state_dir(os.environ)
    try:
        with checker_of(loaded, root=path.parent.resolve(), state_dir=place, keeper=Nowhere(), environ=os.environ):
            pass
    except CannotOpen as no:
        raise ended(no.message, no.hint, int(no.code)) from no


def _note(place: Path, text: str) -> None:
    """Trust is a change of what is allowed: it is in the log before it takes effect. Raises StoreDown."""

    async def note() -> None:
        async with open_store(place, workspace=None, session=f"cli-{secrets.token_hex(4)}") as store:
            await store.append(Entry(Kind.NOTE, "", record.note("policy", text)))

    anyio.run(note)


def _place(state_dir: Path | None) -> Path:
    return claim_state_dir(state_dir or default_state_dir(os.environ), None)


@click.group(name="policy")
def policy() -> None:
    """Read a policy: what it says, as a table, as text, as a schema for editors."""


@policy.command(name="explain")
@options.policy
@options.workspace
@options.state_dir
@options.as_json
def explain_(policy: str | None, workspace: Path, state_dir: Path | None, as_json: bool) -> None:
    """Read the policy in force aloud: effect by effect, then the floor and the limits.

    Every line is the answer of the judge to a sample, so what is shown is what happens.

    \b
    Examples:
      byleave policy explain
      byleave policy explain --policy ci
      byleave policy explain --policy ./byleave.toml --json
    """
    loaded = _load(policy, workspace, state_dir)
    if as_json:
        click.echo(json.dumps(explaining.as_json(loaded), indent=2))
        return
    console = Console(highlight=False)
    for notice in loaded.notices:
        console.print(Text(f"notice: {notice}", style="yellow"), soft_wrap=True)
    console.print(Text(f"policy: {printable(loaded.origin)}, digest {loaded.digest[:12]}"))
    console.print(Text(f"workspace: {printable(loaded.book.ground.workspace)}\n"))
    console.print(_table(explaining.explain(loaded)))
    console.print(Text("\nThe floor, which nothing lifts:", style="bold"))
    for no in REFUSALS:
        console.print(Text(f"  {no.rule}: {no.because}"), soft_wrap=True)
    protected = ", ".join(map(printable, loaded.book.ground.protected)) or "none named: add [backups] protect"
    console.print(Text(f"  backups: {protected}"), soft_wrap=True)
    console.print(Text(f"\n{'Limits:' if explaining.limits(loaded.policy) else 'No limits.'}", style="bold"))
    for name, bound in explaining.limits(loaded.policy).items():
        console.print(Text(f"  {name}: {bound:,}" if isinstance(bound, int) else f"  {name}: {bound}"))


def _table(lines: tuple[explaining.Line, ...]) -> Table:
    table = Table("a call that would", "verdict", "rule", box=None, pad_edge=False, header_style="bold")
    for line in lines:
        table.add_row(Text(line.words), Text(line.verdict, style=_COLOURS.get(line.verdict, "red")), Text(line.rule))
    return table


@policy.command()
@options.policy
@options.workspace
@options.state_dir
@options.as_json
def show(policy: str | None, workspace: Path, state_dir: Path | None, as_json: bool) -> None:
    """Print the text in force: of an untrusted file that is the one last trusted, or the preset.

    With --json it is the whole policy, its preset merged in.
    """
    loaded = _load(policy, workspace, state_dir)
    if as_json:
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
