"""Budgets: what fits, and that nothing else does."""

from __future__ import annotations

import pytest

from byleave.rails.budget import Hold, fits


@pytest.mark.parametrize(
    ("used", "held", "amount", "limit", "expected"),
    [
        pytest.param(0, 0, 10, 10, True, id="exactly the limit"),
        pytest.param(0, 0, 11, 10, False, id="one over"),
        pytest.param(4, 5, 1, 10, True, id="used and held together reach it"),
        pytest.param(4, 6, 1, 10, False, id="what others hold counts"),
        pytest.param(10, 0, 0, 10, True, id="nothing always fits at the limit"),
        pytest.param(12, 0, 0, 10, False, id="beyond it, not even nothing"),
    ],
)
def test_used_held_and_asked_stay_within_the_limit(
    used: int, held: int, amount: int, limit: int, expected: bool
) -> None:
    assert fits(used, held, Hold("k", amount, limit)) is expected


@pytest.mark.parametrize(("amount", "limit"), [(-1, 10), (1, -1)])
def test_a_budget_cannot_be_widened_by_a_negative_number(amount: int, limit: int) -> None:
    with pytest.raises(ValueError, match="counts upwards"):
        Hold("k", amount, limit)
