"""P4: a hidden file is not there."""

from __future__ import annotations

import os

import pytest

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
