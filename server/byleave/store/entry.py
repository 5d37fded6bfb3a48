"""What is written in one transaction, and what comes back. No I/O.

An entry is one record of the audit log together with everything that must be true exactly when the record is:
rates charged, budget reserved or settled, a request made, answered or spent. It is made of plain values, so that
it can travel to the store's owner in another process unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from byleave.rails.budget import Hold
from byleave.rails.rate import Claim


class Kind(StrEnum):
    """What a record says happened."""

    OPEN = "open"  # a gate started on this store
    CLOSE = "close"  # it ended in order
    LOOK = "look"  # a pure read: its one record, durable before the result is shown
    INTENT = "intent"  # about to act; opens the call
    COMMIT = "commit"  # what the stage really did, about to count
    OUTCOME = "outcome"  # done, failed, discarded, parked; closes the call
    UNKNOWN = "unknown"  # stopped in between, and cannot be settled; closes the call, its budget stays spent
    REFUSAL = "refusal"  # a no, with its rule
    REQUEST = "request"  # a person is asked
    ANSWER = "answer"  # the person's answer
    NOTE = "note"  # anything else of the gate's own doing: trust, a changed policy


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    SPENT = "spent"
    EXPIRED = "expired"  # never stored: pending or approved, and its time is over


@dataclass(frozen=True, slots=True)
class NewRequest:
    """Asks a person. `call_digest` names principal, workspace, tool and arguments; `digest` the effects too, with the
    facts they rest on. `body` is what the person reads (effects in words, preview, rule, reason). Times in Unix s."""

    id: str
    call: str
    call_digest: str
    digest: str
    body: Mapping[str, object]
    expires: float


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands in the store."""

    id: str
    call: str
    call_digest: str
    digest: str
    state: RequestState
    body: Mapping[str, object]
    created: float
    expires: float
    answered_by: str | None = None


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """A person's answer to a pending request. `proof` is the approver's secret (never stored); the owner checks it."""

    request: str
    approve: bool
    by: str
    proof: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One record and what is true with it. `call` is "" for what concerns the gate and no call.

    An INTENT opens its call; OUTCOME and UNKNOWN close it, exactly once. `settle` gives what was really used of each
    key held (UNKNOWN, and a key left out: all of it). A COMMIT may hold more for its open call; a LOOK has nothing to
    settle later, so its holds are used at once. `spend` names an approved request that this record uses up. `kept`:
    this OUTCOME left a snapshot that can be restored; `restores`: it put the snapshot of that call back.

    An INTENT's body carries `session`. Where a rate, a budget or an approval says no, the record is not written; a
    REFUSAL is, with the same body, in the same transaction.
    """

    kind: Kind
    call: str
    body: Mapping[str, object]
    claims: Sequence[Claim] = ()
    holds: Sequence[Hold] = ()
    settle: Mapping[str, int] | None = None
    request: NewRequest | None = None
    answer: NewAnswer | None = None
    spend: str | None = None
    kept: bool = False
    restores: str | None = None


class No(StrEnum):
    """Why the store refused an entry."""

    RATE = "rate"
    BUDGET = "budget"
    HALTED = "halted"
    APPROVAL = "approval"  # not approved, expired, or already spent
    PROOF = "proof"  # the approver's secret is wrong


@dataclass(frozen=True, slots=True)
class StoreRefusal:
    """The store's no: the key that spoke, a line in words, and for a rate the seconds after which it would pass."""

    no: No
    key: str
    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A durable record: its number and the head of the chain with it. `refused` where it is a refusal instead."""

    seq: int
    head: str
    refused: StoreRefusal | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An intent without an outcome, as recovery finds it."""

    call: str
    seq: int
    body: Mapping[str, object]
    commit: Mapping[str, object] | None  # the body of its COMMIT record, if there is one


@dataclass(frozen=True, slots=True)
class Usage:
    """One budget as it stands."""

    key: str
    used: int
    held: int


class StoreDown(Exception):  # noqa: N818 -- a state of the store, in the words of the design
    """Nothing can be recorded, so nothing may happen. The message names the path and the cause, in words; `hint`
    says what a person can do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Contradicts(StoreDown):
    """The entry cannot be true beside what is already recorded (an outcome without its intent, a second one): a fault
    of who wrote it. Nothing of it is recorded; the store itself is well."""


class Store(Protocol):
    """The one place where something becomes true.

    `append` returns when the record is on disk (fsync) and not before; it raises `StoreDown` when it cannot be, and
    then nothing of the entry is true. It is out of reach of cancellation: a caller cancelled meanwhile still has its
    entry written whole. Entries of concurrent callers share one commit.
    """

    @property
    def log_id(self) -> str: ...
    async def append(self, entry: Entry) -> Receipt: ...
    async def opened(self, session: str | None = None) -> Sequence[Opened]:
        """Calls without an outcome: of one session, or of every session that is not alive."""
        ...

    async def request(self, id: str) -> Request | None: ...  # noqa: A002 -- the word for it
    async def request_for(self, call_digest: str) -> Request | None:
        """The newest request for this very call that is neither spent nor refused long ago."""
        ...

    async def requests(self, *, pending_only: bool = True) -> Sequence[Request]: ...
    async def usage(self, prefix: str) -> Sequence[Usage]: ...
    async def wait_for_answer(self, request: str, timeout: float) -> Request | None:  # noqa: ASYNC109 -- see below
        """Returns as soon as the request is no longer pending, or None after `timeout` seconds (a result here,
        not an error; and the owner counts it, in another process)."""
        ...

    async def last_undoable(self, session: str) -> str | None:
        """The newest call of the session whose outcome kept a snapshot that has not been restored."""
        ...

    async def aclose(self) -> None: ...
