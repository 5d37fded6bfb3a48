"""The words: extents that can be believed, digests that bind, and what counts as no more than allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from byleave.effects import (
    Effect,
    Extent,
    Plan,
    Precision,
    Target,
    Undo,
    Unit,
    Verb,
    digest_of,
    files,
    printable,
    rows,
    unknown,
    within,
)

DELETE = Effect(Verb.DELETE, Target.file("/w/a"), files(1), Undo.SNAPSHOT, before="aa")
ROWS = Effect(Verb.DELETE, Target.sql("app", "orders"), rows(3), Undo.SNAPSHOT, content="k1")


@pytest.mark.parametrize(
    ("extent", "said"),
    [
        pytest.param(files(1), "1 file", id="one"),
        pytest.param(rows(41203), "41,203 rows", id="many"),
        pytest.param(files(200, Precision.AT_MOST), "at most 200 files", id="bound"),
        pytest.param(rows(900, Precision.ESTIMATE), "about 900 rows", id="estimate"),
        pytest.param(unknown(Unit.BYTES), "unknown bytes", id="unknown"),
    ],
)
def test_an_extent_says_how_far_it_can_be_believed(extent: Extent, said: str):
    assert str(extent) == said


@pytest.mark.parametrize(
    ("amount", "precision"),
    [(None, Precision.EXACT), (3, Precision.UNKNOWN), (-1, Precision.EXACT)],
)
def test_an_extent_that_contradicts_itself_cannot_be_made(amount: int | None, precision: Precision):
    with pytest.raises(ValueError, match="extent"):
        Extent(Unit.FILES, amount, precision)


@pytest.mark.parametrize(
    ("extent", "bound", "exceeds"),
    [(files(200), 200, False), (files(201), 200, True), (unknown(Unit.FILES), 10**9, True), (files(0), 0, False)],
)
def test_an_unknown_extent_may_always_be_more(extent: Extent, bound: int, exceeds: bool):
    assert extent.exceeds(bound) is exceeds


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(DELETE, verb=Verb.UPDATE), id="verb"),
        pytest.param(replace(DELETE, target=Target.file("/w/b")), id="target"),
        pytest.param(replace(DELETE, extent=files(2)), id="extent"),
        pytest.param(replace(DELETE, undo=Undo.NONE), id="undo"),
        pytest.param(replace(DELETE, before="bb"), id="before"),
        pytest.param(replace(DELETE, content="cc"), id="content"),
        pytest.param(replace(DELETE, traits=frozenset({"hidden"})), id="traits"),
    ],
)
def test_a_digest_binds_every_word_of_an_effect(other: Effect):
    assert digest_of([DELETE]) != digest_of([other])


def test_a_digest_does_not_care_about_order_or_about_when_it_was_judged():
    assert digest_of([DELETE, ROWS]) == digest_of([ROWS, replace(DELETE, waits=True)])


@pytest.mark.parametrize(
    ("observed", "inside"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param([ROWS], True, id="the-same"),
        pytest.param([replace(ROWS, extent=rows(2))], True, id="fewer"),
        pytest.param([replace(ROWS, extent=rows(4))], False, id="more"),
        pytest.param([replace(ROWS, extent=unknown(Unit.ROWS))], False, id="unknown"),
        pytest.param([replace(ROWS, content="k2")], False, id="other-rows"),
        pytest.param([replace(ROWS, undo=Undo.NONE)], False, id="cannot-be-undone-after-all"),
        pytest.param([replace(ROWS, traits=frozenset({"no-where"}))], False, id="a-new-trait"),
        pytest.param([replace(ROWS, verb=Verb.UPDATE)], False, id="another-verb"),
        pytest.param([ROWS, replace(ROWS, target=Target.sql("app", "log"))], False, id="a-trigger-more"),
    ],
)
def test_within_holds_only_for_what_was_allowed_in_every_word(observed: list[Effect], inside: bool):
    assert within(observed, [ROWS, DELETE]) is inside


def test_a_waiting_effect_allows_nothing_by_itself():
    assert not within([ROWS], [replace(ROWS, waits=True)])


def test_a_name_cannot_write_on_a_terminal():
    assert printable("a\x1b[2J\nb\u202ec\udcff") == "a\\x1b[2J\\nb\\u202ec\\udcff"


def test_a_plan_that_only_looks_has_at_least_one_effect():
    read = replace(DELETE, verb=Verb.READ)
    assert [Plan(()).only_looks, Plan((read,)).only_looks, Plan((read, DELETE)).only_looks] == [False, True, False]
