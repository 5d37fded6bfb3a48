"""A record read back, and said in one line. Lenient: what it does not know is left out, so old logs stay readable."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Ruled(_Part):
    verdict: str = ""


class Reach(_Part):
    unit: str = ""
    amount: int | None = None


class Seen(_Part):
    verb: str = ""
    target: str = ""
    extent: Reach = Reach()

    def __str__(self) -> str:
        amount = "unknown" if self.extent.amount is None else f"{self.extent.amount:,}"
        unit = self.extent.unit.removesuffix("s") if self.extent.amount == 1 else self.extent.unit
        return f"{self.verb} {self.target} ({amount} {unit})"


class Instead(_Part):
    """Why the store wrote a refusal in place of what it was given."""

    no: str = ""
    key: str = ""
    reason: str = ""


class Body(_Part):
    """What bodies of every kind may say (`audit/record.py` writes them)."""

    tool: str = ""
    decision: Ruled = Ruled()
    effects: tuple[Seen | str, ...] = ()
    effect_count: int | None = None
    word: str = ""
    rule: str = ""
    status: str = ""
    found: str = ""
    error: str = ""
    reason: str = ""
    subject: str = ""
    text: str = ""
    why: str = ""
    request: str = ""
    approve: bool | None = None
    by: str = ""
    session: str = ""
    workspace: str = ""
    snapshot: bool = False
    restores: str = ""


class Recorded(_Part):
    """One record. `at` is Unix microseconds."""

    seq: int
    at: int
    kind: str
    call: str
    refused: Instead | None = None
    body: Body

    @classmethod
    def read(cls, seq: int, stored: bytes) -> Recorded:
        """The record as it lies there. What is none, because someone changed it, shows as damaged."""
        try:
            return cls.model_validate_json(stored)
        except ValidationError:
            body = Body(text="not readable as a record: run `byleave log verify`")
            return cls(seq=seq, at=0, kind="damaged", call="", body=body)

    @property
    def words(self) -> str:
        """What it says beside kind, verdict and tool: the more telling first. Not yet safe for a terminal."""
        body = self.body
        if self.refused is not None:
            return f"{self.refused.no}: {self.refused.key}: {self.refused.reason}"
        said = [body.request, body.word, body.rule, body.status, body.found, body.error, body.subject]
        said += [body.reason, body.text, body.why]
        if body.approve is not None:
            said.append(f"{'approved' if body.approve else 'refused'} by {body.by}")
        if self.kind in ("open", "close"):
            said += [f"session {body.session}", body.workspace]
        if body.effects:
            more = (body.effect_count or len(body.effects)) - 1
            said.append(f"{body.effects[0]}" + (f" and {more:,} more" if more else ""))
        return ": ".join(part for part in said if part)
