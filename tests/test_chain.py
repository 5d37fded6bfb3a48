"""The chain's hashes, against vectors computed by hand with sha256sum, and what each of them covers."""

from __future__ import annotations

import hashlib

import pytest

from byleave.audit.chain import GENESIS, head_of, leaf_of

LOG = bytes(range(16))


def test_a_leaf_is_sha256_over_a_zero_byte_and_the_stored_bytes() -> None:
    # printf '\0abc' | sha256sum
    assert leaf_of(b"abc").hex() == "609f6e36d2405585188d5cfd761f407c7cc46a7d3f314c88270469dde315fcd1"


def test_a_head_covers_log_number_head_before_and_leaf() -> None:
    leaf = leaf_of(b"abc")
    by_hand = hashlib.sha256(b"\x02" + LOG + b"\0\0\0\0\0\0\0\x07" + GENESIS + leaf).digest()
    assert head_of(LOG, 7, GENESIS, leaf) == by_hand


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(head_of(bytes(16), 1, GENESIS, leaf_of(b"a")), id="another log"),
        pytest.param(head_of(LOG, 2, GENESIS, leaf_of(b"a")), id="another number"),
        pytest.param(head_of(LOG, 1, leaf_of(b""), leaf_of(b"a")), id="another head before"),
        pytest.param(head_of(LOG, 1, GENESIS, leaf_of(b"b")), id="another body"),
    ],
)
def test_anything_else_gives_another_head(changed: bytes) -> None:
    assert changed != head_of(LOG, 1, GENESIS, leaf_of(b"a"))


def test_a_leaf_cannot_be_taken_for_a_link() -> None:
    link = LOG + (1).to_bytes(8, "big") + GENESIS + leaf_of(b"a")
    assert leaf_of(link) != head_of(LOG, 1, GENESIS, leaf_of(b"a"))
