"""What a look at an installation can find: each kind with an id that never means anything else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Gravity(StrEnum):
    """How much a finding weakens the gate."""

    SERIOUS = "serious"  # the gate does not start, or can be walked round
    WARNING = "warning"  # it holds, and something beside it does not
    NOTE = "note"  # good to know


class Kind(StrEnum):
    """Every finding, by its stable id. Retired ids are not used again; docs/doctor.md has a row for each."""

    STATE_UNSAFE = "doctor.W001"
    STATE_VOLATILE = "doctor.W002"
    LOG_UNREADABLE = "doctor.W003"
    SQLITE_WAL = "doctor.W004"
    NO_OPENAT2 = "doctor.W005"
    NO_NAMELESS = "doctor.W006"
    NO_EXCHANGE = "doctor.W007"
    NO_RIPGREP = "doctor.W008"
    POLICY_NOT_TRUSTED = "doctor.W009"
    POLICY_BROKEN = "doctor.W010"
    SECRET_OPEN = "doctor.W011"  # noqa: S105  an id
    BACKUP_SAME_DISK = "doctor.W012"
    BACKUP_MISSING = "doctor.W013"
    RAW_TOOLS = "doctor.W014"
    OTHER_SERVERS = "doctor.W015"
    CLOCK = "doctor.W016"
    WORKSPACE = "doctor.W017"
    DATABASE = "doctor.W018"
    ROOT = "doctor.W019"
    GATE_IN_WORKSPACE = "doctor.W020"
    OWNER = "doctor.W021"
    NO_CLIENT = "doctor.W022"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: what it is, in one line, and what to do about it."""

    kind: Kind
    gravity: Gravity
    what: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        return {"id": self.kind.value, "gravity": self.gravity.value, "what": self.what, "remedy": self.remedy}
