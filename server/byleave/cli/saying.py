"""What the store and the gate raise, as the ending of a command. Apart from `ending.py`, which imports nothing big."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from byleave.capability import Refused
from byleave.cli.ending import Code, ended
from byleave.store.entry import StoreDown


@contextmanager
def in_words() -> Generator[None]:
    """Ends the command where the store is down, or says no, with what it says."""
    try:
        yield
    except StoreDown as down:
        raise ended(str(down), down.hint, Code.STORE) from down
    except Refused as no:
        raise ended(no.reason, no.hint) from no
