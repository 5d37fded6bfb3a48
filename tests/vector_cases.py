"""Reading `tests/vectors/*.txt`: attacks and ordinary work as plain text (the format: tests/vectors/README.md)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors"


@dataclass
class Step:
    """One call, with what is to come of it."""

    tool: str
    arguments: dict[str, object]
    expect: str = ""
    rule: str = ""
    shows: list[str] = field(default_factory=list)
    hides: list[str] = field(default_factory=list)


@dataclass
class Case:
    """A world, a policy, calls in order, and how the world is afterwards."""

    name: str
    comment: str = ""
    policy: str = 'extends = "develop"\n'
    world: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def cases() -> list[Case]:
    """Every case of every file."""
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path.stem, path.read_text())]


def read(file: str, text: str) -> list[Case]:
    """The cases of one file."""
    found: list[Case] = []
    block: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("  "):
            assert block is not None, f"{file}:{number}: nothing to belong to"
            block.append(line[2:])
            continue
        key, colon, value = line.partition(":")
        assert colon, f"{file}:{number}: no key"
        block = _take(found, f"{file}:{number}", key, value.strip())
    for case in found:
        case.policy = case.policy if isinstance(case.policy, str) else "\n".join(case.policy)
        assert case.steps, case.name
        assert all(step.expect for step in case.steps), case.name
    return found


def _take(found: list[Case], at: str, key: str, value: str) -> list[str] | None:
    if key == "case":
        found.append(Case(f"{at.partition(':')[0]}: {value}"))
        return None
    case = found[-1]
    match key:
        case "comment":
            case.comment = value
        case "policy" if value:
            case.policy = f'extends = "{value}"\n'
        case "policy":
            case.policy = ['extends = "develop"']  # its lines follow
            return case.policy
        case "world":
            return case.world
        case "call":
            tool, _, arguments = value.partition(" ")
            case.steps.append(Step(tool, json.loads(arguments or "{}")))
        case "expect":
            case.steps[-1].expect, _, case.steps[-1].rule = value.partition(" ")
        case "shows":
            case.steps[-1].shows.append(json.loads(f'"{value}"'))
        case "hides":
            case.steps[-1].hides.append(json.loads(f'"{value}"'))
        case "after":
            return case.after
        case _:
            raise AssertionError(f"{at}: unknown key `{key}`")
    return None


def build(lines: list[str], root: Path) -> None:
    """Make a world: `path = text`, `path/`, `path -> link`, `path == other name`, `path *N = text` for N files."""
    for line in lines:
        if " -> " in line:
            path, target = line.split(" -> ")
            _in(root, path).symlink_to(target.replace("{root}", str(root)))
        elif " == " in line:
            path, other = line.split(" == ")
            os.link(_in(root, other), _in(root, path))
        elif line.endswith("/"):
            _in(root, line.rstrip("/")).mkdir(parents=True, exist_ok=True)
        else:
            path, _, text = line.partition(" = ")
            path, _, count = path.partition(" *")
            for number in range(int(count or 1)):
                _in(root, path.replace("{n}", str(number))).write_text(json.loads(f'"{text}"') + "\n")


def _in(root: Path, path: str) -> Path:
    where = root / "project" / json.loads(f'"{path}"')
    where.parent.mkdir(parents=True, exist_ok=True)
    return where


def picture(root: Path) -> dict[str, str]:
    """Everything below `root` but the gate's own: what must be equal where nothing happened."""
    seen: dict[str, str] = {}
    for above, folders, names in os.walk(root):
        if Path(above) == root:
            folders.remove("state")
        for name in [*folders, *names]:
            path = Path(above) / name
            mode = oct(path.lstat().st_mode)
            if path.is_symlink():
                seen[str(path)] = f"{mode} -> {os.readlink(path)}"
            else:
                seen[str(path)] = mode + (f" {path.read_bytes()!r}" if path.is_file() else "")
    return seen


def differences(lines: list[str], root: Path) -> list[str]:
    """What of `after` does not hold: `path = text`, or `path gone`."""
    wrong = []
    for line in lines:
        if line.endswith(" gone"):
            path = root / "project" / json.loads(f'"{line.removesuffix(" gone")}"')
            if os.path.lexists(path):
                wrong.append(line)
            continue
        name, _, text = line.partition(" = ")
        path = root / "project" / json.loads(f'"{name}"')
        if not path.is_file() or path.read_text().rstrip("\n") != json.loads(f'"{text}"'):
            wrong.append(f"{line}: it is {path.read_text() if path.is_file() else 'no file'!r}")
    return wrong
