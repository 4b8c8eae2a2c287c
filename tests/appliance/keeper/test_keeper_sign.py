"""Stages 4 to 7: what is shown, signed, verified and logged."""

from __future__ import annotations

import dataclasses

import pytest
from embit.networks import NETWORKS
from embit.script import Script
from embit.transaction import Transaction as EmbitTransaction

from appliance.builders import (
    ALICE,
    BOB,
    BOOK,
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    P2WPKH,
    PAID_SATS,
    QUORUM,
    UTC,
    PlainKeys,
    clearance,
    good_batch,
    only,
)
from undercroft_appliance.errors import SigningError
from undercroft_appliance.keeper import show
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import ProvenTransaction
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.text import CONTINUED, amount, duration, moment, wrapped
from undercroft_appliance.keeper.verify import verify
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import BatchRequest


def proven(batch: BatchRequest | None = None) -> ProvenTransaction:
    found = prove(batch or good_batch(), QUORUM, BOOK, change_gap=20, change_signed=-1)
    return found.transactions[0]


def open_keys() -> PlainKeys:
    keys = PlainKeys(ALICE)
    keys.unlock(ALICE.envelope(QUORUM.id), QUORUM.id)
    return keys


def test_signatures_verify_with_the_registered_key_and_cover_what_embit_says() -> None:
    transaction = proven()
    signed = verify(sign(transaction, open_keys()), BOOK)
    second_opinion = EmbitTransaction.parse(transaction.transaction.serialize())
    script = DESCRIPTOR.witness_script(0, 0)
    assert signed.digests == (second_opinion.sighash_segwit(0, Script(script), COIN_SATS),)


def test_attack_a_fault_while_signing_never_leaves() -> None:
    keys = open_keys()
    keys.damage = lambda signature: signature[:-1] + bytes([signature[-1] ^ 1])
    with pytest.raises(SigningError):
        verify(sign(proven(), keys), BOOK)


def test_attack_a_signature_by_another_key_never_leaves() -> None:
    with pytest.raises(SigningError):
        verify(sign(proven(), open_keys()), AddressBook(DESCRIPTOR, BOB.xpub))


def test_attack_a_key_that_is_not_in_the_script_signs_nothing() -> None:
    foreign = proven().inputs[0]._replace(witness_script=DESCRIPTOR.witness_script(0, 9))
    moved = dataclasses.replace(proven(), inputs=(foreign,))
    with pytest.raises(SigningError, match="not in its script"):
        verify(sign(moved, open_keys()), BOOK)


def test_attack_a_signature_is_missing() -> None:
    signed = dataclasses.replace(sign(proven(), open_keys()), signatures=())
    with pytest.raises(SigningError):
        verify(signed, BOOK)


def test_the_screen_shows_the_whole_transaction_in_ascii() -> None:
    lines = show.transaction(proven(), Network.REGTEST)
    text = "\n".join(lines)
    assert f"{PAID_SATS} sats (0.06000000 BTC), for withdrawal w-0" in text
    assert Script(P2WPKH).address(NETWORKS["regtest"]) in text
    assert f"Fee: {FEE_SATS} sats (0.00005000 BTC)" in text
    assert DESCRIPTOR.address(1, 0) in text
    assert all(line.isascii() and line.isprintable() and len(line) <= 200 for line in lines)


def test_attack_a_long_script_is_broken_over_lines_and_not_cut_off() -> None:
    script = b"\x51" * 500
    outputs = (clearance(script=script, amount_sats=COIN_SATS - FEE_SATS),)
    lines = show.transaction(proven(only(good_batch(), outputs=outputs)), Network.REGTEST)
    assert script.hex() in "".join(line.removeprefix(CONTINUED) for line in lines)


def test_amounts_are_exact_and_made_of_integers() -> None:
    assert amount(2_099_999_999_999_999) == "2099999999999999 sats (20999999.99999999 BTC)"
    assert amount(1) == "1 sats (0.00000001 BTC)"


def test_attack_text_that_steers_a_screen_is_made_harmless() -> None:
    assert wrapped(["a\x1b[2Jb\u202ec", "x" * 201]) == ("a?[2Jb?c", "x" * 200, f"{CONTINUED}x")


def test_times_and_durations_are_read_without_doubt() -> None:
    assert moment(UTC) == "2026-09-21 14:13:20 UTC"
    assert moment(1 << 40) == "1099511627776 s after 1970"
    assert [duration(seconds) for seconds in (0, 59, 60, 3600, 86_400, 90)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h",
        "1 d",
        "90 s",
    ]


def test_the_quorum_is_shown_with_all_owners_and_the_own_one_marked() -> None:
    lines = show.quorum(QUORUM, ALICE.entry.identity)
    assert [line for line in lines if line.endswith("<- you")] == [
        "Owner alice, site Zurich vault, region europe <- you"
    ]
    assert f"Quorum code {QUORUM.code}" in lines
