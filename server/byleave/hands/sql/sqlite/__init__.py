"""SQLite, by apsw: its own newest engine, with the hooks that the standard library leaves out."""
