"""Databases: a statement is judged by what it is and by what it did, and executed exactly as it was read."""

from byleave.hands.sql.databases import Databases

__all__ = ["Databases"]
