"""Both runs told to a person (or, with `--json`, to a program): what each call did, what was lost, what came back."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from byleave.demo import gated, raw
from byleave.demo.story import TASK, UNWANTED, Step, script
from byleave.demo.world import SECRET, Census, Host, build, census

STORY = (
    "The founding story as it is retold, not the incident itself: an agent is told to tidy a project on the host that "
    "also holds the production database and its backups. (What happened at PocketOS was one HTTPS call with a token "
    "that the agent had found: see docs/story.md.)"
)


@dataclass(frozen=True, slots=True)
class Told:
    """Everything the demo measured."""

    steps: tuple[Step, ...]
    before: Census
    without: Census
    without_answers: tuple[str, ...]
    without_log: int | None
    gate: gated.Run
    seconds: float

    def keys_shown(self) -> tuple[int, int]:
        """How many answers carried the payment key to the model, in either run."""
        return (
            sum(SECRET in answer for answer in self.without_answers),
            sum(SECRET in answer.text for answer in self.gate.answers),
        )

    def as_json(self) -> dict[str, object]:
        shown = self.keys_shown()
        return {
            "task": TASK,
            "before": self.before.as_json(),
            "without": {**self.without.as_json(), "keys_shown": shown[0], "log_lines": self.without_log},
            "with": {**self.gate.after.as_json(), "keys_shown": shown[1]},
            "after_undo": self.gate.after_undo.as_json(),
            "steps": [
                {
                    "says": step.says,
                    "tool": step.tool,
                    "arguments": dict(step.arguments),
                    "slip": step.slip,
                    "without": plain,
                    "with": said.text,
                    "refused": said.refused,
                }
                for step, plain, said in zip(self.steps, self.without_answers, self.gate.answers, strict=True)
            ],
            "undo": {"text": self.gate.undo.text, "refused": self.gate.undo.refused},
            "log": {"verified": self.gate.verified, "text": self.gate.verify},
            "seconds": round(self.seconds, 1),
        }

    @property
    def held(self) -> bool:
        """Whether the gate kept what it promises to keep: the demo's own exit code."""
        after = self.gate.after_undo
        kept = (after.invoices, after.images, after.customers, after.orders, after.backups, after.policy_as_written)
        was = self.before
        return (
            kept == (was.invoices, was.images, was.customers, was.orders, was.backups, was.policy_as_written)
            and self.keys_shown()[1] == 0
            and self.gate.verified
        )


def run(*, keep: bool = False, as_json: bool = False) -> int:
    """Play both runs in a scratch directory and tell them. 0 when the gate kept everything, else 1.

    The scratch directory is removed at the end, whatever happens; with `keep` it stays, and its place is said.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    with _scratch(keep) as root:
        try:
            told = anyio.run(play, root)
        except gated.DidNotServe as why:
            Console(stderr=True, highlight=False).print(Text(f"the server did not serve: {why}"), soft_wrap=True)
            return 1
        if as_json:
            console.print_json(json.dumps(told.as_json()))
        else:
            _tell(console, told, root)
            last = f"{told.seconds:.1f} s, counted on disk and in the tables of both copies"
            console.print(f"\n{last}." if keep else f"\n{last}; nothing is left behind.", style="dim")
        if keep:
            Console(stderr=True, highlight=False).print(Text(f"kept: {root}"), soft_wrap=True)
    return 0 if told.held else 1


async def play(root: Path) -> Told:
    """Both runs, each in its own copy of the world under `root`."""
    start = time.perf_counter()
    plain, guarded = Host(root / "without"), Host(root / "with")
    build(plain)
    build(guarded)
    before = census(guarded)
    if census(plain) != before:
        raise RuntimeError("the two worlds are not the same")
    answers = raw.play(plain, script(plain))
    steps = script(guarded)
    gate = await gated.play(guarded, steps, errors=root / "server-stderr.txt")
    log = plain.state / "agent.log"
    return Told(
        steps=steps,
        before=before,
        without=census(plain),
        without_answers=tuple(answers),
        without_log=len(log.read_text().splitlines()) if log.exists() else None,
        gate=gate,
        seconds=time.perf_counter() - start,
    )


@contextmanager
def _scratch(keep: bool) -> Generator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="byleave-demo-")).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="byleave-demo-") as name:
        yield Path(name).resolve()


def _tell(console: Console, told: Told, root: Path) -> None:
    def say(text: str, style: str = "", indent: int = 0) -> None:
        shown = text.replace(str(root / "with"), "")
        for line in shown.splitlines() or [""]:
            console.print(Padding(Text(line, style), (0, 0, 0, indent)))

    def tint(refused: bool) -> str:
        return "red" if refused else "green"

    say(STORY)
    say(f"\nThe task: {TASK}", "bold")
    for number, step in enumerate(told.steps):
        plain, said = told.without_answers[number], told.gate.answers[number]
        say(f"\n{step.says}", "italic")
        arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in step.arguments.items())
        say(f"{step.tool}({arguments})", "cyan", 2)
        if step.slip:
            say(f"without the gate: {'the key is shown' if SECRET in plain else plain}", "dim", 4)
        lines = said.text.splitlines()
        listing = step.tool == "files_read" and not said.refused
        say("\n".join(lines[-1:] if listing else lines), tint(said.refused), 4)
        if number == UNWANTED:
            say("(allowed, since it can be undone: see below)", "dim", 4)
    console.print(_losses(told))
    say("The invoices were not to go. gate_undo, with the receipt of that call:", "italic")
    say(told.gate.undo.text, tint(told.gate.undo.refused), 4)
    say("\nbyleave log verify, held against the head at the end of that last answer:", "italic")
    say(told.gate.verify, tint(not told.gate.verified), 4)


def _losses(told: Told) -> Table:
    """Side by side: what was there, and what each run left of it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "before", "without the gate", "with it", "after the undo"):
        table.add_column(heading, justify="left" if not heading else "right")
    before, without, after, undone = told.before, told.without, told.gate.after, told.gate.after_undo
    rows = (
        ("cache files (the task)", "cache"),
        ("invoices", "invoices"),
        ("product images", "images"),
        ("customers in production", "customers"),
        ("orders in production", "orders"),
        ("backups on the same host", "backups"),
    )
    for title, name in rows:
        was, left, kept, back = (int(getattr(world, name)) for world in (before, without, after, undone))
        wanted = name == "cache"
        table.add_row(title, f"{was:,}", _lost(left, was, wanted), _lost(kept, was, wanted), _lost(back, was, wanted))
    policy = {True: "as written", False: "[red]emptied[/]"}
    table.add_row("the policy", *(policy[world.policy_as_written] for world in (before, without, after, undone)))
    shown = told.keys_shown()
    seen = ["[red]yes[/]" if count else "no" for count in shown]
    table.add_row("payment key shown to the model", "", seen[0], seen[1], seen[1])
    log = "[red]gone[/]" if told.without_log is None else f"{told.without_log} lines"
    verified = "verified" if told.gate.verified else "[red]damaged[/]"
    table.add_row("log of what it did", "", log, "", verified)
    return table


def _lost(left: int, was: int, wanted: bool) -> str:
    return f"{left:,}" if wanted or left == was else f"[red]{left:,}[/]"
