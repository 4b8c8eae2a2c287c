"""Who is paid: allowlist, clearances, sweep-only, equal amounts, and how much comes back."""

from __future__ import annotations

import pytest
from embit import bip32
from embit.networks import NETWORKS

from appliance.builders import DESCRIPTOR, UTC
from appliance.keeper.judge_support import (
    COIN,
    FEE,
    cleared,
    judgement_of,
    own,
    paying,
    rules,
    script_of,
    uncleared,
    verdict,
)
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.judge import HOLD, REFUSE, SIGN
from undercroft_appliance.keeper.proven import Payee
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_appliance.keeper.sweep import SWEEP_INDEXES, check_sweep, sweep_scripts
from undercroft_protocol.bitcoin.descriptor import CosignerKey, QuorumDescriptor, account_path
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import MessageError
from undercroft_protocol.messages.policy_text import policy_from_toml

LISTED = tuple(sorted((script_of(1), script_of(2))))
COLD_SEEDS = (0x51, 0x52, 0x53)


def cold_wallet() -> QuorumDescriptor:
    keys = []
    for seed in COLD_SEEDS:
        root = bip32.HDKey.from_seed(bytes([seed]) * 32, version=NETWORKS["regtest"]["xprv"])
        account = root.derive("m/48h/1h/0h/2h").to_public().to_base58()
        xpub = ExtendedPublicKey.parse(account, Network.REGTEST)
        keys.append(CosignerKey(bytes(root.my_fingerprint), account_path(Network.REGTEST), xpub))
    return QuorumDescriptor(Network.REGTEST, 2, tuple(keys))


COLD = cold_wallet()
SWEEP = rules(sweep_to=COLD.text())


def to(script: bytes, amount_sats: int = 20_000) -> Payee:
    return Payee(script, amount_sats, "w-1", UTC + 3600, b"\x55" * 32)


def test_a_listed_payee_is_paid() -> None:
    assert verdict(paying([1], cleared(1, 20_000), cleared(2, 20_000)), rules(allowlist=LISTED)) == (SIGN, ())


def test_attack_cleared_stranger_who_is_not_on_the_allowlist() -> None:
    transaction = paying([1], cleared(1, 20_000), cleared(3, 20_000))
    assert verdict(transaction, rules(allowlist=LISTED)) == (REFUSE, (refusals.UNLISTED_PAYEE,))
    held = rules(allowlist=LISTED, unlisted="hold")
    assert verdict(transaction, held) == (HOLD, (refusals.UNLISTED_PAYEE,))


def test_attack_allowlisted_script_with_another_last_byte() -> None:
    almost = script_of(1)[:-1] + b"\x00"
    assert verdict(paying([1], to(almost)), rules(allowlist=LISTED))[0] == REFUSE


def test_attack_psbt_as_a_way_round_the_risk_service() -> None:
    transaction = paying([1], uncleared(3, 20_000))
    assert verdict(transaction) == (HOLD, (refusals.UNCLEARED_PAYEE,))
    assert verdict(transaction, rules(uncleared="refuse")) == (REFUSE, (refusals.UNCLEARED_PAYEE,))


def test_a_payee_of_a_psbt_who_is_on_the_allowlist_needs_no_clearance() -> None:
    assert verdict(paying([1], uncleared(1, 20_000)), rules(allowlist=LISTED, uncleared="refuse")) == (SIGN, ())


def test_attack_psbt_pays_a_stranger_beside_a_listed_payee() -> None:
    transaction = paying([1], uncleared(1, 20_000), uncleared(3, 20_000))
    codes = (refusals.UNCLEARED_PAYEE, refusals.UNLISTED_PAYEE)
    assert verdict(transaction, rules(allowlist=LISTED)) == (REFUSE, codes)
    assert verdict(transaction, rules(allowlist=LISTED, unlisted="hold")) == (HOLD, codes)


@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, SWEEP_INDEXES - 1), (1, SWEEP_INDEXES - 1)])
def test_sweep_only_pays_the_registered_wallet_on_both_branches(place: tuple[int, int]) -> None:
    assert verdict(paying([1], to(COLD.script(*place))), SWEEP) == (SIGN, ())


def test_attack_sweep_to_anybody_else() -> None:
    for script in (COLD.script(0, SWEEP_INDEXES), DESCRIPTOR.script(0, 0), script_of(1)):
        assert verdict(paying([1], to(script)), SWEEP) == (REFUSE, (refusals.SWEEP_ONLY,))


def test_sweep_only_still_lets_coins_be_consolidated() -> None:
    assert verdict(paying([1, 2]), SWEEP) == (SIGN, ())


def test_the_registered_wallet_is_searched_once() -> None:
    assert sweep_scripts(COLD.text()) is sweep_scripts(COLD.text())
    assert len(sweep_scripts(COLD.text())) == 2 * SWEEP_INDEXES


