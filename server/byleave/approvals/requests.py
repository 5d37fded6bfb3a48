"""Asking a person, and taking the answer.

A request binds leave to a digest of principal, workspace, tool, arguments and measured effects, with the facts they
rest on. It is single use and expires. The store keeps it, so that leave given while nobody waited, or while the
server was down, still holds for exactly that call and no other.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from byleave.capability import Refused, Word
from byleave.effects import Effect, digest, digest_of, printable
from byleave.policy.judge import Decision
from byleave.store.entry import (
    Entry,
    Kind,
    NewAnswer,
    NewRequest,
    No,
    Request,
    RequestState,
    Store,
)

#: A client gives up on a call after 60 seconds (measured on four of them); we answer before that.
LONGEST_WAIT_S = 45.0
#: How often a waiting call tells its client that it still waits.
PROGRESS_EVERY_S = 5.0
PREVIEW_LINES = 20
_ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Manner:
    """How this gate asks: `wait_s` seconds inside the call, requests good for `expire_s`; `headless` never asks."""

    wait_s: float
    expire_s: float
    headless: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked about one call."""

    call: str
    principal: str
    workspace: str
    client: str
    tool: str
    arguments: object
    shown_arguments: object  # masked, for the record and the person
    effects: tuple[Effect, ...]
    decision: Decision
    preview: Callable[[], str]
    mask: Callable[[str], str]  # what of a text a record keeps

    @property
    def call_digest(self) -> str:
        return digest(self.principal, self.workspace, self.tool, self.arguments)

    @property
    def digest(self) -> str:
        return digest(self.call_digest, digest_of(self.effects))


