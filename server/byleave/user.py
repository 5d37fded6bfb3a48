"""Who this process runs as: the one identity that the gate takes on trust, because the kernel vouches for it."""

from __future__ import annotations

import os
import pwd


def user() -> str:
    """The OS user's name, or `uid N` where the system knows no name for it (containers). Never from the environment."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
