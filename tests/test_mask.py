"""Masking: secrets do not get into records, whatever shape they come in."""

from __future__ import annotations

import hashlib
import json
import time
from functools import reduce

import pytest

from byleave.audit.mask import Masker

KEY = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFy"

SECRETS = [
    pytest.param("AKIA" + "IOSFODNN7EXAMPLE", "id {}", id="aws key id"),
    pytest.param("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "aws_secret_access_key = {}", id="aws secret"),
    pytest.param("ghp_" + KEY[:36], "use {} here", id="github"),
    pytest.param("github_pat_" + KEY, "{}", id="github fine-grained"),
    pytest.param("glpat-" + KEY[:20], "git clone with {}", id="gitlab"),
    pytest.param("xoxb-1234567890-" + KEY, "{}", id="slack"),
    pytest.param("sk-proj-" + KEY, "{}", id="openai"),
    pytest.param("sk-ant-api03-" + KEY, "{}", id="anthropic"),
    pytest.param("sk_live_" + KEY, "{}", id="stripe"),
    pytest.param("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "{}", id="jwt"),
    pytest.param("hunter2!", "postgres://app:{}@db/app", id="url password"),
    pytest.param("p@ss:word", "postgres://app:{}@db/app", id="url password with an @"),
    pytest.param("hunter2!", "PASSWORD={} rest", id="assignment"),
    pytest.param("hunter2!", "export DB_PASSWORD='{}'", id="quoted assignment"),
    pytest.param("hunter2!", '{{"api_key": "{}"}}', id="json"),
    pytest.param("hunter2!", "tool --db-password {}", id="flag"),
    pytest.param("hunter2!", "CREATE USER u IDENTIFIED BY '{}'", id="sql"),
    pytest.param("dXNlcjpodW50ZXIy", "Authorization: Basic {}", id="basic"),
    pytest.param("opaque-token-of-some-kind", "curl -H 'Authorization: Bearer {}'", id="bearer"),
    pytest.param("sid=opaque; theme=dark", "Cookie: {}", id="cookie"),
    pytest.param("MIIEow\nIBAAKC", "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", id="pem"),
    pytest.param("MIIEow", "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\nand no end", id="pem cut off"),
]


@pytest.mark.parametrize(("secret", "text"), SECRETS)
def test_a_credential_of_a_known_shape_is_masked(secret: str, text: str) -> None:
    masked = Masker().text(text.format(secret))
    assert secret not in masked
    assert "[masked]" in masked


@pytest.mark.parametrize(("secret", "text"), SECRETS)
def test_no_credential_survives_in_the_preview_of_a_long_text(secret: str, text: str) -> None:
    for padding in (0, 150, 190, 199):
        kept = json.dumps(Masker().value("x" * padding + " " + text.format(secret) + " y" * 300))
        assert secret not in kept
        assert secret[: len(secret) // 2] not in kept or "PRIVATE KEY" in text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("eyJ" + "a" * 5000 + "." + "b" * 5000 + ".c", id="jwt"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\n" + "MII" * 2000 + "\n-----END RSA PRIVATE KEY-----", id="pem"),
        pytest.param("password='" + "hunter2 " * 500 + "'", id="quoted"),
        pytest.param("Authorization: Bearer " + "opaque" * 500, id="bearer"),
    ],
)
def test_a_credential_longer_than_what_is_looked_at_is_masked_by_its_beginning(text: str) -> None:
    kept = Masker().value("some words before it: " + text)
    assert isinstance(kept, dict)
    preview = str(kept["preview"])
    assert "[masked]" in preview
    assert not any(piece in preview for piece in ("aaa", "MII", "hunter2", "opaque"))


@pytest.mark.parametrize(
    "text",
    ["DELETE FROM orders WHERE id = 7", "src/passwords.py", "the task is done", "monkey = 1", "https://a.example/b"],
)
def test_ordinary_text_stays_readable(text: str) -> None:
    assert Masker().text(text) == text


@pytest.mark.parametrize("form", ["{}", "x{}y", "prefix%20{}"])
def test_a_configured_secret_is_masked_wherever_it_stands(form: str) -> None:
    masker = Masker(["correct horse", "correct horse battery"])
    assert "horse" not in masker.text(form.format("correct horse battery"))
    assert "horse" not in masker.text(form.format("correct%20horse%20battery"))


def test_a_value_named_like_a_secret_is_masked_whole_at_any_depth() -> None:
    given = {"a": [{"password": "tiny", "user": "ada"}], "API_KEY": "k", "count": 3, "on": True, "none": None}
    assert Masker().arguments(given) == {
        "a": [{"password": "[masked]", "user": "ada"}],
        "API_KEY": "[masked]",
        "count": 3,
        "on": True,
        "none": None,
    }


def test_a_long_text_is_kept_as_its_beginning_digest_and_length() -> None:
    text = "é" * 300
    assert Masker().value(text) == {
        "preview": "é" * 200,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "bytes": 600,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"k" * 2_000_000: 1}, id="a-long-name"),
        pytest.param({f"k{n}": n for n in range(200_000)}, id="many-names"),
        pytest.param({"edits": ["x" * 300] * 200_000}, id="many-texts"),
        pytest.param({"n": 10**3_000}, id="a-long-number"),
        pytest.param({"deep": reduce(lambda inner, _: [inner], range(50_000), "x")}, id="deep"),
        pytest.param({"wide": [[["x"] * 100] * 100] * 100}, id="deep-and-wide"),
    ],
)
def test_no_arguments_make_a_record_large(arguments: dict[str, object]) -> None:
    kept = Masker().arguments(arguments)
    assert len(json.dumps(kept)) < 250_000
    assert "[left out]" in json.dumps(kept) or "…" in next(iter(kept))


def test_a_sentence_is_masked_and_stays_one() -> None:
    said = Masker().sentence(f"`{'x' * 990} sk_live_abcdef0123456789abcdef` is not there")
    assert len(said) <= 1_001
    assert "sk_live" not in said


def test_a_text_cannot_write_on_the_terminal_of_who_reads_the_log() -> None:
    assert Masker().text("a\x1b[2Jb\u202ec") == "a\\x1b[2Jb\\u202ec"


@pytest.mark.parametrize(
    "piece", ["a.", "password", "eyJ", "-----BEGIN PRIVATE KEY-----", "http://", "token= ", "--a-", "a:b@", " ", "'"]
)
def test_no_input_makes_masking_slow(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    start = time.process_time()
    Masker(["secret"]).shown(text)
    assert time.process_time() - start < 0.5
