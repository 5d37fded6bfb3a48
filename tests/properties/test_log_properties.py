"""What holds for every log, every rate and every budget."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.audit.chain import GENESIS, head_of, leaf_of
from byleave.audit.verify import Expected, Row, verify
from byleave.rails.budget import Hold
from byleave.rails.rate import Rate, admit
from byleave.store.clock import Clock, Steady
from byleave.store.entry import Entry, Kind
from byleave.store.ledger import Draft, Known, Tip, encode
from byleave.store.schema import prepare
from entries import intent, outcome

LOG = bytes(range(16))


def chained(bodies: list[bytes]) -> list[Row]:
    rows: list[Row] = []
    head = GENESIS
    for seq, text in enumerate(bodies, 1):
        body = b'{"v":1,"seq":%d,"at":1,"kind":"look","call":"c","body":"%s"}' % (seq, text.hex().encode())
        head = head_of(LOG, seq, head, leaf_of(body))
        rows.append(Row(seq, body, leaf_of(body), head))
    return rows


logs = st.lists(st.binary(max_size=20), min_size=1, max_size=12).map(chained)


@given(logs, st.data())
def test_any_change_of_any_stored_byte_is_found_at_its_record(rows: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(["body", "leaf", "head"]))
    stored = bytearray(getattr(rows[at], name))
    where = data.draw(st.integers(0, len(stored) - 1))
    stored[where] ^= data.draw(st.integers(1, 255))
    rows[at] = rows[at]._replace(**{name: bytes(stored)})
    damage = verify(LOG, rows).damage
    assert damage is not None
    assert damage.seq == rows[at].seq


@given(logs, st.data())
def test_any_record_inserted_removed_repeated_or_exchanged_is_found(rows: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    other = data.draw(st.integers(0, len(rows) - 1).filter(lambda n: n != at)) if len(rows) > 1 else at
    changed = data.draw(
        st.sampled_from(
            [
                rows[:at] + rows[at + 1 :],
                [*rows[:at], rows[other], *rows[at:]],
                [rows[other] if n == at else rows[at] if n == other else row for n, row in enumerate(rows)],
            ]
        )
    )
    found = verify(LOG, changed, [Expected(len(rows), rows[-1].head.hex())])
    assert (found.damage is None) == (changed == rows)


@given(logs, st.binary(min_size=16, max_size=16))
def test_no_record_of_one_log_passes_in_another(rows: list[Row], other: bytes) -> None:
    assert (verify(other, rows).damage is None) == (other == LOG)


@given(logs, st.integers(0, 12))
def test_a_cut_is_found_exactly_when_a_head_beyond_it_is_known(rows: list[Row], cut: int) -> None:
    kept = rows[:cut]
    assert verify(LOG, kept).damage is None
    assert (verify(LOG, kept, [Expected(len(rows), rows[-1].head.hex())]).damage is None) == (cut >= len(rows))


rates = st.builds(Rate, st.integers(1, 50), st.sampled_from([1, 60, 3600]))


@given(rates, st.lists(st.integers(0, 5_000_000), min_size=1, max_size=200))
def test_no_span_of_time_lets_through_more_than_the_burst_and_what_it_refills(rate: Rate, gaps: list[int]) -> None:
    now, tat, passed = 0, 0, list[int]()
    for gap in gaps:
        now += gap
        admission = admit(tat, now, rate)
        tat = admission.tat_us
        if admission.retry_after is None:
            passed.append(now)
    step = rate.period_s * 1_000_000 / rate.count
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= rate.count + (passed[last] - passed[first]) / step


@given(rates, st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=200))
def test_a_clock_that_jumps_at_will_never_grants_more_than_a_burst_for_a_jump(rate: Rate, jumps: list[int]) -> None:
    now, tat, run = 10**15, 0, 0
    for before, jump in pairwise([0, *jumps]):
        del before
        now += jump
        run = 0 if jump > 0 else run
        admission = admit(tat, now, rate)
        tat = admission.tat_us
        run += admission.retry_after is None
        assert run <= rate.count


steps = st.lists(
    st.tuples(st.sampled_from(["hold", "settle", "unknown", "top up"]), st.integers(0, 9), st.integers(0, 12)),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 30), st.lists(st.integers(1, 7), min_size=60, max_size=60))
def test_no_interleaving_takes_a_budget_over_its_limit(
    plan: list[tuple[str, int, int]], limit: int, batches: list[int]
) -> None:
    """Whatever comes in whatever batches: what was used and is held together stay within the limit, and are what a
    plain count says."""
    held: dict[str, int] = {}
    used = 0
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        prepare(connection)
        known, time = Known(LOG, Tip(0, GENESIS), {}), Steady(Clock())
        queue = list(enumerate(plan))
        while queue:
            size = batches.pop()
            batch, queue = queue[:size], queue[size:]
            draft = Draft(connection, known, time, "approver")
            for _, (what, who, amount) in batch:
                call = f"c{who}"
                entry: Entry | None = None
                if what == "hold" and call not in held:
                    entry = intent(call, holds=[Hold("k", amount, limit)])
                elif what == "top up" and call in held:
                    entry = Entry(Kind.COMMIT, call, {}, holds=[Hold("k", amount, limit)])
                elif what == "settle" and call in held:
                    entry = outcome(call, settle={"k": min(amount, held[call])})
                elif what == "unknown" and call in held:
                    entry = Entry(Kind.UNKNOWN, call, {})
                if entry is None:
                    continue
                fitting = used + sum(held.values()) + amount <= limit
                receipt = draft.enter(entry, encode(entry.body))
                if entry.holds:
                    assert (receipt.refused is None) == fitting
                    if fitting:
                        held[call] = held.get(call, 0) + amount
                else:
                    holding = held.pop(call)
                    used += holding if entry.kind is Kind.UNKNOWN else min(amount, holding)
            connection.execute("BEGIN")
            draft.write()
            connection.execute("COMMIT")
            draft.count()
            row = connection.execute("SELECT used, held FROM budget WHERE key = 'k'").fetchone() or (0, 0)
            assert row == (used, sum(held.values()))
            assert sum(row) <= limit
