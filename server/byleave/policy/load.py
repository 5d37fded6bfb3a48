"""Reading a policy: from a preset, a file, or the workspace's own `byleave.toml` where a person trusts it.

Everything that can be wrong with a policy is said here, when it loads, with file, line and key; nothing is left for
the moment of judging. What is read once is what is parsed, digested and trusted: no file is opened twice.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from byleave.effects import printable
from byleave.policy.clients import client_files
from byleave.policy.examples import PlanOf, Problem, prove_examples
from byleave.policy.floor import Ground
from byleave.policy.lines import Key, line_for, lines_of
from byleave.policy.model import Policy
from byleave.policy.rulebook import Rulebook, compile_rulebook
from byleave.policy.source import SIZE_LIMIT, PolicyError, Source, choose, preset
from byleave.policy.trust import POLICY_NAME
from byleave.policy.ways import ways

__all__ = ["SIZE_LIMIT", "Loaded", "PolicyError", "Source", "checked", "load", "parse", "preset", "sqlite_file"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy in force. `digest` is the SHA-256 of `text`, the file as it was written; `origin` says where it is from;
    `notices` are lines for a person, to be shown until they no longer hold."""

    policy: Policy
    book: Rulebook
    digest: str
    origin: str
    notices: tuple[str, ...]
    text: str

    def with_databases(self, paths: tuple[str, ...]) -> Loaded:
        """The same, standing on these files of databases too (canonical): for each `url` that only the gate reads."""
        ground = self.book.ground
        ground = replace(ground, databases=tuple(dict.fromkeys((*ground.databases, *paths))))
        return replace(self, book=compile_rulebook(self.policy, ground))

    def prove(self, plan_of: PlanOf) -> None:
        """Prove the examples that are calls. Raises PolicyError naming rule and line."""
        _prove(self.book, self.policy, Source(self.origin, self.text), plan_of)


def load(
    source: str | None,
    *,
    workspace: Path,
    state_dir: Path | None,
    home: Path | None = None,
    prove: PlanOf | None = None,
) -> Loaded:
    """The policy named by `source` (a preset or a path), or the workspace's own where it is trusted.

    A file outside the workspace is trusted by being named. One inside has to be trusted (`byleave trust`), since
    whoever works in the workspace may have written it: an untrusted one gives way to the text that was last trusted for
    that path, and where there is none to `develop` with a notice (to an error, where the file was named).
    Raises PolicyError.
    """
    root = Path(os.path.realpath(workspace))
    chosen, files, notices = choose(source, root, state_dir)
    ground = Ground(
        str(root), _real(state_dir), os.path.realpath(home or Path.home()), _texts((root / POLICY_NAME, *files))
    )
    return _built(chosen, ground, notices, prove)


def checked(source: Source, workspace: Path) -> Loaded:
    """A text as it would be in force, trusted or not: to find out what is wrong with it. Raises PolicyError."""
    return _built(source, Ground(os.path.realpath(workspace), "", os.path.realpath(Path.home())), (), None)


def _built(source: Source, ground: Ground, notices: tuple[str, ...], plan_of: PlanOf | None) -> Loaded:
    policy = parse(source)
    book = compile_rulebook(policy, _with_policy(ground, policy))
    _prove(book, policy, source, plan_of)
    digest = hashlib.sha256(source.text.encode()).hexdigest()
    return Loaded(policy, book, digest, source.name, notices, source.text)


def parse(source: Source) -> Policy:
    """The policy that a text says, with what it extends merged in. Raises PolicyError."""
    raw, lines = _read(source)
    own = _validated(source, raw, lines)
    if own.extends is None:
        if own.drop:
            raise _error(source, lines, ("drop",), "there is no preset to drop rules of: add `extends`")
        return own
    under, _ = _read(preset(own.extends))
    known = [rule["id"] for rule in under.get("rule", [])]
    for at, dropped in enumerate(own.drop):
        if dropped not in known:
            message = f"`{printable(dropped)}` is no rule of the preset `{own.extends}`{_meant(dropped, known)}"
            raise _error(source, lines, ("drop", at), message)
    for at, rule in enumerate(own.rule):
        if rule.id in known:
            message = f"`{rule.id}` is a rule of the preset `{own.extends}`: choose another id"
            message += ", and drop the preset's if it does not apply" if rule.id not in own.drop else ""
            raise _error(source, lines, ("rule", at, "id"), message)
    under["rule"] = [rule for rule in under["rule"] if rule["id"] not in own.drop]
    return Policy.model_validate(_merged(under, raw))


