"""The engine's errors in the contract's words. Names from the statement are shown, values never."""

from __future__ import annotations

import apsw

from byleave.capability import Refused, Word
from byleave.effects import printable

NOTHING = "nothing was changed"


def in_words(error: Exception, database: str, refused: str) -> Refused:  # noqa: PLR0911, PLR0912 (a table of errors)
    """`refused` is what the authorizer has said no to, if it has."""
    named = f"database `{printable(database)}`"
    if refused:
        return Refused(
            Word.DENIED, f"the statement does what it did not declare: {refused}", "leave that out", rule="sql.beyond"
        )
    said = printable(str(error))[:200]
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return Refused(
                Word.CONFLICT, f"{named} is locked by another program", f"{NOTHING}. try again when it has finished"
            )
        case apsw.InterruptError():
            return Refused(
                Word.TIMED_OUT, f"{named}: the statement took too long", f"{NOTHING}. narrow it, or use an index"
            )
        case apsw.AuthError() | apsw.ExecTraceAbort():
            return Refused(
                Word.DENIED, "the statement does more than it says", "send one plain statement", rule="sql.beyond"
            )
        case apsw.SQLError():
            missing = said.startswith(("no such table", "no such column"))
            hint = "`describe` lists the tables, `describe TABLE` the columns"
            double = (
                "; text stands in 'single quotes', names in \"double quotes\""
                if said.startswith("no such column")
                else ""
            )
            return Refused(Word.NOT_FOUND if missing else Word.INVALID_ARGUMENTS, f"{named}: {said}", hint + double)
        case apsw.ConstraintError():
            return Refused(
                Word.FAILED,
                f"{named} does not take it: `{said}`",
                f"{NOTHING}. `describe TABLE` shows keys and constraints",
            )
        case UnicodeDecodeError():
            return Refused(Word.FAILED, f"{named}: a text in it is not UTF-8", "read it as `hex(COLUMN)`")
        case apsw.BindingsError() | KeyError() | OverflowError() | ValueError() | TypeError():
            return Refused(
                Word.INVALID_ARGUMENTS,
                "`params` do not fit the statement's placeholders",
                "a list for `?`, an object for `:name`",
            )
        case apsw.NoMemError():
            hint = f"{NOTHING}. narrow it: sort, group and compare fewer or shorter values"
            return Refused(Word.FAILED, f"{named}: the statement needs too much memory", hint)
        case apsw.TooBigError():
            reason = f"{named}: a value longer than 1 MB, or than this statement may hold"
            return Refused(Word.FAILED, reason, "leave that column or row out, or ask for fewer columns")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.CantOpenError():
            return Refused(
                Word.FAILED, f"{named} cannot be opened for this: {said}", "ask a person to look at its file and folder"
            )
        case apsw.FullError():
            return Refused(Word.FAILED, f"{named}: the disk is full", f"{NOTHING}. ask a person to make room")
        case _:
            return Refused(Word.FAILED, f"{named}: {said}", f"{NOTHING}. ask a person to look at it")
