"""What the gate costs, by layer, over the same tools on a bare SDK server and over one fsync. One interleaved run.

    python bench/gate.py [--calls 300] [--disk real|simulated] [--us 1000] [--json]

Every round does each thing once, in turn, so that a slow second of the machine falls on all of them alike. `real` is
the disk under the temporary folder (TMPDIR, which should not be a tmpfs: reads that never block need a real file
system); `simulated` is the same with every fsync slept out at exactly --us by bench/disk.c (needs a C compiler), which
shows ratios that a noisy disk hides.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from floor import Floor
from mcp import Client, StdioServerParameters
from mcp.client.stdio import get_default_environment, stdio_client

from byleave.effects import digest
from byleave.ledger import Caller
from byleave.opening import open_gate
from byleave.store.entry import Entry, Kind
from byleave.store.opening import open_store

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-P", "-c", "from byleave.cli import main; main()"]
POLICY = 'extends = "develop"\n[limits]\nrate = "1000000/second"\n'


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the median and the 95th percentile in milliseconds, and the median over the floor's."""

    layer: str
    what: str
    p50_ms: float
    p95_ms: float
    fsyncs: float
    goal: str = ""


class Syncs:
    """Counts Python's own fsyncs while it is on: those of files and before-images. SQLite's are not Python's."""

    def __init__(self) -> None:
        self.count = 0
        self._real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}

    def __enter__(self) -> Syncs:
        for name, real in self._real.items():
            setattr(os, name, self._counting(real))
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _counting(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def sync(descriptor: int) -> None:
            self.count += 1
            real(descriptor)

        return sync


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300, help="rounds (default 300)")
    parser.add_argument("--disk", choices=["real", "simulated"], default="real")
    parser.add_argument(
        "--us", type=int, default=1000, help="what a simulated sync takes, in microseconds (default 1000)"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-batch", action="store_true", help="leave out `check --batch`")
    options = parser.parse_args()
    if options.disk == "simulated" and "LD_PRELOAD" not in os.environ:
        raise SystemExit(again_on_simulated_disk(options.us))
    with tempfile.TemporaryDirectory(prefix="byleave-bench-") as name:
        root = Path(name).resolve()
        rows, own = anyio.run(measure, root, options.calls)
        batch = [] if options.no_batch else [check_rate(root, "files", 5000), check_rate(root, "sql", 1000)]
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "own_syncs": own, "batch": batch}, indent=2))
    else:
        tell(rows, own, batch, options.calls, options.disk)


def again_on_simulated_disk(us: int) -> int:
    """Build the shim and run this very command under it."""
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "disk.c"], check=True)
        env = {**os.environ, "LD_PRELOAD": str(library), "SYNC_US": str(us)}
        return subprocess.run([sys.executable, *sys.argv], env=env, check=False).returncode


@asynccontextmanager
async def served(command: list[str], env: dict[str, str], errors: Path) -> AsyncIterator[Client]:
    env = {**get_default_environment(), **env}
    env |= {name: os.environ[name] for name in ("LD_PRELOAD", "SYNC_US") if name in os.environ}
    server = StdioServerParameters(command=command[0], args=command[1:], env=env)
    with errors.open("w") as stderr:
        async with Client(stdio_client(server, errlog=stderr)) as client:
            yield client


async def measure(root: Path, calls: int) -> tuple[list[Row], dict[str, float]]:
    """Every layer, `calls` times each, in turn. Also: the files' own syncs per call, by tool."""
    policy = root / "policy.toml"
    policy.write_text(POLICY)
    shops = {name: workspace(root / name) for name in ("inside", "served", "bare")}
    states = {name: state(root / f"state-{name}") for name in ("store", "inside", "served")}
    env = {"BYLEAVE_STATE_DIR": str(states["served"]), "HOME": str(root)}
    serve = [*COMMAND, "serve", "--workspace", str(shops["served"]), "--policy", str(policy)]
    floor = Floor(states["store"])
    async with (
        served([sys.executable, str(HERE / "bare_server.py"), str(shops["bare"])], {}, root / "bare.txt") as bare,
        served(serve, env, root / "served.txt") as wired,
        open_store(states["store"], workspace=shops["inside"], session="bench") as store,
        open_gate(workspace=shops["inside"], policy=str(policy), state_dir=states["inside"], headless=True) as gate,
    ):
        caller = Caller(principal="bench", session="bench", client="bench")
        number = 0

        def text() -> str:
            return f"{number}\n" + "a line of an ordinary file\n" * 80

        async def append() -> None:
            await store.append(
                Entry(kind=Kind.LOOK, call=f"c{number}", body={"tool": "files_read", "digest": digest(number)})
            )

        def inside(tool: str, **arguments: str) -> Callable[[], Awaitable[None]]:
            async def call() -> None:
                more = {"text": text()} if tool == "files_write" else {}
                answer = await gate.call(tool, {**arguments, **more}, caller)
                if answer.is_error:
                    raise SystemExit(answer.text)

            return call

        def over(client: Client, tool: str, **arguments: str) -> Callable[[], Awaitable[None]]:
            async def call() -> None:
                more = {"text": text()} if tool == "files_write" else {}
                answer = await client.call_tool(tool, {**arguments, **more})
                if answer.is_error:
                    raise SystemExit(str(answer.content))

            return call

        subjects: dict[tuple[str, str], Callable[[], Awaitable[None]]] = {
            ("store", "append one record"): append,
            ("gate", "files_read"): inside("files_read", path="app/module7.py"),
            ("gate", "files_write"): inside("files_write", path="app/module8.py"),
            ("wire", "bare files_read"): over(bare, "files_read", path="app/module7.py"),
            ("wire", "files_read"): over(wired, "files_read", path="app/module7.py"),
            ("wire", "bare files_write"): over(bare, "files_write", path="app/module8.py"),
            ("wire", "files_write"): over(wired, "files_write", path="app/module8.py"),
        }
        times: dict[tuple[str, str], list[float]] = {subject: [] for subject in subjects}
        floors: list[float] = []
        for number in range(calls + 20):
            spent = floor.once()
            laps: dict[tuple[str, str], float] = {}
            for subject, call in subjects.items():
                start = time.perf_counter()
                await call()
                laps[subject] = time.perf_counter() - start
            if number >= 20:  # the first rounds warm up
                floors.append(spent)
                for subject, lap in laps.items():
                    times[subject].append(lap)
        own: dict[str, float] = {}
        for tool, path in (("files_read", "app/module7.py"), ("files_write", "app/module8.py")):
            with Syncs() as syncs:
                for number in range(calls + 20, calls + 40):  # noqa: B007 - `text` reads it
                    await inside(tool, path=path)()
            own[tool] = syncs.count / 20
    floor.close()
    return table(times, floors, own), own