def test_attack_policy_that_sweeps_to_nowhere_or_to_another_network() -> None:
    check_sweep(SWEEP, Network.REGTEST)
    check_sweep(rules(), Network.REGTEST)
    broken = rules(sweep_to=COLD.text()[:-1] + "q")
    for policy, network in ((SWEEP, Network.MAINNET), (broken, Network.REGTEST)):
        with pytest.raises(Refusal) as caught:
            check_sweep(policy, network)
        assert caught.value.code is refusals.POLICY_UNUSABLE
    with pytest.raises(Refusal) as caught:
        verdict(paying([1], to(script_of(1))), broken)
    assert caught.value.code is refusals.POLICY_UNUSABLE


def test_attack_policy_file_that_sweeps_to_another_network(policy_toml: str) -> None:
    written = policy_toml.replace('name = "', f'sweep_to = "{COLD.text()}"\nname = "')
    assert policy_from_toml(written, bytes(32), Network.SIGNET).sweep_to == COLD.text()
    with pytest.raises(MessageError, match="sweep_to"):
        policy_from_toml(written, bytes(32), Network.MAINNET)


@pytest.fixture
def policy_toml() -> str:
    return """
version = 1
name = "short"
hold_above_sats = 1
refuse_above_sats = 1
most_fee_sats = 1
most_fee_ppm = 1
most_feerate_sat_per_kvb = 1000
most_inputs = 1
most_payees = 1
most_transactions = 1
payee_types = ["p2wsh"]
change_gap = 1
activation_seconds = 60
idle_seconds = 0
[[windows]]
seconds = 60
hold_above_sats = 1
refuse_above_sats = 1
"""


def test_equal_payees_at_its_edge() -> None:
    policy = rules(equal_payees=True)
    assert verdict(paying([1], cleared(1, 20_000), cleared(2, 20_000)), policy) == (SIGN, ())
    assert verdict(paying([1]), policy) == (SIGN, ())


def test_attack_one_large_payee_among_equal_ones() -> None:
    transaction = paying([1], cleared(1, 20_000), cleared(2, 20_000), cleared(3, 20_001))
    assert verdict(transaction, rules(equal_payees=True)) == (REFUSE, (refusals.UNEQUAL_PAYEES,))


def test_self_share_at_its_edge() -> None:
    half = rules(least_self_ppm=500_000)
    at_edge = paying([1], cleared(1, COIN // 2 - FEE))
    assert at_edge.own_sats * 2 == at_edge.in_sats
    assert verdict(at_edge, half) == (SIGN, ())


def test_attack_less_comes_back_than_must() -> None:
    below = paying([1], cleared(1, COIN // 2 - FEE + 1))
    assert verdict(below, rules(least_self_ppm=500_000)) == (REFUSE, (refusals.SELF_SHARE,))


def test_attack_payee_that_looks_like_ours_fills_no_self_share() -> None:
    """A cleared payee at one of our own addresses is a payee: only rebuilt own outputs come back."""
    transaction = paying([1], to(DESCRIPTOR.script(1, 0), COIN - FEE), rest=False)
    assert verdict(transaction, rules(least_self_ppm=1)) == (REFUSE, (refusals.SELF_SHARE,))


def test_an_own_receiving_address_is_part_of_the_self_share() -> None:
    transaction = paying([1], own(COIN - FEE, branch=0), rest=False)
    assert verdict(transaction, rules(least_self_ppm=999_000)) == (SIGN, ())


def test_consolidation_feerate_at_its_edge() -> None:
    rate = FEE * 1000 // 200
    assert verdict(paying([1, 2]), rules(most_consolidation_feerate_sat_per_kvb=rate)) == (SIGN, ())
    lower = rules(most_consolidation_feerate_sat_per_kvb=rate - 1)
    assert verdict(paying([1], cleared(1, 20_000)), lower) == (SIGN, ())


def test_attack_consolidation_at_the_price_of_a_hurried_payment() -> None:
    lower = rules(most_consolidation_feerate_sat_per_kvb=FEE * 1000 // 200 - 1)
    for transaction in (paying([1, 2]), paying([1], own(COIN - FEE, branch=0), rest=False)):
        assert verdict(transaction, lower) == (REFUSE, (refusals.CONSOLIDATION_FEERATE,))


def test_attack_all_fee_caps_must_hold_at_once() -> None:
    tight = rules(most_fee_sats=FEE - 1, most_fee_ppm=1, most_feerate_sat_per_kvb=1000)
    caps = (refusals.FEE_LIMIT, refusals.FEE_SHARE, refusals.FEERATE)
    assert verdict(paying([1], cleared(1, 20_000)), tight) == (REFUSE, caps)
    for name, code in zip(("most_fee_sats", "most_fee_ppm", "most_feerate_sat_per_kvb"), caps, strict=True):
        one = rules(**{name: getattr(tight, name)})
        assert verdict(paying([1], cleared(1, 20_000)), one) == (REFUSE, (code,))


def test_a_finding_tells_who_is_paid_and_how_much() -> None:
    numbers = [
        finding.numbers
        for payee in (uncleared(3, 20_000), cleared(3, 20_000))
        for finding in judgement_of(paying([1], payee), rules(allowlist=LISTED)).findings
    ]
    who = f"script {script_of(3).hex()} gets 20000 sats"
    assert numbers == [who, f"{who}, none of 2", "withdrawal w-3 gets 20000 sats, none of 2"]
