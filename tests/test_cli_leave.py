"""`byleave pending`, `approve` and `refuse`: what a person sees, and that only an answer lets anything happen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from click.testing import CliRunner, Result

from byleave.cli import main
from byleave.cli.ending import Code
from shop import CALLER, Shop, build, call, gate_over

SOON = '[approvals]\nwait = "0s"\nexpire = "1h"\n'
ASKED = {"path": ".envrc", "text": "export A=1\n\x1b[2Jexport B=2\n"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return build(tmp_path)


def byleave(shop: Shop, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--state-dir", str(shop.state)])


async def asked(shop: Shop) -> str:
    """A call that asks, made and gone: the id of the request that waits."""
    async with gate_over(shop, SOON, headless=False) as gate:
        pending = await call(gate, "files_write", **ASKED)
    assert pending.text.startswith("approval_pending: "), pending.text
    return pending.text.split("`")[1]


async def again(shop: Shop) -> str:
    async with gate_over(shop, SOON, headless=False) as gate:
        return (await call(gate, "files_write", **ASKED)).text


def test_pending_lists_it_in_words(shop: Shop) -> None:
    request = anyio.run(asked, shop)
    said = byleave(shop, "pending")
    assert said.exit_code == 0
    assert re.search(rf"{request}  files_write +create file://.*/\.envrc: 1 file  \(good for (59|60) min", said.output)
    (listed,) = json.loads(byleave(shop, "pending", "--json").output)
    assert (listed["id"], listed["state"], listed["tool"]) == (request, "pending", "files_write")


def test_an_approval_lets_exactly_this_happen_once(shop: Shop) -> None:
    request = anyio.run(asked, shop)
    said = byleave(shop, "approve", request, "--yes")
    assert said.exit_code == 0, said.output
    assert f"approved {request}" in said.output
    assert not anyio.run(again, shop).startswith("approval_"), "the same call picks it up"
    assert (shop.project / ".envrc").read_text() == ASKED["text"]
    assert byleave(shop, "pending").output == "nothing waits for a person\n"


def test_what_is_shown_names_effects_rule_and_preview_and_cannot_write_on_the_terminal(shop: Shop) -> None:
    request = anyio.run(asked, shop)
    shown = byleave(shop, "approve", request, "--yes").output
    assert "files_write in " in shown
    assert "  would create file://" in shown
    assert "  rule files.runs-later: " in shown
    assert "  | +export A=1" in shown
    assert "\x1b" not in shown


def test_without_a_terminal_and_without_yes_nothing_is_approved(shop: Shop) -> None:
    request = anyio.run(asked, shop)
    said = byleave(shop, "approve", request)
    assert said.exit_code == Code.USAGE
    assert "there is no terminal to ask on" in said.stderr
    assert anyio.run(again, shop).startswith("approval_pending: ")
    assert not (shop.project / ".envrc").exists()


def test_a_refusal_reaches_the_agent_and_nothing_happens(shop: Shop) -> None:
    request = anyio.run(asked, shop)
    assert byleave(shop, "refuse", request).exit_code == 0
    assert anyio.run(again, shop).startswith(f"approval_refused: request `{request}` was refused by ")
    assert not (shop.project / ".envrc").exists()


def test_an_answer_counts_once(shop: Shop) -> None:
    request = anyio.run(asked, shop)
    assert byleave(shop, "refuse", request).exit_code == 0
    said = byleave(shop, "approve", request, "--yes")
    assert said.exit_code == Code.NO
    assert f"request `{request}` is refused already" in said.stderr
    assert anyio.run(again, shop).startswith("approval_refused: ")


@pytest.mark.anyio
async def test_a_running_gate_hears_the_answer_at_once(shop: Shop) -> None:
    lines: list[str] = []

    async def approve(line: str) -> None:
        lines.append(line)
        request = line.split("`")[1].removeprefix("byleave approve ")
        said = await anyio.to_thread.run_sync(byleave, shop, "approve", request, "--yes")
        assert said.exit_code == 0, said.output

    async with gate_over(shop, '[approvals]\nwait = "30s"\n', headless=False) as gate:
        with anyio.fail_after(10):
            answer = await gate.call("files_write", ASKED, CALLER, approve)
    assert not answer.is_error, answer.text
    assert (shop.project / ".envrc").exists()


def test_where_nothing_was_recorded_it_says_so(shop: Shop) -> None:
    said = byleave(shop, "pending")
    assert said.exit_code == Code.STORE
    assert "there is no log at" in said.stderr


def test_an_unknown_request_is_named_safely(shop: Shop) -> None:
    anyio.run(asked, shop)
    said = byleave(shop, "approve", "a-\x1b[2J", "--yes")
    assert said.exit_code == Code.NO
    assert said.stderr == "byleave: there is no request `a-\\x1b[2J`\nhint: `byleave pending` lists what waits\n"
