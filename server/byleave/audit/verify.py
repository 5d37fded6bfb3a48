"""Whether a log is what was written, and what nobody can tell from it. Pure: rows in, findings out.

A chain shows an edit, a missing record, a swapped one. It cannot show that the end was cut off, or that the whole was
written anew by who owns the file: for that it takes a number and a head that someone else has kept (`expect`), such as
the last line of an answer in a client's transcript.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic_core import from_json

from byleave.audit.chain import GENESIS, head_of, leaf_of

#: Hex digits of an expected head from which on nobody can make another log fit by trying.
CONVINCING = 16

# As the ledger writes it: these come first, in this order, in every record.
_HEADER = re.compile(rb'\{"v":1,"seq":([0-9]+),"at":([0-9]+),"kind":"([a-z]+)","call":"([^"\\]*)"[,}]')


class Row(NamedTuple):
    """One record as stored."""

    seq: int
    body: bytes
    leaf: bytes
    head: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """A head that someone kept elsewhere: after record `seq` the chain's head began with `head` (hex)."""

    seq: int
    head: str

    @classmethod
    def parse(cls, text: str) -> Expected:
        """`SEQ:HEAD`, as answers and `log verify` print it. Raises ValueError in words."""
        found = re.fullmatch(r"\s*([0-9]{1,15}):([0-9a-f]{4,64})\s*", text)
        if found is None:
            raise ValueError("write it as `SEQ:HEAD`, for example `1042:9c1e66aa01f2`, as at the end of an answer")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Damage:
    """The first record that is not what was written, and how that shows."""

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a verification found. `head` and `records` are those of the sound part, up to the damage if there is one.

    `unfinished` are intents without an outcome (by call), `unfounded` outcomes without an intent.
    """

    records: int
    head: str
    damage: Damage | None
    unfinished: tuple[tuple[int, str], ...]
    unfounded: tuple[tuple[int, str], ...]
    confirmed: int
    not_established: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found wrong. An intent without an outcome is a stop in between, not damage."""
        return self.damage is None and not self.unfounded


def verify(log_id: bytes, rows: Iterable[Row], expect: Sequence[Expected] = ()) -> Findings:
    """Walk the whole chain from its beginning. `rows` come in the order of their numbers."""
    wanted = {it.seq: it for it in sorted(expect, key=lambda it: len(it.head))}
    head, seq, confirmed = GENESIS, 0, 0
    damage: Damage | None = None
    open_calls: dict[str, int] = {}
    unfounded: list[tuple[int, str]] = []
    for row in rows:
        damage = _wrong(log_id, row, seq, head)
        if damage is None and row.seq in wanted and not row.head.hex().startswith(wanted[row.seq].head):
            what = f"its head is {row.head.hex()[:16]}, and {wanted[row.seq].head} was expected"
            damage = Damage(row.seq, f"{what}: this is another log, or all of it was written anew")
        said = None if damage is not None else _header(row)
        if damage is None and said is None:
            damage = Damage(row.seq, "its bytes are not a record of this number")
        if damage is not None or said is None:
            break
        head, seq = row.head, row.seq
        confirmed = seq if seq in wanted else confirmed
        kind, call = said
        match kind:
            case "intent":
                open_calls[call] = seq
            case "outcome" | "unknown":
                if open_calls.pop(call, None) is None:
                    unfounded.append((seq, call))
            case "commit" if call not in open_calls:
                unfounded.append((seq, call))
            case _:
                pass
    if damage is None and wanted and max(wanted) > seq:
        what = f"the log ends at record {seq}, and record {max(wanted)} was there"
        damage = Damage(seq + 1, f"{what}: its end was cut off, or an older copy put back")
    return Findings(
        records=seq,
        head=head.hex(),
        damage=damage,
        unfinished=tuple((at, call) for call, at in open_calls.items()),
        unfounded=tuple(unfounded),
        confirmed=confirmed,
        not_established=tuple(_not_established(seq, confirmed, damage, wanted.values())),
    )


def _wrong(log_id: bytes, row: Row, before: int, head: bytes) -> Damage | None:
    if row.seq != before + 1:
        if row.seq <= before:
            return Damage(row.seq, f"it stands after record {before}")
        missing = f"record {before + 1}" if row.seq == before + 2 else f"records {before + 1} to {row.seq - 1}"
        return Damage(before + 1, f"{missing} missing: the log goes on with record {row.seq}")
    if leaf_of(row.body) != row.leaf:
        return Damage(row.seq, "its content is not what was recorded: the bytes do not match their own hash")
    if head_of(log_id, row.seq, head, row.leaf) != row.head:
        return Damage(row.seq, "it does not follow from the record before it: it, or something before, was exchanged")
    return None


def _header(row: Row) -> tuple[str, str] | None:
    """Kind and call, from the first bytes where possible; None where the record says another number than its place."""
    found = _HEADER.match(row.body)
    if found is not None:
        return (found[3].decode(), found[4].decode()) if int(found[1]) == row.seq else None
    try:
        record = from_json(row.body)
        return (str(record["kind"]), str(record["call"])) if record["seq"] == row.seq else None
    except (ValueError, KeyError, TypeError):
        return None


def _not_established(seq: int, confirmed: int, damage: Damage | None, expected: Iterable[Expected]) -> Iterator[str]:
    if damage is not None:
        yield f"what records {damage.seq} and after said, and how many there were"
    if confirmed < seq:
        covered = f"records {confirmed + 1} to {seq}" if confirmed + 1 < seq else f"record {seq}"
        yield (
            f"that nobody who can write this file wrote {covered} anew: no head kept elsewhere covers this"
            " (give one with --expect SEQ:HEAD, from the end of an answer)"
        )
    if damage is None:
        yield f"that nothing came after record {seq}: a cut at the end shows only against a later head kept elsewhere"
    for it in expected:
        if len(it.head) < CONVINCING:
            yield f"that the head at record {it.seq} is the one meant: {len(it.head)} digits can be met by trying"
