"""A PSBT on its way through the stages: another coordinator made it, and the owner's word stands for the clearances.

Nobody signed it, so nothing in it is believed, and each one is shown to the owner, whatever it pays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.messages import REFUSED, RefusalReply, Verdict, grouped_code

from . import batches, show
from .bounds import check_psbt_size
from .judge import REFUSE, SIGN, Judgement, judge_transaction
from .parts import Outcome, Parts
from .psbt_door import ProvenPsbt, prove_psbt
from .refusals import COARSE_MESSAGE, COARSE_OWNER, COUNTED

TITLE_PSBT: Final = "PSBT"
PROMPT_PSBT: Final = "Sign this PSBT?"
APPROVE: Final = "approve"
DECLINE: Final = "decline"
CHOICES_PSBT: Final = (APPROVE, DECLINE)
_CODE_CHARACTERS: Final = 9


def process(parts: Parts, data: bytes, answer: Callable[[Verdict], None]) -> Outcome:
    """armed: prove, judge, ask, judge again, sign, verify, log; the outcome's body is the PSBT with our signatures.

    ``answer`` gets the verdict when it is signed. Raises Refusal when it cannot be proved, or nobody answers.
    """
    current, policy, armed = parts.session.need_armed()
    check_psbt_size(data)
    door = prove_psbt(
        data,
        current.book,
        change_gap=policy.change_gap,
        change_signed=armed.history.highest_change,
        height=armed.height,
    )
    origin = f"PSBT {short_code(data)}"
    before = judge_transaction(door.proven, policy, batches.standing(parts, armed), approved=False).judgements[0]
    if before.action == REFUSE:
        return _refused(parts, before, origin)
    choice = _ask(parts, door, before, short_code(data))
    parts.session.used()
    if choice != APPROVE:
        lines = batches.facts(before, f"{origin}, declined by the owner", REFUSED)
        batches.note(parts, batches.DECLINED, lines, COARSE_OWNER)
        return Outcome(RefusalReply(COARSE_OWNER, COARSE_MESSAGE), TITLE_PSBT, lines)
    # What was true when it was asked about may not be true now: only "hold" is overruled by the owner.
    judged = judge_transaction(door.proven, policy, batches.standing(parts, armed), approved=True)
    judgement = judged.judgements[0]
    if judgement.action != SIGN:
        return _refused(parts, judgement, origin)
    # Debited before the first signature: whatever happens from here on, it counts as spent.
    armed.ledger = judged.ledger
    verdict, told = batches.settle(parts, current, armed, judgement, f"{origin}, approved by the owner")
    answer(verdict)
    return Outcome(door.with_signatures(verdict.signatures), TITLE_PSBT, tuple(told))


def short_code(data: bytes) -> str:
    """Two groups of four hex digits of the SHA-256 over the exact bytes, for people to compare: ``1a2b-3c4d``."""
    return grouped_code(sha256(data))[:_CODE_CHARACTERS]


def _ask(parts: Parts, door: ProvenPsbt, before: Judgement, code: str) -> str:
    again = ("You have signed this transaction before; it is counted once.",) if before.again else ()
    lines = (f"Code {code}", *again, *show.transaction(door.proven, parts.setup.network), *show.findings(before))
    return parts.screen.ask(TITLE_PSBT, lines, PROMPT_PSBT, CHOICES_PSBT)


def _refused(parts: Parts, judgement: Judgement, origin: str) -> Outcome:
    lines = batches.facts(judgement, origin, REFUSED)
    coarse = judgement.code.coarse
    batches.note(parts, REFUSED, lines, coarse)
    shown = (*lines, judgement.code.meaning)
    # Not kept: a window that is full opens again, and then the same PSBT is judged anew.
    return Outcome(RefusalReply(coarse, COARSE_MESSAGE), "Refused", shown, refused=coarse in COUNTED, kept=False)
