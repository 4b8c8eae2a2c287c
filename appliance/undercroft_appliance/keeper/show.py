"""Stage 4: what the owner sees. Only what the keeper derived, whole, in plain ASCII; amounts made of integers."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.errors import AddressError
from undercroft_protocol.messages import Policy, Quorum, grouped_code
from undercroft_protocol.messages.policy import RULE_HOLD, RULE_REFUSE

from .judge import Judgement
from .ledger import Ledger
from .proven import ProvenTransaction
from .text import amount, duration, minute_of_day, moment, wrapped

_DONE: Final = {RULE_HOLD: "held for you", RULE_REFUSE: "refused"}


def transaction(proven: ProvenTransaction, network: Network) -> tuple[str, ...]:
    """A whole transaction: every payee, the change, the fee, every coin."""
    lines = [f"Transaction {txid_to_hex(proven.txid)}", f"Leaves the quorum: {amount(proven.leaves_sats)}"]
    for number, payee in enumerate(proven.payees, start=1):
        purpose = "nobody cleared it" if payee.withdrawal_id is None else f"for withdrawal {payee.withdrawal_id}"
        lines.append(f"Payee {number}: {amount(payee.amount_sats)}, {purpose}")
        lines.append(f"  to {_destination(payee.script, network)}")
    lines.append(f"Fee: {amount(proven.fee_sats)}, {proven.fee_sats * 1000 // proven.vsize} sats per 1000 vB")
    if not proven.change:
        lines.append("No change")
    for own in proven.own:
        what = "Change" if own.is_change else "To ourselves, counted as paid"
        lines.append(f"{what}: {amount(own.amount_sats)} back to the quorum, {own.branch}/{own.index}")
        lines.append(f"  to {_destination(own.script, network)}")
    lines.append(f"Coins: {len(proven.inputs)}, together {amount(proven.in_sats)}")
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


def policy(value: Policy, network: Network) -> tuple[str, ...]:
    """Every rule of a policy; of the rules that it does not have, those that owners might take for granted."""
    return wrapped(
        (
            f"Policy {value.name}, version {value.version}",
            f"Policy code {grouped_code(value.hash)}",
            f"For quorum {grouped_code(value.quorum_id)}",
            "Replaces no other policy" if value.replaces is None else f"Replaces policy {grouped_code(value.replaces)}",
            *_amounts(value),
            *_fees(value),
            *_shape(value),
            *_payees(value, network),
            *_life(value),
        )
    )


def windows(rules: Policy, ledger: Ledger, now: float) -> tuple[str, ...]:
    """How much of each window, and of the totals above them, is used up."""
    lines = []
    for window in rules.windows:
        span = duration(window.seconds)
        if ledger.knows(window.seconds, now):
            count = ledger.spent_count(window.seconds, now)
            lines.append(
                f"In the last {span}: {amount(ledger.spent_sats(window.seconds, now))} spent, {count} transactions"
            )
        else:
            wait = max(1, int(ledger.opens_at(window.seconds) - now))
            lines.append(f"In the last {span}: unknown, so all of it counts as spent for {duration(wait)}")
    lines.append(f"In this activation: {amount(ledger.armed_sats)} of {_most(rules.most_activation_sats)}")
    lines.append(f"Ever, by this appliance's seals: {amount(ledger.total_sats)} of {_most(rules.most_lifetime_sats)}")
    return wrapped(lines)


def _amounts(value: Policy) -> list[str]:
    lines = [
        f"One transaction: you are asked above {amount(value.hold_above_sats)}",
        f"One transaction: refused above {amount(value.refuse_above_sats)}",
    ]
    for window in value.windows:
        span = duration(window.seconds)
        lines.append(f"In {span}: you are asked above {amount(window.hold_above_sats)}")
        lines.append(f"In {span}: refused above {amount(window.refuse_above_sats)}")
        if window.hold_above_count is not None:
            lines.append(f"In {span}: you are asked above {window.hold_above_count} transactions")
        if window.refuse_above_count is not None:
            lines.append(f"In {span}: refused above {window.refuse_above_count} transactions")
    lines.append(f"In one activation: at most {_most(value.most_activation_sats)}")
    lines.append(f"In all activations of one appliance: at most {_most(value.most_lifetime_sats)}")
    return lines


def _fees(value: Policy) -> list[str]:
    lines = [
        f"Fee: at most {amount(value.most_fee_sats)}",
        f"Fee: at most {value.most_fee_ppm} millionths of what is paid",
        f"Fee: at most {value.most_feerate_sat_per_kvb} sats per 1000 vB",
    ]
    if value.most_consolidation_feerate_sat_per_kvb is not None:
        most = value.most_consolidation_feerate_sat_per_kvb
        lines.append(f"Fee where nobody is paid: at most {most} sats per 1000 vB")
    return lines


def _shape(value: Policy) -> list[str]:
    lines = [
        f"At most {value.most_inputs} inputs and {value.most_payees} payees in a transaction",
        f"At most {value.most_transactions} transactions in a batch",
    ]
    if value.least_self_ppm is not None:
        lines.append(f"At least {value.least_self_ppm} millionths of the inputs come back to the quorum")
    if value.equal_payees is not None:
        lines.append("All payees of a transaction get the same amount")
    if value.hours is not None:
        span = f"{minute_of_day(value.hours.from_minute)} to {minute_of_day(value.hours.until_minute)}"
        lines.append(f"Signs only from {span} UTC")
    if value.anomaly is None:
        lines.append("No statistics over what was signed")
    else:
        rule = value.anomaly
        lines.append(f"After {rule.least_sample} payments: you are asked")
        lines.append(f"  above {rule.median_factor} times the median of the last 200")
        lines.append(f"  where payees never paid before get more than {rule.new_payees_ppm} millionths")
    return lines


def _payees(value: Policy, network: Network) -> list[str]:
    lines = [f"Payees may be: {', '.join(value.payee_types)}"]
    if value.allowlist is None:
        lines.append("No allowlist: every payee that the risk service cleared is paid")
    else:
        lines.append(f"Allowlist of {len(value.allowlist)}; who is not on it is {_DONE[value.unlisted]}:")
        lines.extend(f"  {_destination(script, network)}" for script in value.allowlist)
    lines.append(f"A payee of a PSBT, whom nobody cleared, is {_DONE[value.uncleared]}")
    if value.sweep_to is not None:
        lines.append("Sweep only: payees are addresses of this wallet and no others:")
        lines.append(f"  {value.sweep_to}")
    return lines


def _life(value: Policy) -> list[str]:
    return [
        f"Change at most {value.change_gap} indexes ahead",
        f"The host's chain may rise {value.most_height_step} blocks between two batches",
        f"An activation lives {duration(value.activation_seconds)}",
        f"Locks when unused for {duration(value.idle_seconds)}" if value.idle_seconds else "No idle lock",
        f"A policy that loosens this one waits {duration(value.loosening_seconds)}",
    ]


def _most(limit_sats: int | None) -> str:
    return "any amount, there is no such rule" if limit_sats is None else amount(limit_sats)


def _destination(script: bytes, network: Network) -> str:
    try:
        return address_of(script, network)
    except AddressError:
        return f"script {script.hex()}"
