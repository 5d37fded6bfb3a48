"""`byleave log`: what was recorded, as it is recorded, and whether it is still what was written."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from byleave.audit.recorded import Recorded
from byleave.audit.verify import Expected, Findings, Row, verify
from byleave.cli import options
from byleave.cli.ending import Code
from byleave.cli.saying import in_words
from byleave.effects import printable
from byleave.store.opening import default_state_dir
from byleave.store.reading import Reader

#: Consecutive records before `--since` after which no younger one is looked for (a clock may have been set back).
_OLDER = 1_000

_COLOURS = {"allow": "green", "delay": "yellow", "ask": "yellow", "deny": "red"}
_AGO = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records to show: all that is given must fit."""

    tool: str | None = None
    verdict: str | None = None
    since_us: int = 0
    call: str | None = None

    def fits(self, record: Recorded) -> bool:
        return (
            (self.tool is None or record.body.tool == self.tool)
            and (self.verdict is None or record.body.decision.verdict == self.verdict)
            and record.at >= self.since_us
            and (self.call is None or record.call == self.call)
        )


def _moment(_context: click.Context, _option: click.Parameter, text: str | None) -> int:
    """`10m` ago or a date, as Unix microseconds."""
    if text is None:
        return 0
    ago = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if ago is not None:
        return int((time.time() - int(ago[1]) * _AGO[ago[2]]) * 1_000_000)
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000_000)
    except ValueError:
        raise click.BadParameter("write it as `10m`, `2h`, `3d` or `2026-11-23T14:00`") from None


def _expected(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[Expected, ...]:
    try:
        return tuple(Expected.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(name="log")
def log() -> None:
    """Read the audit log, and check that it is what was written.

    Every call is recorded before it acts and after it. Reading never changes the log, and needs no running server.
    """


@log.command()
@click.option("--tool", help="Only this tool, for example files_write.")
@click.option("--verdict", type=click.Choice(["allow", "delay", "ask", "deny"]), help="Only what was judged so.")
@click.option("--since", callback=_moment, help="Only after this: 10m, 2h, 3d, or 2026-11-23T14:00.")
@click.option("--call", "--receipt", "call", help="Only this call, by its receipt (r-...).")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Each record as a line of JSON, exactly as stored.")
@options.state_dir
def show(  # noqa: PLR0917 -- one for each option
    tool: str | None,
    verdict: str | None,
    since: int,
    call: str | None,
    limit: int,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Show records, a line each, the newest last."""
    wanted = Wanted(tool, verdict, since, call.removeprefix("r-") if call else None)
    with _reading(state_dir) as reader:
        found: list[tuple[Recorded, bytes]] = []
        older = 0
        for seq, stored in reader.newest():
            record = Recorded.read(seq, stored)
            older = older + 1 if record.at < wanted.since_us else 0
            if wanted.fits(record):
                found.append((record, stored))
            if len(found) == limit or older > _OLDER:
                break
    for record, stored in reversed(found):
        _print(record, stored, as_json=as_json)


@log.command()
@click.option("--tool", help="Only this tool.")
@click.option("--verdict", type=click.Choice(["allow", "delay", "ask", "deny"]), help="Only what was judged so.")
@click.option("--last", type=click.IntRange(min=0), default=10, show_default=True, help="Begin with so many records.")
@click.option("--json", "as_json", is_flag=True, help="Each record as a line of JSON, exactly as stored.")
@options.state_dir
def follow(tool: str | None, verdict: str | None, last: int, as_json: bool, state_dir: Path | None) -> None:
    """Show records as they are written. Ctrl-C ends it."""
    wanted = Wanted(tool, verdict)
    with suppress(KeyboardInterrupt), _reading(state_dir) as reader:
        seen = max(0, reader.last() - last)
        while True:
            for seq, stored, _, _ in list(reader.rows(seen)):
                seen, record = seq, Recorded.read(seq, stored)
                if wanted.fits(record):
                    _print(record, stored, as_json=as_json)
            sys.stdout.flush()
            time.sleep(0.25)


@log.command(name="verify")
@click.option("--expect", multiple=True, callback=_expected, metavar="SEQ:HEAD",
              help="A head kept elsewhere, as at the end of an answer. May be given more than once.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
@options.state_dir
def verify_(expect: tuple[Expected, ...], as_json: bool, state_dir: Path | None) -> None:
    """Check every record, and say what could not be established.

    Exit code: 0 the log is what was written, 1 it is damaged, 5 it cannot be read.
    """
    with _reading(state_dir) as reader:
        rows = (Row(seq, _bytes(body), _bytes(leaf), _bytes(head)) for seq, body, leaf, head in reader.rows())
        findings = verify(reader.log_id, rows, expect)
    if as_json:
        click.echo(json.dumps(_plain(findings)))
    else:
        _tell(findings)
    sys.exit(Code.FINE if findings.is_sound else Code.NO)


# --- reading -----------------------------------------------------------------------------------------------------


@contextmanager
def _reading(state_dir: Path | None) -> Generator[Reader]:
    with in_words(), Reader(state_dir or default_state_dir(os.environ)) as reader:
        yield reader


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


# --- showing -----------------------------------------------------------------------------------------------------


def _print(record: Recorded, stored: bytes, *, as_json: bool) -> None:
    if as_json:
        click.echo(stored)
    else:
        Console(highlight=False, soft_wrap=True).print(_line(record))


def _line(record: Recorded) -> Text:
    """One record, readable: number, time, kind, verdict, tool, what it says, receipt."""
    at = datetime.fromtimestamp(record.at / 1_000_000).astimezone()
    verdict = record.body.decision.verdict
    alarming = record.kind in ("refusal", "unknown", "damaged")
    return Text.assemble(
        (f"{record.seq:>6}  {at:%Y-%m-%d %H:%M:%S}  ", "dim"),
        (f"{printable(record.kind):<8} ", "red" if alarming else "bold"),
        (f"{printable(verdict):<6} ", _COLOURS.get(verdict, "")),
        f"{printable(record.body.tool):<13} ",
        printable(record.words),
        (f"  r-{printable(record.call)}" if record.call else "", "dim"),
    )


def _tell(findings: Findings) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{findings.records:,} records are what was written, up to {findings.records}:{findings.head}"))
    if findings.damage is not None:
        console.print(Text(f"damaged: record {findings.damage.seq}: {findings.damage.what}", style="red"))
    for seq, call in findings.unfounded:
        console.print(Text(f"damaged: record {seq}: call {printable(call)} ends without an intent", style="red"))
    for seq, call in findings.unfinished:
        console.print(Text(f"unfinished: record {seq}: call {printable(call)} is under way, or stopped in between"))
    for what in findings.not_established:
        console.print(Text(f"not established: {what}", style="yellow"))
    if findings.is_sound:
        console.print(Text("sound", style="green"))


def _plain(findings: Findings) -> dict[str, object]:
    damage = findings.damage
    return {
        "sound": findings.is_sound,
        "records": findings.records,
        "head": findings.head,
        "damage": None if damage is None else {"seq": damage.seq, "what": damage.what},
        "unfinished": [{"seq": seq, "call": call} for seq, call in findings.unfinished],
        "unfounded": [{"seq": seq, "call": call} for seq, call in findings.unfounded],
        "confirmed": findings.confirmed,
        "not_established": list(findings.not_established),
    }
