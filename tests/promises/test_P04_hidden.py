"""P4: a hidden file is not there."""

from __future__ import annotations

import os

import pytest

from byleave.approvals.requests import answer
from byleave.store.opening import read_approver_key
from shop import SECRET, Shop, call, gate_over

NAMES = [".env", "./.env", "app/../.env", "secrets/key.pem", "secrets", "link", "hard", "folder/key.pem"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", NAMES)
async def test_no_name_of_a_hidden_file_shows_or_changes_it(shop: Shop, path: str) -> None:
    (shop.project / "link").symlink_to(".env")
    (shop.project / "folder").symlink_to("secrets")
    os.link(shop.project / ".env", shop.project / "hard")
    before = shop.picture()
    async with gate_over(shop) as gate:
        for answer in (
            await call(gate, "files_read", path=path),
            await call(gate, "files_write", path=path, text="x"),
            await call(gate, "files_edit", path=path, edits=[{"old": "PAYMENT", "new": "x"}]),
        ):
            assert answer.is_error
            assert SECRET not in answer.text
    assert shop.picture() == before


@pytest.mark.anyio
async def test_listing_and_search_do_not_know_it(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        listing = await call(gate, "files_read", path=".")
        names = [line.split()[0].rstrip("/") for line in listing.text.splitlines() if line.strip()]
        content = await call(gate, "files_search", pattern=SECRET[:12])
        globbed = await call(gate, "files_search", glob="**/*.pem")
    assert not listing.is_error
    assert ".env.example" in listing.text
    assert ".env" not in names
    assert "secrets" not in names
    assert "PAYMENT_KEY=" not in content.text
    assert "key.pem" not in content.text
    assert "key.pem" not in globbed.text.replace("**/*.pem", "")


@pytest.mark.anyio
async def test_it_is_not_taken_along_with_its_folder(shop: Shop) -> None:
    (shop.project / "app" / ".env").write_text(f"{SECRET}\n")
    before = shop.picture()
    async with gate_over(shop) as gate:
        removed = await call(gate, "files_remove", path="app", recursive=True)
        moved = await call(gate, "files_move", source="app", target="elsewhere")
    assert removed.is_error
    assert moved.is_error
    assert shop.picture() == before


@pytest.mark.anyio
async def test_a_file_cannot_be_made_where_a_hidden_one_would_be(shop: Shop) -> None:
    async with gate_over(shop) as gate:
        answer = await call(gate, "files_write", path="app/.env", text="DEBUG=1\n")
        moved = await call(gate, "files_move", source="app/main.py", target="secrets/main.py")
    assert answer.is_error
    assert moved.is_error
    assert not (shop.project / "app" / ".env").exists()
    assert (shop.project / "app" / "main.py").exists()


MOVES_ASK = """
[approvals]
wait = "0s"
[[rule]]
id = "app.move"
verdict = "ask"
because = "a test"
when = { verb = "update", target = "file:app/**" }
"""


@pytest.mark.anyio
async def test_what_is_put_into_a_folder_while_its_move_waits_for_leave_does_not_go_along(shop: Shop) -> None:
    async with gate_over(shop, MOVES_ASK, headless=False) as gate:
        pending = await call(gate, "files_move", source="app", target="elsewhere")
        assert pending.text.startswith("approval_pending: ")
        (shop.project / "app" / ".env").write_text(f"{SECRET}\n")
        before = shop.picture()
        await answer(gate._ledger._store, pending.text.split("`")[1], approve=True, by="a person",
                     proof=read_approver_key(shop.state))  # fmt: skip
        again = await call(gate, "files_move", source="app", target="elsewhere")
    assert again.is_error
    assert shop.picture() == before


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["{}/", "{}/x", "{}/../app/main.py", "app/../{}/../app/main.py"])
@pytest.mark.parametrize("tool", ["files_read", "files_remove", "files_search"])
async def test_no_answer_tells_whether_it_is_there(shop: Shop, path: str, tool: str) -> None:
    names = [".env", "app/.env", "secrets", "app/secrets", "secrets/key.pem", "secrets/no.pem"]
    more = {"pattern": "x"} if tool == "files_search" else {}
    async with gate_over(shop) as gate:
        answers = [await call(gate, tool, path=path.format(name), **more) for name in names]
    said = {one.text.splitlines()[0] for one in answers}
    assert said == {"denied: rule `workspace.hidden`: the policy hides this file, so for every tool it is not there"}


@pytest.mark.anyio
async def test_the_effects_of_a_refused_call_do_not_name_it(shop: Shop) -> None:
    (shop.project / "app" / ".env").write_text("x")
    async with gate_over(shop) as gate:
        answers = [
            await call(gate, "files_remove", path="app", recursive=True),
            await call(gate, "files_move", source="app", target="elsewhere"),
            await call(gate, "files_remove", path="secrets", recursive=True),
        ]
    for refused in answers:
        assert refused.is_error
        assert not any(".env" in str(effect) or "key.pem" in str(effect) for effect in refused.effects)
