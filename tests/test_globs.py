"""Names in the policy's lists, as they match."""

from __future__ import annotations

import pytest

from byleave.policy.globs import table_globs


@pytest.mark.parametrize(
    ("written", "matched", "spared"),
    [
        pytest.param(
            "orders", ["orders", "main.orders", "public.orders"], ["order", "audit.orders", "orders2"], id="bare"
        ),
        pytest.param("main.orders", ["orders", "main.orders"], ["public.orders", "x.orders"], id="main"),
        pytest.param("public.orders", ["public.orders"], ["orders", "main.orders"], id="public"),
        pytest.param("audit.*", ["audit.log"], ["log", "audit"], id="schema"),
        pytest.param("Orders", ["orders"], [], id="case"),
        pytest.param("main.*", ["orders", "main.orders"], ["audit.orders"], id="all-of-main"),
        pytest.param("*", ["orders", "audit.log"], [], id="all"),
    ],
)
def test_tables_that_may_be_written(written: str, matched: list[str], spared: list[str]) -> None:
    granted = table_globs([written])
    assert [name for name in matched if granted.fullmatch(name)] == matched
    assert [name for name in spared if granted.fullmatch(name)] == []
