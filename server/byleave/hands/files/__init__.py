"""Hands for files: everything that touches the workspace goes through here."""

from byleave.hands.files.ground import Limits
from byleave.hands.files.workspace import Workspace

__all__ = ["Limits", "Workspace"]
