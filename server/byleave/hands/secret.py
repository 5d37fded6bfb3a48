"""Where secrets come from: the gate reads them for itself, and they go nowhere else.

    env:NAME                     an environment variable of the gate
    file:/path                   the first line of a file
    command:prog arg             what a program prints (a password manager); split as a shell does, run without one
    command:["prog", "arg"]      the same, each argument by itself

INVARIANT: no message holds the value, or anything that the program printed. A source is no secret and may be shown.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from byleave.effects import printable

#: A password manager may ask a person for a fingerprint.
COMMAND_SECONDS = 20.0
MOST_BYTES = 64 * 1024


class SecretUnavailable(Exception):  # noqa: N818 (a state, as in `StoreDown`)
    """A secret that cannot be had. The message names the source and says why, and never holds the value."""


def is_source(text: str) -> bool:
    """Whether a text says where a value is to be read rather than being the value."""
    return text.startswith(("env:", "file:", "command:"))


def resolve(source: str, *, environ: Mapping[str, str], folder: Path) -> str:
    """The value that a source names. `folder` is where relative paths begin and programs run.

    Blocks, for `command:` up to 20 seconds. Raises `SecretUnavailable`.
    """
    kind, _, rest = source.partition(":")
    match kind:
        case "env":
            value = environ.get(rest)
        case "file":
            value = _first_line(rest, folder)
        case "command":
            value = _printed(rest, environ, folder)
        case _:
            raise SecretUnavailable("a secret is named by `env:NAME`, `file:PATH` or `command:PROGRAM`")
    if not value:
        raise SecretUnavailable(f"`{printable(source)[:120]}` is empty or not set")
    return value


def resolve_url(url: str, *, environ: Mapping[str, str], folder: Path) -> str:
    """A database URL as it is, or read from where it says. A password in the policy itself is `SecretUnavailable`."""
    if is_source(url):
        return resolve(url, environ=environ, folder=folder)
    if urlsplit(url).password is not None:
        raise SecretUnavailable(
            "a `url` with a password in it, for all to read: write `env:NAME`, `file:PATH` or `command:PROGRAM`"
        )
    return url


def _first_line(path: str, folder: Path) -> str:
    named = f"`file:{printable(path)[:120]}`"
    try:
        with (folder / Path(path).expanduser()).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SecretUnavailable(f"{named}: {os.strerror(error.errno or 0).lower()}") from None
    return _text(content, named)


def _printed(command: str, environ: Mapping[str, str], folder: Path) -> str:
    arguments = _arguments(command)
    named = f"`command:{printable(arguments[0])[:80]}`"
    try:
        done = subprocess.run(  # noqa: S603 (as above)
            arguments,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SecretUnavailable(f"{named} did not answer within {COMMAND_SECONDS:.0f} seconds") from None
    except (OSError, ValueError):
        raise SecretUnavailable(f"{named} cannot be started") from None
    if done.returncode != 0:
        raise SecretUnavailable(f"{named} ended with code {done.returncode}")
    return _text(done.stdout, named)


def _arguments(command: str) -> Sequence[str]:
    listed = command.lstrip().startswith("[")
    try:
        arguments = _Arguments.validate_json(command) if listed else shlex.split(command)
    except ValueError:
        arguments = []
    if not arguments or not arguments[0]:
        raise SecretUnavailable("`command:` is followed by a program and its arguments, or by a JSON list of them")
    return arguments


_Arguments = TypeAdapter(list[str])


def _text(content: bytes, named: str) -> str:
    if len(content) > MOST_BYTES:
        raise SecretUnavailable(f"{named} gives more than 64 kB")
    try:
        return content.decode().split("\n", 1)[0].strip()
    except UnicodeDecodeError:
        raise SecretUnavailable(f"{named} gives no text") from None
