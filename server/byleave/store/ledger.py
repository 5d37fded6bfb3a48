"""What one batch of entries changes: decided in memory entry by entry, then written at once. Pure but for its reads.

Each entry is checked whole before any of it is noted, so a no, or an entry that contradicts the log, leaves nothing of
itself behind and does not touch its neighbours in the batch. The bytes of a record are made here and nowhere else.
"""

# long: one entry is checked whole before any of it is noted: the checks and the notes belong side by side.

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, assert_never, cast

from pydantic_core import from_json, to_json

from byleave.audit.chain import head_of, leaf_of
from byleave.rails.budget import fits
from byleave.rails.rate import admit
from byleave.store.clock import Steady
from byleave.store.entry import (
    Contradicts,
    Entry,
    Kind,
    NewAnswer,
    No,
    Receipt,
    Request,
    RequestState,
    StoreRefusal,
)

#: The largest number kept for one budget: far above any limit, and far below what SQLite can hold.
LARGEST = 2**53


class Tip(NamedTuple):
    """The end of the chain as committed: the next record follows it."""

    seq: int
    head: bytes


class OpenCall(NamedTuple):
    """A call without an outcome: its intent, its commit if there is one, and what it holds of each budget."""

    session: str
    seq: int
    commit_seq: int | None
    held: Mapping[str, int]


@dataclass(slots=True)
class Known:
    """What the writer knows without looking: which log it is, its end as committed, the calls that are open, and of
    rates (their arrival time) and budgets (used, held) those that it has looked up before.

    INVARIANT: what a draft decided gets here only by `Draft.count`, after COMMIT returned. Earlier, one failed commit
    would make every later record look forged.
    """

    log_id: bytes
    tip: Tip
    open_calls: dict[str, OpenCall]
    rates: dict[str, int] = field(default_factory=dict[str, int])
    budgets: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


def calls_in(connection: sqlite3.Connection) -> dict[str, OpenCall]:
    """The open calls as they are on disk."""
    rows = connection.execute("SELECT call, session, seq, commit_seq, held FROM open_call")
    return {call: OpenCall(session, seq, commit, from_json(held)) for call, session, seq, commit, held in rows}


def encode(body: Mapping[str, object]) -> bytes:
    """A body as the log stores it. Raises ValueError for what is no JSON."""
    try:
        return to_json(body)
    except ValueError:  # lone surrogates, as in undecodable file names
        return to_json(_escaped(body))


