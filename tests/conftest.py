"""Fixtures that more than one kind of test needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


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
