"""What `check` says, as JSON: the numbers, and a verdict with its exact code, as no host is there to keep it from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from undercroft_appliance.keeper.judge import HOLD, REFUSE, SIGN, Judgement
from undercroft_appliance.keeper.proven import OwnOutput, Payee, ProvenTransaction
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.errors import AddressError

from . import EXIT_HELD, EXIT_OK, EXIT_REFUSED

EXIT_CODES: Final = {SIGN: EXIT_OK, HOLD: EXIT_HELD, REFUSE: EXIT_REFUSED}
"""From the strictest verdict to how the command ends."""
_STRICTNESS: Final = tuple(EXIT_CODES)

Answer = dict[str, Any]
"""verdict, code (None: sign), detail, fee_sats, feerate (sats per 1000 vB), outputs."""


def refused(refusal: Refusal) -> Answer:
    """Refused before any number was known."""
    return _answer(REFUSE, refusal.code.name, refusal.detail, (), Network.MAINNET)


def proved(proven: ProvenTransaction, network: Network) -> Answer:
    """Proved, and no policy asked."""
    return _answer(SIGN, None, "", (proven,), network)


def judged(judgement: Judgement, network: Network) -> Answer:
    """Proved and judged: the code of the strictest rule, and in the detail what every rule found."""
    code = None if judgement.action == SIGN else judgement.code.name
    detail = "; ".join(finding.line for finding in judgement.findings)
    return _answer(judgement.action, code, detail, (judgement.proven,), network)


def refused_after_proof(refusal: Refusal, batch: Sequence[ProvenTransaction], network: Network) -> Answer:
    """A whole batch refused by a rule, its numbers known."""
    each = [
        {"txid": txid_to_hex(one.txid), **_answer(REFUSE, refusal.code.name, refusal.detail, (one,), network)}
        for one in batch
    ]
    return {**_answer(REFUSE, refusal.code.name, refusal.detail, batch, network), "transactions": each}


def of_batch(batch: Sequence[ProvenTransaction], answers: Sequence[Answer], network: Network) -> Answer:
    """The strictest of a batch's answers with the totals of all, and each of them with its txid."""
    strictest = max(answers, key=lambda answer: _STRICTNESS.index(answer["verdict"]))
    each = [{"txid": txid_to_hex(one.txid), **answer} for one, answer in zip(batch, answers, strict=True)]
    whole = _answer(strictest["verdict"], strictest["code"], strictest["detail"], batch, network)
    return {**whole, "transactions": each}


def _answer(
    verdict: str, code: str | None, detail: str, transactions: Sequence[ProvenTransaction], network: Network
) -> Answer:
    fee_sats = sum(proven.fee_sats for proven in transactions)
    vsize = sum(proven.vsize for proven in transactions)
    return {
        "verdict": verdict,
        "code": code,
        "detail": detail,
        "fee_sats": fee_sats if transactions else None,
        "feerate": fee_sats * 1000 // vsize if transactions else None,
        "outputs": [_output(output, network) for proven in transactions for output in proven.outputs],
    }


def _output(output: Payee | OwnOutput, network: Network) -> dict[str, object]:
    try:
        address = address_of(output.script, network)
    except AddressError:
        address = None
    kind = "payee" if isinstance(output, Payee) else "change" if output.is_change else "own"
    return {"kind": kind, "amount_sats": output.amount_sats, "address": address}
