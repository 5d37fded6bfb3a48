"""What a server says on stderr, which clients keep in files: what went wrong and where, never an exception's own words.

Those can hold a path, a row, the content of a file or a secret.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType


class Wordless(logging.Formatter):
    """Shows an exception by its type and the places it came through."""

    def formatException(  # noqa: N802  the name is logging's
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        kind, _, at = ei
        if kind is None:
            return ""
        return "".join([*traceback.format_tb(at), kind.__qualname__])


def log_to_stderr() -> None:
    """Send warnings and worse of this process to stderr. The SDK's own are left out: they quote messages."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Wordless("byleave: %(levelname)s: %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
