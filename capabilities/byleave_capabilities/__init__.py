"""The capabilities: families of tools over one kind of thing. The list is complete and explicit.

There are no entry points: discovery would let any installed wheel join the gate.
"""

from __future__ import annotations

from typing import Any

from byleave.capability import Tool
from byleave_capabilities.files import EditFile, MoveFile, RemoveFile, WriteFile
from byleave_capabilities.gate import Status, UndoCall
from byleave_capabilities.looking import ReadFile, SearchFiles
from byleave_capabilities.sql import Change, Query

TOOLS: tuple[Tool[Any, Any, Any], ...] = (
    ReadFile(),
    SearchFiles(),
    WriteFile(),
    EditFile(),
    MoveFile(),
    RemoveFile(),
    Query(),
    Change(),
    Status(),
    UndoCall(),
)
