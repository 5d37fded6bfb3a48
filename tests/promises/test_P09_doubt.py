"""P9: doubt is refusal."""

from __future__ import annotations

import pytest

from byleave.opening import CannotOpen
from shop import CALLER, Shop, call, gate_over

DOUBTFUL = [
    pytest.param("files_delete", {"path": "app/main.py"}, id="unknown tool"),
    pytest.param("files_remove", {"path": "app/main.py", "force": True}, id="unknown argument"),
    pytest.param("files_remove", {"path": ["app/main.py"]}, id="wrong type"),
    pytest.param("files_remove", {"path": "app", "recursive": "yes"}, id="a word for a truth value"),
    pytest.param("files_remove", {"path": ""}, id="empty"),
    pytest.param("files_remove", {"path": "app\0/main.py"}, id="NUL"),
    pytest.param("files_remove", {"path": "a" * 5000}, id="too long"),
    pytest.param("files_remove", {}, id="nothing"),
    pytest.param("sql_change", {"database": "other", "sql": "DELETE FROM orders"}, id="unknown database"),
    pytest.param("sql_change", {"database": "shop", "sql": "DELETE orders WHERE"}, id="no statement"),
    pytest.param("sql_change", {"database": "shop", "sql": ""}, id="no text"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("tool", "arguments"), DOUBTFUL)
async def test_what_is_not_understood_does_nothing(shop: Shop, tool: str, arguments: dict[str, object]) -> None:
    before = shop.picture()
    async with gate_over(shop) as gate:
        answer = await gate.call(tool, arguments, CALLER)
        assert answer.is_error
        assert answer.text.split(":")[0] in {"invalid_arguments", "not_found", "denied"}
    assert shop.picture() == before


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more",
    [
        "[limit]\nrate = '1/day'\n",
        "[limits]\nrates = '1/day'\n",
        "[limits]\nrate = 'often'\n",
        "[[rule]]\nid = 'x'\n",
        "= broken",
    ],
)
async def test_a_misspelled_key_of_the_policy_opens_no_gate(shop: Shop, more: str) -> None:
    with pytest.raises(CannotOpen):
        async with gate_over(shop, more):
            pass


@pytest.mark.anyio
async def test_what_no_rule_speaks_about_is_refused(shop: Shop) -> None:
    async with gate_over(shop, extends="read-only") as gate:
        answer = await call(gate, "files_write", path="app/main.py", text="x\n")
        assert answer.text.startswith("denied: ")
    assert (shop.project / "app" / "main.py").read_text() == "import cart\n\nprint('shop')\n"
