"""Attacks and ordinary work as plain text (tests/vectors/): one call on a small shop, and what has to become of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from byleave.capability import Word
from shop import CALLER, Shop, build, gate_over

FOLDER = Path(__file__).parent / "vectors"


@dataclass(frozen=True)
class Vector:
    """One block of a file. `expect` are first words of an answer; `ok` is none of them."""

    line: str
    tool: str
    arguments: str
    expect: frozenset[str]
    policy: str
    holds: str


def vectors(name: str) -> Iterator[object]:
    blocks: list[dict[str, str]] = [{}]
    for number, line in enumerate((FOLDER / name).read_text().splitlines(), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            blocks.append({})
            continue
        key, _, value = line.partition(":")
        assert key in {"call", "expect", "policy", "holds", "comment"}, f"{name}:{number}"
        blocks[-1] |= {key: value.strip(), "line": blocks[-1].get("line", str(number))}
    for block in filter(None, blocks):
        tool, _, arguments = block["call"].partition(" ")
        expect = frozenset(block["expect"].split("|"))
        assert expect <= {"ok", *Word}, f"{name}:{block['line']}"
        made = Vector(block["line"], tool, arguments, expect, block.get("policy", "develop"), block.get("holds", ""))
        yield pytest.param(made, id=f"{block['line']}-{tool}")


def rows(shop: Shop) -> list[str]:
    connection = sqlite3.connect(shop.database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.mark.anyio
@pytest.mark.parametrize("vector", [*vectors("attacks.txt")])
async def test_an_attack_comes_to_nothing(vector: Vector, tmp_path: Path) -> None:
    shop = build(tmp_path)
    before = (shop.picture(), rows(shop))
    async with gate_over(shop, extends=vector.policy) as gate:
        arguments = json.loads(vector.arguments.replace("{root}", str(shop.root)))
        answer = await gate.call(vector.tool, arguments, CALLER)
    assert answer.text.split(":")[0] in vector.expect, answer.text
    assert (shop.picture(), rows(shop)) == before


@pytest.mark.anyio
@pytest.mark.parametrize("vector", [*vectors("ordinary.txt")])
async def test_ordinary_work_passes(vector: Vector, tmp_path: Path) -> None:
    shop = build(tmp_path)
    async with gate_over(shop, extends=vector.policy) as gate:
        answer = await gate.call(vector.tool, json.loads(vector.arguments), CALLER)
    assert vector.expect == {"ok"}
    assert not answer.is_error, answer.text
    assert vector.holds in answer.text
