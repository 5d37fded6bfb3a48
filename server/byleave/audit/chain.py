"""The hash chain: each record's hash covers its bytes, its place and everything before it. Pure.

    leaf = SHA256(0x00 || body)
    head = SHA256(0x02 || log id || seq, 8 bytes big-endian || head before || leaf)

The first byte keeps leaves and links apart, so that neither can be taken for the other (RFC 6962, 2.1). The leaf is
stored beside the body: a body can be taken out later and the chain still be checked. Hashed are the bytes as stored,
so no rule of canonical JSON is needed.
"""

from __future__ import annotations

import hashlib

#: What stands before the first record.
GENESIS = bytes(32)


def leaf_of(body: bytes) -> bytes:
    """The digest of one record's stored bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def head_of(log_id: bytes, seq: int, before: bytes, leaf: bytes) -> bytes:
    """The head of the chain once record `seq` (from 1) with this leaf follows the head `before`."""
    return hashlib.sha256(b"\x02" + log_id + seq.to_bytes(8, "big") + before + leaf).digest()
