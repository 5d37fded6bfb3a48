"""The floor under every durable answer: one small write and one fsync, on the disk where the state directory lies."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Floor:
    """A preallocated file, as SQLite's write-ahead log is one once it has been written round."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "floor", os.O_CREAT | os.O_RDWR, 0o600)
        os.pwrite(self._descriptor, bytes(4096 * 256), 0)
        os.fsync(self._descriptor)
        self._next = 0

    def once(self) -> float:
        """Seconds for a page written and synced."""
        start = time.perf_counter()
        os.pwrite(self._descriptor, bytes(4096), 4096 * self._next)
        os.fdatasync(self._descriptor)
        self._next = (self._next + 1) % 256
        return time.perf_counter() - start

    def close(self) -> None:
        os.close(self._descriptor)
