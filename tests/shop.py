"""A small world to promise things about: a project, a production database, backups beside it, a gate over it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from byleave.answers import Answer
from byleave.gate import Gate
from byleave.ledger import Caller
from byleave.opening import open_gate

SECRET = "sk_live_5f1e2d3c4b"
CALLER = Caller(principal="agent", session="s-test", client="test 1")


@dataclass(frozen=True, slots=True)
class Shop:
    """Where everything lies. Made by `build`."""

    root: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def database(self) -> Path:
        return self.project / "data" / "shop.db"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def policy(self) -> Path:
        return self.root / "policy.toml"

    def rules(self, more: str = "", *, extends: str = "develop") -> str:
        """The policy of these tests, with `more` appended."""
        return (
            f'extends = "{extends}"\n'
            '[workspace]\nhidden = [".env", "secrets/", "!.env.example"]\n'
            f'[databases.shop]\nurl = "sqlite:///{self.database}"\nenvironment = "development"\n'
            'write = ["orders", "customers"]\nmax_rows = 20\n'
            f'[backups]\nprotect = ["{self.backups}"]\n'
            f"{more}"
        )

    def rows(self, table: str) -> int:
        connection = sqlite3.connect(self.database)
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            connection.close()

    def picture(self) -> dict[str, bytes]:
        """Every file of the project, the backups and their bytes: what must be equal when nothing happened."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for folder in (self.project, self.backups)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and not path.name.endswith(("-wal", "-shm"))
        }


def build(root: Path) -> Shop:
    shop = Shop(root.resolve())
    for folder in (shop.project / "app", shop.project / "secrets", shop.database.parent, shop.backups):
        folder.mkdir(parents=True)
    shop.state.mkdir(mode=0o700)
    (shop.project / "app" / "main.py").write_text("import cart\n\nprint('shop')\n")
    (shop.project / "app" / "cart.py").write_text("TOTAL = 0\n")
    (shop.project / ".env").write_text(f"PAYMENT_KEY={SECRET}\n")
    (shop.project / ".env.example").write_text("PAYMENT_KEY=\n")
    (shop.project / "secrets" / "key.pem").write_text(f"{SECRET}\n")
    (shop.backups / "shop-monday.db").write_bytes(b"the whole shop, as it was on Monday")
    connection = sqlite3.connect(shop.database)
    connection.executescript(
        """
        CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, state TEXT NOT NULL);
        CREATE TABLE tokens (id INTEGER PRIMARY KEY, value TEXT NOT NULL);
        """
    )
    with connection:
        connection.executemany("INSERT INTO customers VALUES (?, ?)", [(n, f"c{n}") for n in range(1, 11)])
        connection.executemany("INSERT INTO orders VALUES (?, ?, 'paid')", [(n, n % 10 + 1) for n in range(1, 101)])
        connection.execute("INSERT INTO tokens VALUES (1, 'tok')")
    connection.close()
    shop.policy.write_text(shop.rules())
    return shop


@asynccontextmanager
async def gate_over(
    shop: Shop, more: str = "", *, extends: str = "develop", headless: bool = True
) -> AsyncGenerator[Gate]:
    """The real gate over the shop, in this process. `more` is appended to the policy."""
    shop.policy.write_text(shop.rules(more, extends=extends))
    async with open_gate(
        workspace=shop.project, policy=str(shop.policy), state_dir=shop.state, headless=headless
    ) as gate:
        yield gate


async def call(gate: Gate, tool: str, **arguments: object) -> Answer:
    return await gate.call(tool, arguments, CALLER)
