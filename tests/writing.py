"""A process that writes to a store under load and says what was acknowledged, a line each, at once.

    python -m writing STATE SESSION CALLERS CALLS LIMIT

Lines: `owner` or `remote`; `intent CALL SEQ` and `outcome CALL SEQ` once acknowledged; `no CALL` where the budget said
no; `down CALL` where the store could not tell; `end`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from byleave.rails.budget import Hold
from byleave.store.entry import StoreDown
from byleave.store.joining import JoinedStore
from byleave.store.opening import open_store
from entries import intent, outcome


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def main(state: Path, session: str, callers: int, calls: int, limit: int) -> None:
    async with open_store(state, workspace=None, session=session) as store:
        assert isinstance(store, JoinedStore)
        say("owner" if store.is_owner else "remote")

        async def work(caller: int) -> None:
            for number in range(calls):
                call = f"{session}-{caller}-{number}"
                try:
                    begun = await store.append(intent(call, session=session, holds=[Hold("budget", 1, limit)]))
                    if begun.refused is not None:
                        say(f"no {call}")
                        continue
                    say(f"intent {call} {begun.seq}")
                    ended = await store.append(outcome(call))
                    say(f"outcome {call} {ended.seq}")
                except StoreDown:
                    say(f"down {call}")

        async with anyio.create_task_group() as group:
            for caller in range(callers):
                group.start_soon(work, caller)
    say("end")


def begin(state: Path, session: str, *, callers: int = 4, calls: int, limit: int = 10**9) -> subprocess.Popen[str]:
    """Start such a process; its output is read line by line.

    The pipe is wide: a fast disk fills an ordinary one in a second, and who waits for a reader serves nobody.
    """
    arguments = [sys.executable, "-m", "writing", str(state), session, str(callers), str(calls), str(limit)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, pipesize=1 << 20, text=True, env=env)


def rest_of(child: subprocess.Popen[str]) -> str:
    """What it says until its end, whole lines only. (`communicate` would drop what `readline` has already buffered.)"""
    assert child.stdout is not None
    with child:
        text = child.stdout.read()
    return text[: text.rfind("\n") + 1]


@dataclass
class Said:
    """What such a process said, by kind of line."""

    intents: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    noes: list[str] = field(default_factory=list)
    downs: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *outputs: str) -> Said:
        said = cls()
        for line in "".join(outputs).splitlines():
            match line.split():
                case ["intent", call, seq]:
                    said.intents[call] = int(seq)
                case ["outcome", call, seq]:
                    said.outcomes[call] = int(seq)
                case ["no", call]:
                    said.noes.append(call)
                case ["down", call]:
                    said.downs.append(call)
                case _:
                    said.others.append(line)
        return said


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
