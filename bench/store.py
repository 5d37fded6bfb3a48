"""What it costs to record: one caller's wait, and how many records share one sync. Over the floor of one sync.

    python bench/store.py [--disk real|simulated] [--us 1000] [--rounds 30] [--json]

Every round measures the floor (a page written and synced in place) and each load in turn, so that a slow second of the
machine falls on all alike. `real` is the disk under TMPDIR; `simulated` is a tmpfs where each sync is slept out at
exactly --us microseconds by bench/disk.c (needs a C compiler), which shows ratios that a noisy disk hides.

Recorded are intents as the gate writes them (about 600 bytes), each under a rate and with a budget held, and their
outcomes that settle it.
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
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from floor import Floor

from byleave.audit import record
from byleave.audit.verify import Row, verify
from byleave.effects import Effect, Target, Undo, Verb, digest, files
from byleave.policy.decision import Decision, Reason, Verdict
from byleave.rails.budget import Hold
from byleave.rails.rate import Claim, Rate
from byleave.store.entry import Entry, Kind, Store
from byleave.store.opening import open_store
from byleave.store.reading import Reader

HERE = Path(__file__).parent
CLAIMS = (Claim("rate:bench", Rate(999_999_999, 1)),)
HOLDS = (Hold("session:bench:calls", 1, 10**12),)
ABOUT = {
    "tool": "files_write",
    "arguments": {"path": "src/app.py", "text": "print('hello')\n" * 4},
    "principal": "local",
    "session": "bench",
    "client": "bench 1",
    "workspace": "/home/someone/project",
    "policy": digest("bench"),
}
DECISION = Decision(Verdict.ALLOW, (Reason("develop.files.change", Verdict.ALLOW, "undoable", ""),))
EFFECTS = (Effect(Verb.UPDATE, Target.file("/home/someone/project/src/app.py"), files(1), Undo.SNAPSHOT),)
BODY = record.intent(ABOUT, DECISION, EFFECTS, staged=True)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    what: str
    figure: float
    unit: str
    goal: str = ""


class Load:
    """Callers that each record an intent and its outcome, one after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 0
        self.waits: list[float] = []

    async def call(self) -> None:
        self._next += 1
        call = f"c{self._next}"
        start = time.perf_counter()
        await self._store.append(Entry(Kind.INTENT, call, BODY, claims=CLAIMS, holds=HOLDS))
        between = time.perf_counter()
        await self._store.append(Entry(Kind.OUTCOME, call, {"status": "done", "tool": "files_write"}, settle={}))
        self.waits += [between - start, time.perf_counter() - between]

    async def together(self, callers: int, calls: int) -> float:
        """Records a second."""

        async def caller() -> None:
            for _ in range(calls):
                await self.call()

        start = time.perf_counter()
        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(caller)
        return 2 * callers * calls / (time.perf_counter() - start)


async def measure(folder: Path, rounds: int) -> list[Line]:
    floor, floors = Floor(folder), list[float]()
    alone, at_16, at_64 = list[float](), list[float](), list[float]()
    state = folder / "state"
    async with open_store(state, workspace=None, session="bench") as store:
        load = Load(store)
        await load.together(16, 40)  # the WAL is written round once: from then on it is written in place
        for _ in range(rounds):
            once = statistics.median(floor.once() for _ in range(20))
            floors.append(once)
            load.waits.clear()
            await load.together(1, 10)
            alone += [wait / once for wait in load.waits]
            at_16.append(await load.together(16, 10) * once)
            at_64.append(await load.together(64, 5) * once)
    floor.close()
    alone.sort()
    with Reader(state) as reader:
        start = time.perf_counter()
        found = verify(reader.log_id, (Row(*row) for row in reader.rows()))
        seconds = time.perf_counter() - start
        stored = sum(len(body) for _, body, _, _ in reader.rows())
    if not found.is_sound:
        raise SystemExit(f"the log is not what was written: {found}")
    return [
        Line("floor: one page written and synced", statistics.median(floors) * 1e3, "ms"),
        Line("one caller, p50", statistics.median(alone), "floors", "<= 1.25 at 1 ms"),
        Line("one caller, p99", alone[len(alone) * 99 // 100], "floors", "<= 4 at 1 ms"),
        Line("16 callers, records per sync", statistics.median(at_16), "records/floor", ">= 8 at 1 ms"),
        Line("64 callers, records per sync", statistics.median(at_64), "records/floor", ">= 20 at 1 ms"),
        Line("verify", found.records / seconds / 1e3, "thousand records/s", ">= 400"),
        Line("stored size over the records' bytes", (state / "log.db").stat().st_size / stored, "times", "<= 1.25"),
    ]


def under_a_simulated_disk(us: int) -> None:
    """Start this very program again with the syncs of bench/disk.c."""
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "disk.c"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(library), "SYNC_US": str(us)}
        raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--disk", choices=["real", "simulated"], default="simulated")
    parser.add_argument("--us", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    simulated = options.disk == "simulated"
    if simulated and "SYNC_US" not in os.environ:
        under_a_simulated_disk(options.us)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if simulated else None) as name:
        lines = anyio.run(measure, Path(name), options.rounds)
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))
        return
    for line in lines:
        print(f"{line.what:<40} {line.figure:>9.2f} {line.unit:<20} {line.goal}")


if __name__ == "__main__":
    main()
