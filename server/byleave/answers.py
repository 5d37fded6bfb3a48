"""What goes back to the model: one text, a refusal or a result, ending in the receipt line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from byleave.capability import Refused, Result, Word
from byleave.effects import Effect
from byleave.policy.judge import Decision, Verdict
from byleave.store.entry import No, Receipt, StoreRefusal

#: Enough of the chain's head to make a transcript a witness, short enough to be free.
HEAD_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one call. `text` is all of it; `data` repeats a table for programs, with the receipt.

    `log` is `seq:head` of the record that made this answer true; None only where nothing could be recorded.
    """

    text: str
    is_error: bool
    receipt: str | None
    log: str | None
    effects: tuple[Effect, ...] = ()
    data: Mapping[str, object] | None = None


def receipt_id(call: str) -> str:
    return f"r-{call}"


def call_of(receipt: str) -> str:
    """The call that a receipt names, whether given with or without its `r-`."""
    return receipt.strip().removeprefix("r-")


def result_answer(
    call: str, result: Result, effects: tuple[Effect, ...], recorded: Receipt, notices: tuple[str, ...]
) -> Answer:
    line = _line(call, recorded)
    data = None if result.data is None else {**result.data, "receipt": line}
    return Answer(_text(result.text, notices, line), False, receipt_id(call), _log(recorded), effects, data)


def refusal_answer(
    call: str, refused: Refused, effects: tuple[Effect, ...], recorded: Receipt | None, notices: tuple[str, ...]
) -> Answer:
    line = "" if recorded is None else _line(call, recorded)
    log = None if recorded is None else _log(recorded)
    return Answer(_text(str(refused), notices, line), True, receipt_id(call) if recorded else None, log, effects)


def denied(decision: Decision, *, undone: bool = False) -> Refused:
    """A decision of `deny` as a refusal: the strictest rule speaks, the others are named."""
    first = next((r for r in decision.reasons if r.verdict is Verdict.DENY), None)
    if first is None:
        return Refused(Word.DENIED, "no rule allows this", "nothing was done", rule="policy.nothing-matched")
    others = sorted({r.rule for r in decision.reasons if r.verdict is Verdict.DENY} - {first.rule})
    also = f" (also {', '.join(f'`{rule}`' for rule in others[:3])})" if others else ""
    before = "it was tried where it does not count, and discarded" if undone else "nothing was done"
    return Refused(Word.DENIED, first.because + also, f"{before}. {first.hint}".rstrip(" ."), rule=first.rule)


def store_refused(refusal: StoreRefusal) -> Refused:
    """The store's no in the contract's words."""
    match refusal.no:
        case No.RATE:
            wait = (
                f"wait {refusal.retry_after:.0f} seconds"
                if refusal.retry_after and refusal.retry_after >= 1
                else "wait a second"
            )
            return Refused(
                Word.RATE_LIMITED,
                refusal.reason,
                f"nothing was done. {wait}, then call again; do more in one call",
                rule="limits.rate",
            )
        case No.BUDGET:
            return Refused(
                Word.BUDGET_EXHAUSTED,
                refusal.reason,
                "nothing was done. `gate_status` shows what is left; a person can raise `[limits]` in the policy",
                rule="limits.session",
            )
        case No.HALTED:
            return Refused(Word.HALTED, refusal.reason, "nothing was done. a person has to resume")
        case No.APPROVAL | No.PROOF:
            return Refused(Word.CONFLICT, refusal.reason, "nothing was done. call again to ask anew")


def _line(call: str, recorded: Receipt) -> str:
    return f"receipt {receipt_id(call)} · log {recorded.seq}:{recorded.head[:HEAD_SHOWN]}"


def _log(recorded: Receipt) -> str:
    return f"{recorded.seq}:{recorded.head}"


def _text(body: str, notices: tuple[str, ...], line: str) -> str:
    return "\n".join(part for part in (body, *(f"notice: {notice}" for notice in notices), line) if part)
