"""The two descriptors that carry the protocol, taken before anything else in the process can print on them.

Apart from `stdio.py`, so that it is done before half a second of imports.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """Where messages come from, and where they go."""

    reading: int
    writing: int


def take_wire() -> Wire:
    """Move the protocol off the standard descriptors. Raises OSError where one of them is closed.

    1. dup 0 and 1 to private descriptors, close-on-exec: no child inherits the wire
    2. dup2 /dev/null over 0, and 2 over 1: a stray print, ours or a library's, lands on stderr and not in the protocol
    """
    for standard in (0, 1, 2):
        os.fstat(standard)  # a closed one would be taken by the first dup, and then be diverted
    wire = Wire(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return wire
