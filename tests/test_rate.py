"""Rates: what passes, when the next would, and clocks that jump."""

from __future__ import annotations

import pytest

from byleave.rails.rate import Rate, admit

S = 1_000_000
NOW = 1_800_000_000 * S


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        pytest.param("60/minute", Rate(60, 60), id="plain"),
        pytest.param("1 / day", Rate(1, 86400), id="spaced"),
        pytest.param("5/second", Rate(5, 1), id="fast"),
        pytest.param("999999999/hour", Rate(999_999_999, 3600), id="largest"),
    ],
)
def test_a_rate_is_read_as_it_is_said(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize("text", ["", "60", "0/minute", "-1/minute", "60/fortnight", "1e3/minute", "60/minute\n"])
def test_what_is_no_rate_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate: write for example `60/minute`"):
        Rate.parse(text)


def _passed(times: list[int], rate: Rate) -> list[int]:
    tat, passed = 0, []
    for now in times:
        admission = admit(tat, now, rate)
        tat = admission.tat_us
        if admission.retry_after is None:
            passed.append(now)
    return passed


def test_all_may_come_at_once_and_not_one_more() -> None:
    assert len(_passed([NOW] * 100, Rate(60, 60))) == 60


def test_after_a_burst_one_passes_each_step() -> None:
    times = [NOW] * 100 + [NOW + second * S for second in range(1, 11)]
    assert len(_passed(times, Rate(60, 60))) == 70


def test_the_wait_that_is_named_is_the_wait_that_is_enough() -> None:
    full = NOW + 60 * S
    refused = admit(full, NOW, Rate(60, 60))
    assert refused.retry_after == 1.0
    assert refused.tat_us == full
    assert admit(full, NOW + S, Rate(60, 60)).retry_after is None
    assert admit(full, NOW + S - 1, Rate(60, 60)).retry_after is not None


def test_a_clock_set_forward_gives_at_most_one_burst() -> None:
    times = [NOW] * 60 + [NOW + 10**6 * S] * 1000
    assert len(_passed(times, Rate(60, 60))) == 120


def test_a_clock_set_back_grants_nothing_and_is_waited_for_no_longer_than_a_step() -> None:
    used_up = NOW + 60 * S
    back = NOW - 3600 * S
    refused = admit(used_up, back, Rate(60, 60))
    assert refused.retry_after == 1.0
    assert admit(refused.tat_us, back + S, Rate(60, 60)).retry_after is None


def test_a_rate_that_does_not_divide_never_grants_more_than_was_written() -> None:
    rate = Rate(7, 1)
    assert len(_passed([NOW + at for at in range(0, 10 * S, 1000)], rate)) <= 7 + 70
