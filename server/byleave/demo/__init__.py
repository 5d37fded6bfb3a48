"""The founding story, replayed in a scratch directory: an agent told to clean up, without the gate and with it.

A small shop, its production database and its backups lie on one host. The same scripted calls run twice: as plain
functions, the way a raw tool would do them, and through the real server over stdio. What is lost is counted
afterwards on disk and in the tables, by code that neither run shares.
"""

from __future__ import annotations

from byleave.demo.telling import run

__all__ = ["run"]
