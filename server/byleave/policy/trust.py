"""Trusting a policy that lies in the workspace: by its exact text, as direnv does with `.envrc`.

Whoever works in the workspace can write its `byleave.toml`, the agent included (through a raw shell, a pull, a script).
So the file takes effect only as the text that a person has read and trusted. The state directory keeps that text, not
only a digest, so that a later change leaves the trusted policy in force.

One file per policy, `trust/<sha256 of its place>.json`, 0600 in a 0700 folder; written beside and renamed, so
that a reader finds the old record or the new one. A record that others may write, or that is not ours, is no trust.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

POLICY_NAME = "byleave.toml"


class UnreadableError(Exception):
    """A policy file that cannot be read; the message says why, in words that follow its name."""


class TrustError(Exception):
    """Trust could not be recorded."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """A policy as a person trusted it."""

    path: str
    text: str
    digest: str


def place_of(path: Path) -> Path:
    """Where a policy lies: its folder with links resolved, and its own name as it is. Else who puts a link in its place
    would turn it into another policy, of which nothing is known."""
    return Path(os.path.realpath(path.parent)) / path.name


def read_policy_file(path: Path, limit: int) -> str:
    """The text of a regular file of at most `limit` bytes. Never waits for a pipe. Raises UnreadableError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as cause:
        raise UnreadableError(f"cannot be read: {(cause.strerror or 'error').lower()}") from cause
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableError("is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as cause:
        raise UnreadableError(f"cannot be read: {(cause.strerror or 'error').lower()}") from cause
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise UnreadableError(f"is longer than {limit // 1024} KiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise UnreadableError("is not UTF-8") from cause


def trust(state_dir: Path, path: Path, text: str) -> Trusted:
    """Record that a person trusts exactly `text` as the policy at `path`, durably. Raises TrustError."""
    trusted = Trusted(str(place_of(path)), text, hashlib.sha256(text.encode()).hexdigest())
    folder = state_dir / "trust"
    record = _record(state_dir, path)
    content = json.dumps({"path": os.fsencode(trusted.path).hex(), "digest": trusted.digest, "text": text})
    beside = folder / f".{record.name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.rename(beside, record)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as cause:
        raise TrustError(f"cannot write `{record}`: {(cause.strerror or 'error').lower()}") from cause
    return trusted


def recall(state_dir: Path, path: Path) -> Trusted | None:
    """What was last trusted as the policy at `path`; None where nothing was, or the record cannot be believed."""
    record = _record(state_dir, path)
    try:
        descriptor = os.open(record, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    try:
        kept = json.loads(content)
        trusted = Trusted(os.fsdecode(bytes.fromhex(kept["path"])), kept["text"], kept["digest"])
        whole = hashlib.sha256(trusted.text.encode()).hexdigest() == trusted.digest
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return trusted if whole and trusted.path == str(place_of(path)) else None


def forget(state_dir: Path, path: Path) -> bool:
    """Take trust back; whether there was any. Raises TrustError."""
    record = _record(state_dir, path)
    try:
        record.unlink()
    except FileNotFoundError:
        return False
    except OSError as cause:
        raise TrustError(f"cannot remove `{record}`: {(cause.strerror or 'error').lower()}") from cause
    return True


def _record(state_dir: Path, path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(place_of(path))).hexdigest()
    return state_dir / "trust" / f"{name}.json"
