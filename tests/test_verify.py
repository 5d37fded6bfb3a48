"""Verifying a log: each tampering with the verdict that SECURITY.md promises for it, no more and no less."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from byleave.audit.chain import GENESIS, head_of, leaf_of
from byleave.audit.verify import Damage, Expected, Row, verify

LOG = b"sixteen bytes .."


def stored(seq: int, kind: str = "look", call: str = "c") -> bytes:
    return b'{"v":1,"seq":%d,"at":1,"kind":"%s","call":"%s","body":{}}' % (seq, kind.encode(), call.encode())


def chained(bodies: Sequence[bytes]) -> list[Row]:
    """A log as its owner would write it."""
    rows: list[Row] = []
    head = GENESIS
    for seq, body in enumerate(bodies, 1):
        leaf = leaf_of(body)
        head = head_of(LOG, seq, head, leaf)
        rows.append(Row(seq, body, leaf, head))
    return rows


TEN = chained([stored(seq) for seq in range(1, 11)])


def _edited(rows: list[Row]) -> list[Row]:
    return [Row(r.seq, b"x", r.leaf, r.head) if r.seq == 4 else r for r in rows]


def _edited_with_leaf(rows: list[Row]) -> list[Row]:
    return [Row(r.seq, b"x", leaf_of(b"x"), r.head) if r.seq == 4 else r for r in rows]


def _swapped(rows: list[Row]) -> list[Row]:
    a, b = rows[3], rows[4]
    return [*rows[:3], Row(4, b.body, b.leaf, b.head), Row(5, a.body, a.leaf, a.head), *rows[5:]]


def _moved(rows: list[Row]) -> list[Row]:
    return chained([*[r.body for r in rows[:3]], rows[4].body, rows[3].body, *[r.body for r in rows[5:]]])


@pytest.mark.parametrize(
    ("tamper", "seq", "says"),
    [
        pytest.param(_edited, 4, "content is not what was recorded", id="a record edited"),
        pytest.param(_edited_with_leaf, 4, "does not follow", id="edited with its own hash"),
        pytest.param(lambda rows: rows[:3] + rows[4:], 4, "record 4 missing", id="one taken out"),
        pytest.param(lambda rows: rows[:3] + rows[6:], 4, "records 4 to 6 missing", id="several taken out"),
        pytest.param(lambda rows: rows[2:], 1, "records 1 to 2 missing", id="the beginning cut off"),
        pytest.param(lambda rows: rows[:4] + rows[3:], 4, "stands after record 4", id="one twice"),
        pytest.param(_swapped, 4, "does not follow", id="two exchanged"),
        pytest.param(_moved, 4, "not a record of this number", id="two exchanged, all hashed anew"),
    ],
)
def test_the_first_wrong_record_is_named_and_why(tamper: Callable[[list[Row]], list[Row]], seq: int, says: str) -> None:
    found = verify(LOG, tamper(list(TEN)))
    assert found.damage is not None
    assert found.damage.seq == seq
    assert says in found.damage.what
    assert not found.is_sound


def test_what_was_written_is_found_sound_with_its_head() -> None:
    found = verify(LOG, TEN)
    assert (found.is_sound, found.records, found.head) == (True, 10, TEN[-1].head.hex())


def test_another_log_under_the_same_records_is_damage() -> None:
    assert verify(b"another log's id", TEN).damage is not None


# --- what only a head kept elsewhere shows -----------------------------------------------------------------------


HEAD = Expected(8, TEN[7].head.hex()[:16])


def test_a_cut_at_the_end_passes_alone_and_fails_against_a_head_kept_elsewhere() -> None:
    assert verify(LOG, TEN[:6]).damage is None
    found = verify(LOG, TEN[:6], [HEAD]).damage
    assert found is not None
    assert found.seq == 7
    assert "the log ends at record 6, and record 8 was there" in found.what


def test_a_log_written_anew_passes_alone_and_fails_against_a_head_kept_elsewhere() -> None:
    anew = chained([stored(seq, call="forged" if seq == 2 else "c") for seq in range(1, 11)])
    assert verify(LOG, anew).damage is None
    found = verify(LOG, anew, [HEAD]).damage
    assert found is not None
    assert found.seq == 8
    assert "written anew" in found.what


def test_an_empty_log_in_place_of_one_that_was_there_is_damage() -> None:
    assert verify(LOG, [], [HEAD]).damage == Damage(
        1, "the log ends at record 0, and record 8 was there: its end was cut off, or an older copy put back"
    )


def test_records_forged_after_the_last_head_kept_elsewhere_pass_and_are_said_to_be_uncovered() -> None:
    forged = chained([*[r.body for r in TEN[:8]], stored(9, call="forged")])
    found = verify(LOG, forged, [HEAD])
    assert found.is_sound
    assert found.confirmed == 8
    assert any("wrote record 9 anew" in line for line in found.not_established)


def test_without_a_head_kept_elsewhere_it_says_what_it_cannot_tell() -> None:
    first, second = verify(LOG, TEN).not_established
    assert "records 1 to 10 anew" in first
    assert "nothing came after record 10" in second


def test_a_short_head_is_no_proof_and_said_to_be_none() -> None:
    found = verify(LOG, TEN, [Expected(10, TEN[9].head.hex()[:6])])
    assert found.is_sound
    assert any("6 digits can be met by trying" in line for line in found.not_established)


# --- intents and outcomes ------------------------------------------------------------------------------------------


def test_intents_without_an_outcome_are_named_and_are_no_damage() -> None:
    found = verify(LOG, chained([stored(1, "intent", "a"), stored(2, "intent", "b"), stored(3, "outcome", "a")]))
    assert found.unfinished == ((2, "b"),)
    assert found.is_sound


@pytest.mark.parametrize("kind", ["outcome", "unknown", "commit"])
def test_an_end_without_an_intent_is_damage(kind: str) -> None:
    found = verify(LOG, chained([stored(1, "look", "a"), stored(2, kind, "a")]))
    assert found.unfounded == ((2, "a"),)
    assert not found.is_sound


def test_a_second_outcome_is_damage() -> None:
    found = verify(LOG, chained([stored(1, "intent", "a"), stored(2, "outcome", "a"), stored(3, "outcome", "a")]))
    assert found.unfounded == ((3, "a"),)


@pytest.mark.parametrize("text", ["", "12", "12:", "12:zz", ":abcd", "12:abc", "x:abcdef", "12:" + "a" * 65])
def test_what_is_no_expected_head_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="SEQ:HEAD"):
        Expected.parse(text)
