"""P13: a policy that lies in the workspace counts only after a person has trusted exactly its bytes."""

from __future__ import annotations

import pytest

from byleave.opening import open_gate
from byleave.policy.trust import trust
from shop import Shop, call

READ_ONLY = 'extends = "read-only"\n'
LOOSE = (
    'extends = "develop"\n[[rule]]\nid = "all.allow"\nwhen = { verb = ["create", "update", "delete"] }\n'
    'verdict = "allow"\nbecause = "everything"\n[approvals]\nheadless = true\n'
)


async def write_through(shop: Shop) -> tuple[bool, str]:
    """Whether a write passes with the policy that the gate finds by itself, and what the answer says."""
    async with open_gate(workspace=shop.project, policy=None, state_dir=shop.state, headless=True) as gate:
        answer = await call(gate, "files_write", path="app/main.py", text="x\n")
        return not answer.is_error, answer.text


@pytest.mark.anyio
async def test_an_untrusted_policy_loosens_nothing(shop: Shop) -> None:
    (shop.project / "byleave.toml").write_text(LOOSE)
    async with open_gate(workspace=shop.project, policy=None, state_dir=shop.state, headless=True) as gate:
        answer = await call(gate, "files_write", path=".envrc", text="x\n")
    assert answer.is_error
    assert "notice: " in answer.text
    assert not (shop.project / ".envrc").exists()


@pytest.mark.anyio
async def test_a_trusted_policy_counts_and_a_changed_one_does_not(shop: Shop) -> None:
    path = shop.project / "byleave.toml"
    path.write_text(READ_ONLY)
    trust(shop.state, path, READ_ONLY)
    passed, _ = await write_through(shop)
    assert not passed
    path.write_text(LOOSE)  # whoever works in the workspace could
    passed, text = await write_through(shop)
    assert not passed
    assert "notice: " in text
    assert (shop.project / "app" / "main.py").read_text().startswith("import cart")
