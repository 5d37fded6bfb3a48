"""The capabilities: families of tools over one kind of thing. The list is complete and explicit.

There are no entry points: discovery would let any installed wheel join the gate.
"""

from __future__ import annotations

from typing import Any

from byleave.capability import Tool

TOOLS: tuple[Tool[Any, Any, Any], ...] = ()
