"""Judging: facts come from the store, verdicts are kept with every number, and only what passed gets a clearance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from exchange import OUTSIDER, Ticking, endow, open_store, register
from scripted_appliance import QUORUM, RISK, RULES, VAULT
from undercroft_host.errors import NotFound
from undercroft_host.risk.deposits import judge_deposits, subject_of
from undercroft_host.risk.ruleset import LargestSingle, RuleSet, Velocity
from undercroft_host.risk.verdicts import verdicts_on
from undercroft_host.risk.withdrawals import judge_withdrawals
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import (
    Address,
    Block,
    ChainTransaction,
    ClearanceRecord,
    Coin,
    Deposit,
    QuorumRecord,
    Withdrawal,
)
from undercroft_host.treasury.ledger import customer_balance
from undercroft_host.vault.payments import build_payment
from undercroft_host.vault.withdrawals import request_withdrawal
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import SignatureError
from undercroft_protocol.messages import Clearance, open_statement


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    register(opened, QUORUM)
    endow(opened, QUORUM, "alice", 5_000_000, 5_000_000)
    yield opened
    opened.close()


def ask(store: Store, clock: Ticking, id: str, amount_sats: int, account: str = "alice") -> None:
    with store.begin("test") as session:
        request_withdrawal(
            session,
            quorum=QUORUM,
            id=id,
            account=account,
            address=OUTSIDER,
            amount_sats=amount_sats,
            clock=clock,
        )


def judge(store: Store, clock: Ticking, rules: RuleSet = RULES) -> dict[str, int]:
    with store.begin("risk") as session:
        return judge_withdrawals(session, rules, RISK, Network.REGTEST, clock=clock)


def state_of(store: Store, id: str) -> tuple[str, str | None]:
    with store.read() as session:
        row = session.get_one(Withdrawal, id)
        return row.state, row.reason


def balance(store: Store, account: str = "alice") -> int:
    with store.read() as session:
        return customer_balance(session, account)


def test_a_withdrawal_that_passes_gets_a_clearance_for_exactly_it(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    assert judge(store, clock) == {"allow": 1}
    assert state_of(store, "w0") == ("cleared", None)
    with store.read() as session:
        record = session.get_one(ClearanceRecord, "w0")
        clearance, _ = open_statement(Clearance, record.raw, (QUORUM.risk_key,))
        script = session.get_one(Withdrawal, "w0").script
        assert clearance == Clearance(QUORUM.id, "w0", script, 100_000, clock() + 86_400, RULES.hash)
        assert record.expires == clearance.expires
        with pytest.raises(SignatureError):
            open_statement(Clearance, record.raw, (QUORUM.vault_key,))


def test_the_verdict_is_kept_with_every_finding_and_the_rule_sets_hash(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    judge(store, clock)
    with store.read() as session:
        verdict = verdicts_on(session, "w0")[0]
        assert (verdict.kind, verdict.outcome, verdict.ruleset_hash) == ("withdrawal", "allow", RULES.hash)
        assert [one["rule"] for one in verdict.findings] == ["W02", "W04", "W05", "W06", "W08", "W28", "W29", "W30"]
        assert verdict.findings[3]["compared"] == {"account_window_sats": 100_000}
        assert audit.verify(session) > 0


def test_a_denied_withdrawal_is_cancelled_and_the_money_given_back(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    assert balance(store) == 9_900_000
    assert judge(store, clock, dataclasses.replace(RULES, W05=LargestSingle(99_999))) == {"deny": 1}
    state, why = state_of(store, "w0")
    assert (state, why) == ("cancelled", "denied: W05: 100000 sats, at most 99999")
    assert balance(store) == 10_000_000
    assert judge(store, clock) == {}


def test_orders_pass_in_turn_until_the_window_is_full_and_the_rest_when_it_has_passed(
    store: Store, clock: Ticking
) -> None:
    rules = dataclasses.replace(RULES, W06=Velocity(3600, 250_000))
    for at, amount_sats in enumerate((100_000, 100_001, 100_002)):
        ask(store, clock, f"w{at}", amount_sats)
    assert judge(store, clock, rules) == {"allow": 2, "delay": 1}
    assert state_of(store, "w2")[0] == "delayed"
    clock.now += 3599
    assert judge(store, clock, rules) == {"delay": 1}
    clock.now += 1
    assert judge(store, clock, rules) == {"allow": 1}
    assert state_of(store, "w2") == ("cleared", None)


def test_attack_orders_that_piled_up_while_delayed_do_not_leave_together(store: Store, clock: Ticking) -> None:
    rules = dataclasses.replace(RULES, W06=Velocity(3600, 150_000))
    for at in range(4):
        ask(store, clock, f"w{at}", 100_000 + at)
    cleared = []
    for _ in range(4):
        cleared.append(judge(store, clock, rules).get("allow", 0))
        clock.now += 3600
    assert cleared == [1, 1, 1, 1]


def test_attack_many_accounts_below_their_limit_meet_the_global_one(store: Store, clock: Ticking) -> None:
    rules = dataclasses.replace(RULES, W08=Velocity(3600, 250_000))
    for at, account in enumerate(("bob", "carl", "dora")):
        endow(store, QUORUM, account, 1_000_000)
        ask(store, clock, f"w{at}", 100_000, account)
    assert judge(store, clock, rules) == {"allow": 2, "delay": 1}


def test_the_same_order_under_a_second_id_waits(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    ask(store, clock, "w1", 100_000)
    assert judge(store, clock) == {"allow": 1, "delay": 1}
    assert state_of(store, "w0")[0] == "cleared"
    assert state_of(store, "w1") == ("delayed", "W30: like order w0")


def test_attack_a_script_swapped_before_the_clearance_is_denied(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    with store.begin("thief") as session:
        session.get_one(Withdrawal, "w0").script = b"\x00\x14" + bytes(20)
    assert judge(store, clock) == {"deny": 1}
    with store.read() as session:
        assert session.get(ClearanceRecord, "w0") is None


def test_a_verdict_that_says_the_same_again_is_kept_once(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    ask(store, clock, "w1", 100_000)
    for _ in range(3):
        judge(store, clock)
    with store.read() as session:
        assert len(verdicts_on(session, "w1")) == 1


def test_without_an_active_quorum_nothing_is_cleared(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    with store.begin("test") as session:
        session.get_one(QuorumRecord, QUORUM.id).state = "retired"
    with pytest.raises(NotFound):
        judge(store, clock)
    assert state_of(store, "w0")[0] == "requested"


def test_a_clearance_that_ran_out_before_the_payment_is_judged_and_signed_again(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    ask(store, clock, "w1", 110_000)
    judge(store, clock)
    with store.begin("vault") as session:
        build_payment(session, quorum=QUORUM, withdrawals=["w1"], feerate_sat_per_kvb=2000, height=100, clock=clock)
    clock.now += 86_400
    assert judge(store, clock) == {"allow": 2}
    assert [state_of(store, id)[0] for id in ("w0", "w1")] == ["cleared", "assigned"]
    with store.read() as session:
        assert session.get_one(ClearanceRecord, "w1").expires == clock() + 86_400


def test_an_assigned_withdrawal_that_is_now_denied_stays_in_its_payment_without_a_good_clearance(
    store: Store, clock: Ticking
) -> None:
    ask(store, clock, "w0", 100_000)
    judge(store, clock)
    with store.begin("vault") as session:
        build_payment(session, quorum=QUORUM, withdrawals=["w0"], feerate_sat_per_kvb=2000, height=100, clock=clock)
    clock.now += 86_400
    judge(store, clock, dataclasses.replace(RULES, W05=LargestSingle(10_000)))
    assert state_of(store, "w0") == ("assigned", "W05: 100000 sats, at most 10000")
    assert balance(store) == 9_900_000
    with store.read() as session:
        assert session.get_one(ClearanceRecord, "w0").expires <= clock()


def test_a_signer_that_is_not_the_quorums_risk_key_clears_nothing_that_counts(store: Store, clock: Ticking) -> None:
    ask(store, clock, "w0", 100_000)
    with store.begin("vault") as session:
        judge_withdrawals(session, RULES, VAULT, Network.REGTEST, clock=clock)
    with store.read() as session, pytest.raises(SignatureError):
        open_statement(Clearance, session.get_one(ClearanceRecord, "w0").raw, (QUORUM.risk_key,))


# --- deposits -----------------------------------------------------------------------------------------------------


def deposit(session: Session) -> Deposit:
    """One of the two, as the gateway leaves it."""
    row = session.query(Deposit).order_by(Deposit.txid).first()
    assert row is not None
    return row


@pytest.fixture
def seen(store: Store) -> Store:
    """The deposits are seen, in the block at height 100, which is the tip."""
    with store.begin("test") as session:
        for row in session.query(Deposit):
            row.state, row.credited = "seen", None
    return store


def judged(store: Store, clock: Ticking) -> tuple[str, str | None]:
    with store.begin("risk") as session:
        judge_deposits(session, RULES, clock=clock)
        row = deposit(session)
        return row.state, row.reason


def test_a_deposit_waits_for_its_confirmations_and_is_then_confirmed(seen: Store, clock: Ticking) -> None:
    assert judged(seen, clock) == ("seen", "D01: 1 of 2 confirmations")
    with seen.begin("test") as session:
        session.add(Block(height=101, hash=b"\x01" * 32, time=clock()))
    assert judged(seen, clock) == ("confirmed", None)
    with seen.read() as session:
        outcomes = [verdict.outcome for verdict in verdicts_on(session, subject_of(deposit(session)))]
        assert outcomes == ["allow", "delay"]


def deep(store: Store) -> None:
    with store.begin("test") as session:
        session.add(Block(height=120, hash=b"\x02" * 32, time=0))


def test_attack_a_deposit_credited_to_another_account_than_its_addresss_is_delayed(seen: Store, clock: Ticking) -> None:
    deep(seen)
    endow(seen, QUORUM, "mallory", 1_000)
    with seen.begin("thief") as session:
        deposit(session).account = "mallory"
    assert judged(seen, clock) == ("delayed", "D04: address is not assigned to the account")


def test_attack_an_amount_raised_in_the_database_is_delayed(seen: Store, clock: Ticking) -> None:
    deep(seen)
    with seen.begin("thief") as session:
        deposit(session).amount_sats += 1
    assert judged(seen, clock) == ("delayed", "D17: the transaction pays another amount")


def test_a_conflicted_deposit_is_delayed(seen: Store, clock: Ticking) -> None:
    deep(seen)
    with seen.begin("test") as session:
        session.get_one(ChainTransaction, deposit(session).txid).conflicted = True
    assert judged(seen, clock)[0] == "delayed"


def test_a_deposit_whose_coin_a_stranger_spent_is_delayed(seen: Store, clock: Ticking) -> None:
    deep(seen)
    with seen.begin("test") as session:
        row = deposit(session)
        session.get_one(Coin, (row.txid, row.vout)).spent_by = b"\x05" * 32
    assert judged(seen, clock) == ("delayed", "D17: the coin was spent by a transaction that is not ours")


def test_dust_is_not_credited_and_its_coin_is_frozen(seen: Store, clock: Ticking) -> None:
    endow(seen, QUORUM, "bob", 999)
    deep(seen)
    with seen.begin("test") as session:
        row = session.query(Deposit).filter_by(account="bob").one()
        row.state, row.credited = "seen", None
    with seen.begin("risk") as session:
        assert judge_deposits(session, RULES, clock=clock) == {"allow": 2, "deny": 1}
        row = session.query(Deposit).filter_by(account="bob").one()
        assert (row.state, row.reason) == ("delayed", "D07: 999 sats, at least 1000")
        assert session.get_one(Coin, (row.txid, row.vout)).frozen == "dust"


def test_a_deposit_on_a_change_address_is_not_confirmed(seen: Store, clock: Ticking) -> None:
    deep(seen)
    with seen.begin("test") as session:
        row = deposit(session)
        script = session.get_one(Coin, (row.txid, row.vout)).script
        session.get_one(Address, script).branch = 1
    assert judged(seen, clock)[0] == "delayed"
