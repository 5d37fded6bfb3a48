"""`byleave check`: the contract of its lines, and what it does with lines that are no calls."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from byleave.cli import main
from byleave.cli.ending import Code
from shop import Shop, build


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return build(tmp_path)


def check(shop: Shop, *words: str, given: bytes | None = None) -> Result:
    common = ("--workspace", str(shop.project), "--policy", str(shop.policy), "--state-dir", str(shop.state))
    return CliRunner().invoke(main, ["check", *words, *common], input=given)


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def call(tool: str, **arguments: object) -> bytes:
    return json.dumps({"tool": tool, "arguments": arguments}).encode()


@pytest.mark.parametrize(
    ("tool", "arguments", "verdict", "code"),
    [
        pytest.param("files_read", {"path": "app/main.py"}, "allow", Code.FINE, id="allow"),
        pytest.param("files_remove", {"path": "app/main.py"}, "delay", Code.FINE, id="delay"),
        pytest.param("files_write", {"path": ".envrc", "text": "x"}, "ask", Code.ASK, id="ask"),
        pytest.param("files_read", {"path": ".env"}, "deny", Code.NO, id="deny"),
        pytest.param("files_read", {}, "deny", Code.NO, id="arguments that are wrong"),
        pytest.param("shell_run", {"command": "ls"}, "deny", Code.NO, id="a tool that is not there"),
    ],
)
def test_one_call_is_one_line_and_an_exit_code(
    shop: Shop, tool: str, arguments: dict[str, object], verdict: str, code: Code
) -> None:
    before = shop.picture()
    said = check(shop, tool, "--arguments", json.dumps(arguments))
    (line,) = lines(said)
    assert list(line) == ["verdict", "rules", "effects"]
    assert line["verdict"] == verdict
    assert line["rules"]
    assert said.exit_code == code
    assert shop.picture() == before
    assert list(shop.state.iterdir()) == [], "nothing is recorded"


def test_a_line_names_its_effects_and_which_wait_for_a_stage(shop: Shop) -> None:
    (line,) = lines(
        check(shop, "sql_change", "--arguments", '{"database": "shop", "sql": "DELETE FROM orders WHERE id > 5"}')
    )
    effects = line["effects"]
    assert isinstance(effects, list)
    deletes = [effect for effect in effects if effect["verb"] == "delete"]
    assert [(effect["target"], effect["undo"], effect["waits"]) for effect in deletes] == [
        ("sql:shop/orders", "snapshot", True)
    ]
    assert shop.rows("orders") == 100


def test_a_batch_answers_each_line_in_order_and_no_line_stops_it(shop: Shop) -> None:
    given = [
        call("files_read", path="app/main.py"),
        b"not json",
        b"",
        b"[]",
        b'{"arguments": {}}',
        b'{"tool": 7, "arguments": {}}',
        b'{"tool": "files_read", "arguments": []}',
        b'\xff\xfe{"tool"',
        b"[" * 100_000,
        b'{"tool": "files_read", "arguments": {"path": "\\ud800"}}',
        b'{"tool": "gate_status"}',
        call("files_read", path="\x00"),
        call("files_read", path="app/cart.py"),
    ]
    said = check(shop, "--batch", "-", given=b"\n".join(given) + b"\n")
    verdicts = [line["verdict"] for line in lines(said)]
    assert verdicts == ["allow", *["deny"] * 9, "allow", "deny", "allow"]
    assert said.exit_code == Code.FINE
    for line in lines(said)[1:10]:
        (rule,) = line["rules"]  # type: ignore[misc]  # a list: the line says so
        assert rule["because"]
        assert rule["id"]


def test_a_batch_from_a_file_without_a_last_line_end(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(call("files_read", path="app/main.py") + b"\r\n" + call("files_read", path=".env"))
    said = check(shop, "--batch", str(path))
    assert [line["verdict"] for line in lines(said)] == ["allow", "deny"]


@pytest.mark.parametrize("words", [[], ["files_read", "--batch", "-"], ["--batch", "-", "--arguments", "{}"]])
def test_what_to_check_has_to_be_clear(shop: Shop, words: list[str]) -> None:
    said = check(shop, *words, given=b"")
    assert said.exit_code == Code.USAGE
    assert said.stdout == ""


def test_arguments_that_are_no_json_are_denied(shop: Shop) -> None:
    said = check(shop, "files_read", "--arguments", '{} , "tool": "gate_status"')
    (line,) = lines(said)
    assert (line["verdict"], said.exit_code) == ("deny", Code.NO)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("--workspace", "/"), Code.WORKSPACE, id="workspace"),
        pytest.param(("--policy", "no-such-preset"), Code.POLICY, id="policy"),
    ],
)
def test_what_cannot_be_opened_has_its_code(shop: Shop, words: tuple[str, str], code: Code) -> None:
    said = CliRunner().invoke(main, ["check", "gate_status", "--workspace", str(shop.project), *words])
    assert said.exit_code == code
    assert said.stdout == ""
    assert said.stderr.startswith("byleave: ")
    assert "\nhint: " in said.stderr


def test_5000_lines_take_seconds(shop: Shop) -> None:
    """The figures (2,000 a second for files, 300 for SQL) are measured by bench; this only catches a cliff."""
    files = [call("files_write", path=f"app/n{n}.py", text="x = 1\n") for n in range(4_000)]
    sql = [call("sql_query", database="shop", sql=f"SELECT id FROM orders WHERE id > {n}") for n in range(1_000)]
    began = time.monotonic()
    said = check(shop, "--batch", "-", given=b"\n".join([*files, *sql]))
    assert time.monotonic() - began < 20
    assert [line["verdict"] for line in lines(said)] == ["allow"] * 5_000