def _escaped(value: object) -> object:
    """The value with what UTF-8 cannot say written as an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_escaped(key): _escaped(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in cast("Sequence[object]", value)]
    return value


_OF_AN_OPEN_CALL = frozenset({Kind.INTENT, Kind.COMMIT, Kind.OUTCOME, Kind.UNKNOWN})


class Draft:
    """The changes of one batch. `write` is called inside the transaction; nothing of a draft counts before COMMIT."""

    def __init__(self, connection: sqlite3.Connection, known: Known, time: Steady, approver: str) -> None:
        self._connection = connection
        self._known = known
        self._approver = approver
        self._time = time
        self._at_us = time.wall_us()
        self._tip = known.tip
        self.answered: set[str] = set()
        self._records: list[tuple[int, bytes, bytes, bytes]] = []
        self._rates: dict[str, int] = {}
        self._budgets: dict[str, tuple[int, int]] = {}
        self._calls: dict[str, OpenCall | None] = {}
        self._requests: dict[str, Request | None] = {}
        self._kept: list[tuple[int, str, str]] = []
        self._restored: list[tuple[str]] = []

    # --- one entry ---------------------------------------------------------------------------------------------

    def enter(self, entry: Entry, body: bytes) -> Receipt:
        """Check the entry against everything before it, and note it, or a refusal in its place."""
        call = self._call(entry.call) if entry.kind in _OF_AN_OPEN_CALL else None
        _consistent(entry, call)
        if entry.request is not None and self._request(entry.request.id) is not None:
            raise Contradicts(f"the request `{entry.request.id}` is already recorded")
        refused = self._answerable(entry.answer) or self._spendable(entry.spend)
        rates: dict[str, int] = {}
        for claim in entry.claims:
            admission = admit(rates.get(claim.key, self._rate(claim.key)), self._time.steady_us(), claim.rate)
            rates[claim.key] = admission.tat_us
            if admission.retry_after is not None and refused is None:
                self._rates[claim.key] = admission.tat_us  # charges nothing, but forgets a clock that was set back
                words = f"more than {claim.rate}"
                refused = StoreRefusal(No.RATE, claim.key, words, retry_after=admission.retry_after)
        budgets: dict[str, tuple[int, int]] = {}
        for hold in entry.holds:
            used, held = budgets.get(hold.key, self._budget(hold.key))
            if refused is None and not fits(used, held, hold):
                words = f"{used:,} used and {held:,} held of {hold.limit:,}, and this needs {hold.amount:,}"
                refused = StoreRefusal(No.BUDGET, hold.key, words)
            budgets[hold.key] = (used, held + hold.amount)
        if refused is not None:
            return self._record(entry, body, refused)
        self._rates |= rates
        self._budgets |= budgets
        receipt = self._record(entry, body, None)
        self._note(entry, call, receipt.seq)
        return receipt

    def _note(self, entry: Entry, call: OpenCall | None, seq: int) -> None:
        """Everything that is true with the record, now that nothing spoke against it."""
        held: dict[str, int] = {}
        for hold in entry.holds:
            held[hold.key] = held.get(hold.key, 0) + hold.amount
        match entry.kind:
            case Kind.INTENT:
                self._calls[entry.call] = OpenCall(str(entry.body.get("session", "")), seq, None, held)
            case Kind.COMMIT if call is not None:
                more = {key: call.held.get(key, 0) + held.get(key, 0) for key in call.held.keys() | held.keys()}
                self._calls[entry.call] = call._replace(commit_seq=seq, held=more)
            case Kind.OUTCOME | Kind.UNKNOWN if call is not None:
                self._settle(call.held, {} if entry.kind is Kind.UNKNOWN else entry.settle or {})
                self._calls[entry.call] = None
                if entry.kept:
                    self._kept.append((seq, entry.call, call.session))
            case _:
                self._settle(held, entry.settle or {})
        if entry.restores is not None:
            self._restored.append((entry.restores,))
        if entry.request is not None:
            new = entry.request
            self._requests[new.id] = Request(
                new.id, new.call, new.call_digest, new.digest, RequestState.PENDING, new.body,
                self._at_us / 1_000_000, new.expires,
            )  # fmt: skip
        if entry.answer is not None:
            state = RequestState.APPROVED if entry.answer.approve else RequestState.REFUSED
            self._turn(entry.answer.request, state, entry.answer.by)
        if entry.spend is not None:
            self._turn(entry.spend, RequestState.SPENT, None)

    def _settle(self, held: Mapping[str, int], used: Mapping[str, int]) -> None:
        for key in held.keys() | used.keys():
            before, holding = self._budget(key)
            amount = used.get(key, held.get(key, 0))
            self._budgets[key] = (min(before + amount, LARGEST), holding - held.get(key, 0))

    def _turn(self, name: str, state: RequestState, by: str | None) -> None:
        request = self._request(name)
        if request is not None:
            self._requests[name] = replace(request, state=state, answered_by=by or request.answered_by)
            self.answered.add(name)

    # --- a no --------------------------------------------------------------------------------------------------

    def _answerable(self, answer: NewAnswer | None) -> StoreRefusal | None:
        if answer is None:
            return None
        if not hmac.compare_digest(answer.proof.encode("utf-8", "replace"), self._approver.encode()):
            return StoreRefusal(No.PROOF, answer.request, "the approver's secret is wrong")
        return self._standing(answer.request, RequestState.PENDING)

    def _spendable(self, name: str | None) -> StoreRefusal | None:
        return None if name is None else self._standing(name, RequestState.APPROVED)

    def _standing(self, name: str, wanted: RequestState) -> StoreRefusal | None:
        request = self._request(name)
        if request is None:
            return StoreRefusal(No.APPROVAL, name, "there is no such request")
        state = standing(request, self._time.latest()).state
        return None if state is wanted else StoreRefusal(No.APPROVAL, name, f"the request is {state}, not {wanted}")

    # --- the record --------------------------------------------------------------------------------------------

    def _record(self, entry: Entry, body: bytes, refused: StoreRefusal | None) -> Receipt:
        kind = entry.kind if refused is None else Kind.REFUSAL
        seq = self._tip.seq + 1
        # INVARIANT: these five come first and in this order; `audit/verify.py` reads them without parsing the rest.
        header: dict[str, object] = {"v": 1, "seq": seq, "at": self._at_us, "kind": kind.value, "call": entry.call}
        if refused is not None:
            header["refused"] = {
                "no": refused.no,
                "key": refused.key,
                "reason": refused.reason,
                "instead_of": entry.kind,
            }
        else:
            header |= _with_it(entry)
        stored = to_json(header)[:-1] + b',"body":' + body + b"}"
        leaf = leaf_of(stored)
        self._tip = Tip(seq, head_of(self._known.log_id, seq, self._tip.head, leaf))
        self._records.append((seq, stored, leaf, self._tip.head))
        return Receipt(seq, self._tip.head.hex(), refused)

    # --- reading through ---------------------------------------------------------------------------------------

    def _rate(self, key: str) -> int:
        if key in self._rates:
            return self._rates[key]
        if key not in self._known.rates:
            row = self._one("SELECT tat_us FROM rate WHERE key = ?", key)
            self._known.rates[key] = row[0] if row else 0
        return self._known.rates[key]

    def _budget(self, key: str) -> tuple[int, int]:
        if key in self._budgets:
            return self._budgets[key]
        if key not in self._known.budgets:
            row = self._one("SELECT used, held FROM budget WHERE key = ?", key)
            self._known.budgets[key] = (row[0], row[1]) if row else (0, 0)
        return self._known.budgets[key]

    def _call(self, call: str) -> OpenCall | None:
        return self._calls[call] if call in self._calls else self._known.open_calls.get(call)

    def _request(self, name: str) -> Request | None:
        if name not in self._requests:
            row = self._one(f"SELECT {REQUEST_COLUMNS} FROM request WHERE id = ?", name)  # noqa: S608 -- a constant
            self._requests[name] = request_of(row) if row else None
        return self._requests[name]

    def _one(self, sql: str, key: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(sql, (key,)).fetchone()
        return row

    # --- writing -----------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Put everything noted into the open transaction."""

        def many(sql: str, rows: Collection[tuple[object, ...]]) -> None:
            if rows:
                self._connection.executemany(sql, rows)

        many("INSERT INTO log VALUES (?, ?, ?, ?)", self._records)
        many(
            "INSERT INTO rate VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET tat_us = excluded.tat_us",
            self._rates.items(),
        )
        many(
            "INSERT INTO budget VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET used = excluded.used, held = excluded.held",
            [(key, *now) for key, now in self._budgets.items()],
        )
        many(
            "INSERT INTO open_call VALUES (?, ?, ?, ?, ?) ON CONFLICT (call) DO UPDATE"
            " SET commit_seq = excluded.commit_seq, held = excluded.held",
            [
                (call, it.session, it.seq, it.commit_seq, to_json(it.held).decode())
                for call, it in self._calls.items()
                if it is not None
            ],
        )
        many("DELETE FROM open_call WHERE call = ?", [(call,) for call, it in self._calls.items() if it is None])
        many(
            "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET state = excluded.state, answered_by = excluded.answered_by",
            [
                (it.id, it.call, it.call_digest, it.digest, it.state, encode(it.body).decode(), it.created, it.expires,
                 it.answered_by)
                for it in self._requests.values()
                if it is not None
            ],
        )  # fmt: skip
        many("INSERT INTO undoable VALUES (?, ?, ?)", self._kept)
        many("DELETE FROM undoable WHERE call = ?", self._restored)

    def count(self) -> None:
        """The transaction is on disk: from now on what it wrote is what is known."""
        self._known.tip = self._tip
        self._known.rates |= self._rates
        self._known.budgets |= self._budgets
        for call, it in self._calls.items():
            if it is None:
                self._known.open_calls.pop(call, None)
            else:
                self._known.open_calls[call] = it


