"""The first run: the same calls as plain functions, with the rights of whoever started them. No gate."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from byleave.demo.story import Step
from byleave.demo.world import Host


def play(host: Host, steps: tuple[Step, ...]) -> list[str]:
    """Do every step for real in this copy of the world; the answers, as a raw tool would give them.

    Only ever acts beneath `host.root`: a script that named another place would be a fault of the demo.
    """
    log = host.state / "agent.log"
    answers: list[str] = []
    for step in steps:
        answers.append(_do(host, step))
        if host.state.is_dir():
            with log.open("a") as lines:
                lines.write(f"{step.tool} {dict(step.arguments)}\n")
    return answers


def _do(host: Host, step: Step) -> str:
    if step.tool == "sql_change":
        return _change(host.database, str(step.arguments["sql"]))
    path = host.shop / str(step.arguments["path"])  # an absolute path wins, as in a shell
    if not path.resolve().is_relative_to(host.root.resolve()):
        raise ValueError(f"`{path}` is not in the scratch directory")
    match step.tool:
        case "files_read" if path.is_dir():
            return "\n".join(sorted(entry.name for entry in path.iterdir()))
        case "files_read":
            return path.read_text()
        case "files_write":
            path.write_text(str(step.arguments["text"]))
            return "ok"
        case "files_remove":
            return _remove(path)
        case tool:
            raise ValueError(f"the script has no plain form of `{tool}`")


def _remove(path: Path) -> str:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return "ok"


def _change(database: Path, sql: str) -> str:
    connection = sqlite3.connect(database)
    try:
        with connection:
            count = connection.execute(sql).rowcount
    finally:
        connection.close()
    return f"ok, {count} rows" if count >= 0 else "ok"
