"""A batch on its way through the stages, and what waits for the owner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import HELD, REFUSED, SIGNED, BatchReply, BatchRequest, Verdict

from . import show
from .bounds import check_coins
from .judge import HOLD, REFUSE, SIGN, Finding, Judgement, Standing, judge, judge_transaction
from .parts import Outcome, Parts
from .prove import prove
from .refusals import COARSE_OWNER, HELD_FULL
from .session import Armed, Unlocked
from .sign import sign
from .verify import verify

MOST_HELD: Final = 100
TITLE_HELD: Final = "Held"
PROMPT_HELD: Final = "Sign this transaction?"
APPROVE: Final = "approve"
DECLINE: Final = "decline"
LATER: Final = "later"
DECLINED: Final = "declined"
"""The log's word for an owner's no."""
CHOICES_HELD: Final = (APPROVE, DECLINE, LATER)


def process(parts: Parts, request: BatchRequest) -> Outcome:
    """armed: prove, judge, sign, verify, log. Raises Refusal for the whole batch; a verdict for each transaction."""
    current, policy, armed = parts.session.need_armed()
    check_coins(request, policy)
    proven = prove(
        request,
        current.quorum,
        current.book,
        change_gap=policy.change_gap,
        change_signed=armed.history.highest_change,
    )
    judged = judge(proven, policy, standing(parts, armed))
    armed.height = proven.height
    armed.history.knows_height(proven.height)
    # Debited before the first signature: whatever happens from here on, it counts as spent.
    armed.ledger = judged.ledger
    batch = f"batch {request.batch_id.hex()}"
    results = [settle(parts, current, armed, judgement, batch) for judgement in judged.judgements]
    verdicts = tuple(verdict for verdict, _ in results)
    counts = {word: sum(verdict.verdict == word for verdict in verdicts) for word in (SIGNED, HELD, REFUSED)}
    return Outcome(
        BatchReply(request.batch_id, verdicts),
        "Batch: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count),
        tuple(line for _, lines in results for line in lines),
        refused=counts[REFUSED] > 0,
        waits_for=frozenset(verdict.txid for verdict in verdicts if verdict.verdict == HELD),
    )


def review(parts: Parts, answer: Callable[[Verdict], None]) -> None:
    """The owner goes through what is held, one by one; ``answer`` gets the verdict of each that is decided.

    Raises Refusal when nothing is armed, when nobody answers, or when the appliance is locked meanwhile.
    """
    current, policy, armed = parts.session.need_armed()
    if not armed.held:
        parts.screen.notice(TITLE_HELD, ["Nothing is held."])
    for txid, proven in list(armed.held.items()):
        before = judge_transaction(proven, policy, standing(parts, armed), approved=False).judgements[0]
        # Attack: a window opens between two looks, and what the rules refused is signed without being asked about.
        choice = None if before.action == REFUSE else _ask(parts, before)
        if choice == LATER:
            continue
        del armed.held[txid]
        if choice is None:
            verdict, outcome = settle(parts, current, armed, before, "while it was held")
        elif choice == APPROVE:
            # What was true when it was held may not be true now: only "hold" is overruled by the owner.
            judged = judge_transaction(proven, policy, standing(parts, armed), approved=True)
            armed.ledger = judged.ledger
            verdict, outcome = settle(parts, current, armed, judged.judgements[0], "approved by the owner")
        else:
            verdict, outcome = _declined(parts, before)
        answer(verdict)
        parts.screen.notice(TITLE_HELD, outcome)


def _ask(parts: Parts, before: Judgement) -> str:
    lines = (*show.transaction(before.proven, parts.setup.network), *show.findings(before))
    return parts.screen.ask(TITLE_HELD, lines, PROMPT_HELD, CHOICES_HELD)


def standing(parts: Parts, armed: Armed) -> Standing:
    """What a transaction is weighed against now."""
    clock = parts.session.clock
    return Standing(clock.now(), clock.confirmed_utc(), armed.ledger, armed.history, armed.height)


def _declined(parts: Parts, before: Judgement) -> tuple[Verdict, Sequence[str]]:
    lines = facts(before, "declined by the owner", REFUSED)
    note(parts, DECLINED, lines, COARSE_OWNER)
    return Verdict(before.proven.txid, REFUSED, COARSE_OWNER, ()), lines


def settle(
    parts: Parts, current: Unlocked, armed: Armed, judgement: Judgement, origin: str
) -> tuple[Verdict, Sequence[str]]:
    """Carry out one judgement; its ledger is debited already. The verdict, and the lines for the owner."""
    proven = judgement.proven
    held_full = judgement.action == HOLD and proven.txid not in armed.held and len(armed.held) >= MOST_HELD
    if held_full:
        full = Finding(HELD_FULL, REFUSE, f"{MOST_HELD} wait already")
        judgement = dataclasses.replace(judgement, action=REFUSE, findings=(full, *judgement.findings))
    if judgement.action == SIGN:
        # What a batch has waiting is the same transaction, and knows more of it than a PSBT that was approved.
        for one in (proven, armed.held.pop(proven.txid, proven)):
            armed.history.record(one)
        signed = verify(sign(proven, parts.keys), current.book)
        verdict = Verdict(proven.txid, SIGNED, None, signed.signatures)
    elif judgement.action == HOLD:
        armed.held[proven.txid] = proven
        verdict = Verdict(proven.txid, HELD, judgement.code.coarse, ())
    else:
        verdict = Verdict(proven.txid, REFUSED, judgement.code.coarse, ())
    lines = facts(judgement, origin, verdict.verdict)
    note(parts, verdict.verdict, lines, verdict.code)
    return verdict, (*lines, *judgement.lines[len(judgement.findings) :])


def note(parts: Parts, event: str, lines: Sequence[str], code: str | None) -> None:
    """Log a verdict: transaction and coarse ``code`` for anybody, the other ``lines`` of `facts` for the owner only."""
    told = () if code is None else (f"the host is told: {code}",)
    parts.log.append(event, (*lines[:1], *told), lines[1:])


def facts(judgement: Judgement, origin: str, word: str) -> tuple[str, ...]:
    """A judgement for the log: what was done, the numbers, and what each rule found."""
    proven = judgement.proven
    return (
        f"{word} {txid_to_hex(proven.txid)}, {origin}",
        f"{proven.leaves_sats} sats leave, {proven.fee_sats} of them fee, {len(proven.payees)} payees",
        *(("signed before, counted once",) if judgement.again else ()),
        *(finding.line for finding in judgement.findings),
    )