REQUEST_COLUMNS = "id, call, call_digest, digest, state, body, created, expires, answered_by"


def request_of(row: tuple[Any, ...]) -> Request:
    """A request from its row, as stored: `standing` says what it is now."""
    name, call, call_digest, digest, state, body, created, expires, by = row
    return Request(name, call, call_digest, digest, RequestState(state), from_json(body), created, expires, by)


def standing(request: Request, now: float) -> Request:
    """The request at the time `now` (Unix seconds): what is over is expired, though nothing was stored."""
    match request.state:
        case RequestState.PENDING | RequestState.APPROVED:
            return replace(request, state=RequestState.EXPIRED) if now >= request.expires else request
        case RequestState.REFUSED | RequestState.SPENT | RequestState.EXPIRED:
            return request
        case _:
            assert_never(request.state)


def _consistent(entry: Entry, call: OpenCall | None) -> None:
    """Raise Contradicts for an entry that cannot follow what is recorded."""
    match entry.kind:
        case Kind.INTENT:
            if not entry.call or call is not None:
                raise Contradicts(f"the call `{entry.call}` has an intent already")
        case Kind.COMMIT | Kind.OUTCOME | Kind.UNKNOWN:
            if call is None:
                raise Contradicts(f"the call `{entry.call}` is not open: there is no intent for this {entry.kind}")
        case Kind.LOOK | Kind.REFUSAL | Kind.REQUEST | Kind.ANSWER | Kind.OPEN | Kind.CLOSE | Kind.NOTE:
            pass
        case _:
            assert_never(entry.kind)
    if entry.holds and entry.kind not in (Kind.INTENT, Kind.COMMIT, Kind.LOOK):
        raise Contradicts(f"a record of the kind `{entry.kind}` holds no budget")
    amounts = [hold.amount for hold in entry.holds] + list((entry.settle or {}).values())
    if any(not 0 <= amount <= LARGEST for amount in amounts):
        raise Contradicts("an amount is below zero or beyond counting")


def _with_it(entry: Entry) -> dict[str, object]:
    """What became true with the record, so that the log alone tells how every budget and request came about."""
    out: dict[str, object] = {}
    if entry.claims:
        out["rates"] = {claim.key: str(claim.rate) for claim in entry.claims}
    if entry.holds:
        out["holds"] = {hold.key: [hold.amount, hold.limit] for hold in entry.holds}
    if entry.settle is not None:
        out["settled"] = dict(entry.settle)
    if entry.spend is not None:
        out["spends"] = entry.spend
    if entry.kept:
        out["kept"] = True
    if entry.restores is not None:
        out["restores"] = entry.restores
    if entry.request is not None:
        new = entry.request
        shown = hashlib.sha256(encode(new.body)).hexdigest()
        out["request"] = {
            "id": new.id,
            "call_digest": new.call_digest,
            "digest": new.digest,
            "expires": new.expires,
            "shown": shown,
        }
    if entry.answer is not None:
        out["answer"] = {"request": entry.answer.request, "approve": entry.answer.approve, "by": entry.answer.by}
    return out
