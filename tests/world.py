"""A small world for tests of the whole gate: a workspace, a database, backups and a state directory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byleave.answers import Answer
from byleave.approvals import requests
from byleave.audit.verify import Findings, Row, verify
from byleave.gate import Gate
from byleave.ledger import Caller
from byleave.opening import open_gate
from byleave.store.entry import Store
from byleave.store.opening import open_store, read_approver_key
from byleave.store.reading import Reader

CALLER = Caller(principal="local:test", session="test", client="pytest")
POLICY = """
extends = "develop"
[databases.app]
url = "sqlite:///app.db"
environment = "development"
write = ["orders"]
max_rows = 10
[backups]
protect = ["{backups}"]
[approvals]
wait = "{wait}"
"""


@dataclass(frozen=True)
class World:
    """Where everything lies."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    @property
    def policy(self) -> Path:
        return self.root / "policy.toml"

    @property
    def database(self) -> Path:
        return self.workspace / "app.db"

    def orders(self) -> int:
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            (count,) = connection.execute("select count(*) from orders").fetchone()
        connection.close()
        return int(count)

    def tree(self) -> dict[str, bytes]:
        """Every file of the workspace but the database's own, by relative path."""
        return {
            str(path.relative_to(self.workspace)): path.read_bytes()
            for path in sorted(self.workspace.rglob("*"))
            if path.is_file() and not path.name.startswith("app.db")
        }

    def records(self) -> list[dict[str, Any]]:
        """Every record of the log, in order."""
        with Reader(self.state_dir) as log:
            return [json.loads(body) for _, body, _, _ in log.rows()]

    def kinds(self) -> list[str]:
        """What the records are, but for those about the session itself."""
        return [str(r["kind"]) for r in self.records() if r["kind"] not in ("open", "close")]

    def findings(self) -> Findings:
        with Reader(self.state_dir) as log:
            return verify(log.log_id, (Row(*row) for row in log.rows()))


def make_world(root: Path, *, wait: str = "0s", extra: str = "") -> World:
    """A workspace with two files, a hidden one, thirty orders, a backup, and a policy outside of it."""
    world = World(root)
    (world.workspace / "src").mkdir(parents=True)
    (world.workspace / "src" / "app.py").write_text("print('hello')\n")
    (world.workspace / "notes.txt").write_text("one\ntwo\nthree\n")
    (world.workspace / ".env").write_text("SECRET=hunter2\n")
    world.backups.mkdir()
    (world.backups / "monday.db").write_bytes(b"backup")
    connection = sqlite3.connect(world.database)
    connection.executescript("create table orders (id integer primary key, item text); create table log (line text);")
    connection.executemany("insert into orders values (?, ?)", [(n, f"item {n}") for n in range(30)])
    connection.commit()
    connection.close()
    world.policy.write_text(POLICY.format(backups=world.backups, wait=wait) + extra)
    return world


@asynccontextmanager
async def gate_over(world: World, *, headless: bool = False) -> AsyncGenerator[Gate]:
    async with open_gate(
        workspace=world.workspace, policy=str(world.policy), state_dir=world.state_dir, headless=headless, environ={}
    ) as gate:
        yield gate


async def call(gate: Gate, tool: str, **arguments: object) -> Answer:
    return await gate.call(tool, arguments, CALLER)


@asynccontextmanager
async def another_process(world: World) -> AsyncGenerator[Store]:
    """The store as a terminal beside the server reaches it: through the owner's socket."""
    async with open_store(world.state_dir, workspace=None, session="terminal") as store:
        yield store


async def answer(world: World, *, approve: bool) -> str:
    """Answer the one pending request, as `byleave approve` does; its id."""
    async with another_process(world) as store:
        (pending,) = await store.requests()
        proof = read_approver_key(world.state_dir)
        await requests.answer(store, pending.id, approve=approve, by="tester", proof=proof)
        return pending.id