def table(times: dict[tuple[str, str], list[float]], floors: list[float], own: dict[str, float]) -> list[Row]:
    f = statistics.median(floors)
    goals = {
        ("gate", "files_read"): f"{1.4 + own['files_read']:.1f}",
        ("gate", "files_write"): f"2.6 + {own['files_write']:.0f} own",
    }

    def row(layer: str, what: str, laps: list[float]) -> Row:
        middle = statistics.median(laps)
        return Row(
            layer,
            what,
            middle * 1000,
            statistics.quantiles(laps, n=20)[-1] * 1000,
            middle / f,
            goals.get((layer, what), ""),
        )

    return [row("disk", "one fsync (f)", floors), *(row(*subject, laps) for subject, laps in times.items())]


def workspace(folder: Path) -> Path:
    (folder / "app").mkdir(parents=True)
    for number in range(20):
        (folder / "app" / f"module{number}.py").write_text(f"# {number}\n" + "a line of an ordinary file\n" * 80)
    return folder


def state(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


def check_rate(root: Path, kind: str, lines: int) -> dict[str, float | str]:
    """`byleave check --batch`: decisions a second, the start of the process taken off (two lengths, one difference)."""
    place = root / f"batch-{kind}"
    workspace(place)
    policy = root / f"batch-{kind}.toml"
    text = POLICY
    if kind == "sql":
        subprocess.run([sys.executable, "-c", CREATE, str(root / "batch.db")], check=True)
        text += f'[databases.app]\nurl = "sqlite:///{root / "batch.db"}"\nwrite = ["orders"]\n'
    policy.write_text(text)

    def seconds(count: int) -> float:
        batch = root / f"{kind}-{count}.jsonl"
        batch.write_text("".join(json.dumps(call(kind, n)) + "\n" for n in range(count)))
        command = [*COMMAND, "check", "--batch", str(batch), "--workspace", str(place), "--policy", str(policy)]
        start = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(root)}
        )
        spent = time.perf_counter() - start
        if len(done.stdout.splitlines()) != count:
            raise SystemExit(done.stderr or done.stdout[-2000:])
        return spent

    few = lines // 10
    short, long = seconds(few), seconds(lines)
    return {"kind": kind, "lines": lines, "seconds": long, "per_second": (lines - few) / (long - short)}


CREATE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT, cents INTEGER)")
connection.commit()
"""


def call(kind: str, number: int) -> dict[str, object]:
    """One line of a batch; no two SQL texts are the same, so that no cache has seen it."""
    if kind == "files":
        tools = [
            {"tool": "files_read", "arguments": {"path": f"app/module{number % 20}.py"}},
            {"tool": "files_write", "arguments": {"path": f"app/new{number}.py", "text": "x = 1\n"}},
            {"tool": "files_remove", "arguments": {"path": f"app/module{number % 20}.py"}},
        ]
        return tools[number % 3]
    where = (
        f"UPDATE orders SET state = 'paid', cents = cents + {number} WHERE id = {number} AND state <> 'open{number}'"
    )
    return {"tool": "sql_change", "arguments": {"database": "app", "sql": where}}


def tell(rows: list[Row], own: dict[str, float], batch: list[dict[str, float | str]], calls: int, disk: str) -> None:
    print(f"python {sys.version.split()[0]}, {os.cpu_count()} cores, {calls} rounds, {disk} disk\n")
    print(f"{'layer':<7}{'what':<20}{'p50 ms':>9}{'p95 ms':>9}{'p50 / f':>9}  goal")
    for row in rows:
        print(f"{row.layer:<7}{row.what:<20}{row.p50_ms:>9.2f}{row.p95_ms:>9.2f}{row.fsyncs:>9.2f}  {row.goal}")
    found = {(row.layer, row.what): row.p50_ms for row in rows}
    print()
    for tool in ("files_read", "files_write"):
        gated, bare = found["wire", tool], found["wire", f"bare {tool}"]
        print(f"{tool} over stdio: {gated - bare:.2f} ms more than on the bare server ({gated / bare:.2f} times)")
    counts = ", ".join(f"{tool} {count:.1f}" for tool, count in own.items())
    print(f"the files' own syncs (content, folder, before-images) per call: {counts}")
    for line in batch:
        speed = f"{line['per_second']:,.0f} decisions/s"
        print(
            f"check --batch, {line['kind']}: {speed} ({line['lines']:,} lines, {line['seconds']:.1f} s with the start)"
        )


if __name__ == "__main__":
    main()