def _read(source: Source) -> tuple[dict[str, Any], Mapping[Key, int]]:
    if len(source.text.encode()) > SIZE_LIMIT:
        raise PolicyError(
            f"{source.name}: longer than {SIZE_LIMIT // 1024} KiB", "a policy is read by people: make it shorter"
        )
    try:
        return tomllib.loads(source.text), lines_of(source.text)
    except tomllib.TOMLDecodeError as cause:
        found = re.search(
            r"^(?P<what>.*?) \(at (?:line (?P<line>[0-9]+), column [0-9]+|end of document)\)$", str(cause), re.DOTALL
        )
        line = (found and found["line"]) or str(source.text.count("\n") + 1)
        what = found["what"] if found else str(cause)
        raise PolicyError(f"{source.name}:{line}: not TOML: {printable(what[:1].lower() + what[1:])}") from cause
    except RecursionError as cause:
        raise PolicyError(f"{source.name}: nested too deeply") from cause


def _validated(source: Source, raw: dict[str, Any], lines: Mapping[Key, int]) -> Policy:
    try:
        policy = Policy.model_validate(raw)
    except ValidationError as cause:
        first = min(cause.errors(include_url=False), key=lambda error: line_for(lines, error["loc"]))
        raise _error(source, lines, first["loc"], _words(first)) from cause
    first_at: dict[str, int] = {}
    for at, rule in enumerate(policy.rule):
        if rule.id in first_at:
            line = line_for(lines, ("rule", first_at[rule.id], "id"))
            raise _error(source, lines, ("rule", at, "id"), f"`{rule.id}` is the id of the rule in line {line} already")
        first_at[rule.id] = at
    return policy


def _words(error: ErrorDetails) -> str:
    """One of pydantic's errors in our words."""
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{_meant(str(error['loc'][-1]), _keys_at(error['loc'][:-1]))}"
        case "missing":
            return "this key is missing"
        case "value_error":
            return printable(str(context.get("error", error["msg"])))
        case _:
            said = error["msg"]
            shown = f": `{printable(str(value))[:60]}`" if isinstance(value, str | int | float) else ""
            return said[:1].lower() + said[1:] + shown


def _meant(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f": did you mean `{close[0]}`?" if close else f" (known: {', '.join(known)})" if known else ""


def _keys_at(loc: Key) -> list[str]:
    """The keys that a table of the file may have."""
    schema = Policy.model_json_schema()
    here = schema
    for part in loc:
        here = (
            here.get("items", {})
            if isinstance(part, int)
            else here.get("properties", {}).get(part) or here.get("additionalProperties", {})
        )
        for option in (*here.get("anyOf", ()), here):
            if "$ref" in option:
                here = schema["$defs"][cast("str", option["$ref"]).rsplit("/", 1)[-1]]
    return list(here.get("properties", {}))


def _error(source: Source, lines: Mapping[Key, int], key: Key, message: str) -> PolicyError:
    said = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{printable(part)}" for part in key).lstrip(".")
    return PolicyError(f"{source.name}:{line_for(lines, key)}: " + (f"{said}: " if said else "") + message)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Tables merge key by key, lists are appended, anything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merged(cast("dict[str, Any]", below), cast("dict[str, Any]", value))
        elif isinstance(below, list) and isinstance(value, list):
            merged[key] = [*below, *value]
        else:
            merged[key] = value
    return merged


def _prove(book: Rulebook, policy: Policy, source: Source, plan_of: PlanOf | None) -> None:
    problems: list[Problem] = prove_examples(book, policy, plan_of)
    if not problems:
        return
    problem = problems[0]
    lines = lines_of(source.text)
    # The rules of a preset come first in the merged policy: count from the end, where the file's own stand.
    own = len(tomllib.loads(source.text).get("rule", []))
    at = cast("int", problem.key[1]) - (len(policy.rule) - own)
    raise _error(source, lines, ("rule", at, *problem.key[2:]), f"rule `{problem.rule}`: {problem.message}")


def _with_policy(ground: Ground, policy: Policy) -> Ground:
    """The ground with what the policy adds to it."""
    root, home = Path(ground.workspace), Path(ground.home)
    backups = (home / place[2:] if place.startswith("~/") else Path(place) for place in policy.backups.protect)
    files = (_named_by(database.url, root) for database in policy.databases.values())
    return replace(
        ground,
        protected=tuple(way for place in backups for way in ways(place, root)),
        databases=tuple(way for path in files if path is not None for way in ways(path, root)),
        client_files=client_files(root, home),
        hidden=policy.workspace.hidden,
    )


def _real(path: Path | None) -> str:
    return "" if path is None else os.path.realpath(path)


def _texts(paths: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(path) for path in paths))


def sqlite_file(url: str, root: Path) -> str | None:
    """The canonical path of the file that a `sqlite:///` URL names; None for any other URL."""
    path = _named_by(url, root)
    return None if path is None else os.path.realpath(path)


def _named_by(url: str, root: Path) -> Path | None:
    """The same as it is written."""
    if not url.startswith("sqlite:///"):
        return None
    path = unquote(url.removeprefix("sqlite:///").partition("?")[0].partition("#")[0])
    return root / path if "\0" not in path else None
