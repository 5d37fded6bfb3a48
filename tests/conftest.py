"""Fixtures that more than one kind of test needs."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest

# A shell starts what runs in its background with SIGINT ignored, and every child inherits that: Ctrl-C reaches none.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _quiet_commands_leave_no_quiet_behind() -> Iterator[None]:
    """Commands set the level of our logger for their process; here one process runs them all."""
    ours = logging.getLogger("byleave")
    level = ours.level
    yield
    ours.setLevel(level)
