"""Stage 4: what the owner sees. Only what the keeper derived, whole, in plain ASCII; amounts made of integers."""

from __future__ import annotations

from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.errors import AddressError
from undercroft_protocol.messages import Policy, Quorum, grouped_code

from .judge import Judgement
from .ledger import Ledger
from .prove import ProvenTransaction
from .text import amount, duration, moment, wrapped


def transaction(proven: ProvenTransaction, network: Network) -> tuple[str, ...]:
    """A whole transaction: every payee, the change, the fee, every coin."""
    lines = [f"Transaction {txid_to_hex(proven.txid)}", f"Leaves the quorum: {amount(proven.leaves_sats)}"]
    for number, payee in enumerate(proven.payees, start=1):
        lines.append(f"Payee {number}: {amount(payee.amount_sats)} for withdrawal {payee.withdrawal_id}")
        lines.append(f"  to {_destination(payee.script, network)}")
    lines.append(f"Fee: {amount(proven.fee_sats)}, {proven.fee_sats * 1000 // proven.vsize} sats per 1000 vB")
    if proven.change is None:
        lines.append("No change")
    else:
        change = proven.change
        lines.append(f"Change: {amount(change.amount_sats)} back to the quorum, 1/{change.index}")
        lines.append(f"  to {_destination(change.script, network)}")
    lines.append(f"Coins: {len(proven.inputs)}, together {amount(sum(coin.amount_sats for coin in proven.inputs))}")
    lines.extend(f"  {coin.outpoint} {coin.amount_sats} sats from {coin.branch}/{coin.index}" for coin in proven.inputs)
    lines.append(f"Locktime {proven.transaction.locktime}, sequence {proven.transaction.inputs[0].sequence:#010x}")
    return wrapped(lines)


def findings(judgement: Judgement) -> tuple[str, ...]:
    """What each rule said about a transaction, with its numbers and what to do next."""
    return wrapped(judgement.lines)


def quorum(value: Quorum, own_identity: bytes) -> tuple[str, ...]:
    """The agreement as three owners compare it."""
    lines = [f"Quorum code {value.code}", f"Network {value.network}", f"{value.threshold} of {len(value.owners)} sign"]
    for owner in value.owners:
        own = " <- you" if owner.identity == own_identity else ""
        lines.append(f"Owner {owner.name}, site {owner.site}, region {owner.region}{own}")
        lines.append(f"  key {owner.fingerprint.hex()}, identity {grouped_code(owner.identity)}")
    lines.append(f"Vault key {grouped_code(value.vault_key)}")
    lines.append(f"Risk key {grouped_code(value.risk_key)}")
    lines.append(f"Formed {moment(value.formed)}")
    return wrapped(lines)


def policy(value: Policy) -> tuple[str, ...]:
    """Every rule of a policy."""
    lines = [
        f"Policy {value.name}, version {value.version}",
        f"Policy code {grouped_code(value.hash)}",
        f"For quorum {grouped_code(value.quorum_id)}",
        f"One transaction: you are asked above {amount(value.hold_above_sats)}",
        f"One transaction: refused above {amount(value.refuse_above_sats)}",
    ]
    for window in value.windows:
        lines.append(f"In {duration(window.seconds)}: you are asked above {amount(window.hold_above_sats)}")
        lines.append(f"In {duration(window.seconds)}: refused above {amount(window.refuse_above_sats)}")
    lines.extend(
        (
            f"Fee: at most {amount(value.most_fee_sats)}",
            f"Fee: at most {value.most_fee_ppm} millionths of what is paid",
            f"Fee: at most {value.most_feerate_sat_per_kvb} sats per 1000 vB",
            f"At most {value.most_inputs} inputs and {value.most_payees} payees in a transaction",
            f"At most {value.most_transactions} transactions in a batch",
            f"Payees may be: {', '.join(value.payee_types)}",
            f"Change at most {value.change_gap} indexes ahead",
            f"An activation lives {duration(value.activation_seconds)}",
            f"Locks when unused for {duration(value.idle_seconds)}" if value.idle_seconds else "No idle lock",
        )
    )
    return wrapped(lines)


def windows(rules: Policy, ledger: Ledger, now: float) -> tuple[str, ...]:
    """How much of each window is used up."""
    lines = []
    for window in rules.windows:
        span = duration(window.seconds)
        if ledger.knows(window.seconds, now):
            lines.append(f"In the last {span}: {amount(ledger.spent_sats(window.seconds, now))} spent")
        else:
            wait = max(1, int(ledger.opens_at(window.seconds) - now))
            lines.append(f"In the last {span}: unknown, so all of it counts as spent for {duration(wait)}")
    return wrapped(lines)


def _destination(script: bytes, network: Network) -> str:
    try:
        return address_of(script, network)
    except AddressError:
        return f"script {script.hex()}"