class Approvals:
    """The queue of requests, over the store. The lock is all the state that it has: calls that ask the same at once
    ask it once."""

    def __init__(self, store: Store, manner: Manner, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._manner = manner
        self._clock = clock
        self._asking = anyio.Lock()

    @property
    def headless(self) -> bool:
        return self._manner.headless

    async def leave(
        self, question: Question, waiting: Callable[[str], Awaitable[None]], *, wait_s: float | None = None
    ) -> str:
        """The id of an approved request for exactly this, to be spent with the next record.

        Raises `Refused`: DENIED where nobody can be asked, APPROVAL_REFUSED, or APPROVAL_PENDING with the id when the
        answer has not come within the wait; calling again with the same arguments picks it up.
        """
        if self.headless:
            raise nobody_to_ask(question.decision)
        async with self._asking:
            request = await self.standing(question) or await self._ask(question)
        wait = min(self._manner.wait_s if wait_s is None else wait_s, LONGEST_WAIT_S)
        request = await self._wait(request, wait, waiting)
        match request.state:
            case RequestState.APPROVED:
                return request.id
            case RequestState.REFUSED:
                raise refused_by_a_person(request)
            case RequestState.PENDING:
                raise still_pending(request)
            case RequestState.EXPIRED | RequestState.SPENT:
                raise Refused(
                    Word.CONFLICT,
                    f"request `{request.id}` is {request.state}",
                    "nothing was done. call again to ask anew",
                )

    async def granted(self, question: Question) -> str | None:
        """The id of leave already given for exactly this and not spent yet. Never waits."""
        request = await self.standing(question)
        return request.id if request is not None and request.state is RequestState.APPROVED else None

    async def standing(self, question: Question) -> Request | None:
        """The request for exactly this, if there is one that still says something."""
        request = await self._store.request_for(question.call_digest)
        if request is None or request.digest != question.digest:
            return None  # what was shown is not what would happen now: ask anew
        return request if request.state in (RequestState.PENDING, RequestState.APPROVED, RequestState.REFUSED) else None

    async def wait_for_answer(self, request: str, seconds: float) -> Request | None:
        return await self._store.wait_for_answer(request, seconds)

    async def _ask(self, question: Question) -> Request:
        now = self._clock()
        asking = [reason for reason in question.decision.reasons if reason.verdict == question.decision.verdict]
        body: dict[str, object] = {
            "tool": question.tool,
            "arguments": question.shown_arguments,
            "principal": question.principal,
            "client": printable(question.client),
            "workspace": question.workspace,
            "effects": in_words(question.effects),
            "rules": [{"id": r.rule, "because": r.because} for r in asking],
            "preview": _shown(question.preview()),
        }
        new = NewRequest(
            id="a-" + "".join(secrets.choice(_ALPHABET) for _ in range(6)),
            call=question.call,
            call_digest=question.call_digest,
            digest=question.digest,
            body=body,
            expires=now + self._manner.expire_s,
        )
        # A person sees what would be written as it is: a mask could hide from them what they give leave for.
        kept = {**body, "preview": question.mask(str(body["preview"]))}
        record = {"request": new.id, "digest": new.digest, "expires": int(new.expires), **kept}
        await self._store.append(Entry(Kind.REQUEST, question.call, record, request=new))
        return Request(new.id, new.call, new.call_digest, new.digest, RequestState.PENDING, body, now, new.expires)

    async def _wait(self, request: Request, wait: float, waiting: Callable[[str], Awaitable[None]]) -> Request:
        deadline = anyio.current_time() + wait
        while request.state is RequestState.PENDING and (left := deadline - anyio.current_time()) > 0:
            await waiting(f"waiting for a person: `byleave approve {request.id}` or `byleave refuse {request.id}`")
            request = await self._store.wait_for_answer(request.id, min(left, PROGRESS_EVERY_S)) or request
        return request


async def answer(store: Store, request: str, *, approve: bool, by: str, proof: str) -> Request:
    """A person's answer. `proof` is the approver's secret, which no tool can reach. Raises `Refused` in words."""
    standing = await store.request(request)
    if standing is None:
        raise Refused(Word.NOT_FOUND, f"no request `{printable(request)}`", "`byleave pending` lists what waits")
    body = {"request": request, "approve": approve, "by": by, "digest": standing.digest}
    given = NewAnswer(request, approve, by, proof)
    receipt = await store.append(Entry(Kind.ANSWER, standing.call, body, answer=given))
    if receipt.refused is not None:
        word = Word.DENIED if receipt.refused.no is No.PROOF else Word.CONFLICT
        raise Refused(word, receipt.refused.reason, "`byleave pending` lists what waits")
    return await store.request(request) or standing


def in_words(effects: Sequence[Effect], limit: int = 20) -> list[str]:
    """Effects as a person reads them, a line each: the largest extents first, the rest counted."""
    ordered = sorted(effects, key=lambda e: -(e.extent.amount if e.extent.amount is not None else 1 << 62))
    lines = [
        f"{e.verb} {printable(str(e.target))}: {e.extent}" + (", cannot be undone" if e.undo.value == "none" else "")
        for e in ordered[:limit]
    ]
    if len(ordered) > limit:
        lines.append(f"and {len(ordered) - limit} more")
    return lines


def nobody_to_ask(decision: Decision) -> Refused:
    """The immediate, explained deny of a gate that has nobody to ask."""
    reason = decision.reasons[0]
    return Refused(
        Word.DENIED,
        f"{reason.because}: this needs a person's leave, and nobody can be asked here",
        f"nothing was done. {reason.hint or 'leave it to a person, or do it where someone can approve'}",
        rule=reason.rule,
    )


def refused_by_a_person(request: Request) -> Refused:
    by = f" by {request.answered_by}" if request.answered_by else ""
    return Refused(
        Word.APPROVAL_REFUSED,
        f"request `{request.id}` was refused{by}",
        "nothing was done. do not try this again or in another way: tell the person what you wanted and why",
    )


def still_pending(request: Request) -> Refused:
    return Refused(
        Word.APPROVAL_PENDING,
        f"request `{request.id}` waits for a person",
        f"nothing was done yet. ask a person to run `byleave approve {request.id}`, then call again just so",
    )


def _shown(preview: str) -> str:
    lines = preview.splitlines()
    more = [f"… {len(lines) - PREVIEW_LINES} more lines"] if len(lines) > PREVIEW_LINES else []
    return "\n".join(printable(line)[:200] for line in lines[:PREVIEW_LINES] + more)
