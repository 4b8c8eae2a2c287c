"""Vectors for the PSBT door: one good PSBT of the test quorum, each time damaged in one place."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any

from appliance.builders import ALICE, COIN_SATS, DESCRIPTOR, P2WPKH, POLICY, previous_transaction
from appliance.keeper.psbt_damages import (
    ATTACKS,
    GOOD,
    OTHER_QUORUM,
    OWN_KEY,
    PREVIOUS,
    damaged,
    own_value,
    put,
    put_out,
    remove,
    retold,
    rich,
    signature_of,
    with_change,
)
from appliance.keeper.psbt_support import CHANGE_SATS, Damage, RawPsbt, derivations
from bad_inputs import Vector, packed
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.bitcoin.script import multisig_script, p2wsh_script
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxOutput

P2SH_NESTED = b"\xa9\x14" + b"\x07" * 20 + b"\x87"
MALFORMED = "psbt-malformed"
FIELD = "psbt-field"
SIGHASH = "psbt-sighash"


def psbt(name: str, attack: str, expect: str, data: RawPsbt | bytes | Damage, coins: int = 1, **more: Any) -> Vector:
    """One vector; ``data`` are bytes, a raw PSBT, or what is done to the good one."""
    raw = data if isinstance(data, bytes | RawPsbt) else damaged(data, coins)
    whole = raw if isinstance(raw, bytes) else raw.serialize()
    return Vector(name, attack, "psbt", expect, {"psbt": packed(whole), **more})


def known(name: str, attack: str, title: str) -> Vector:
    """A damage that the door's own tests name."""
    damage, code = ATTACKS[title]
    return psbt(name, attack, code.name, damage)


def out(number: int, **changes: Any) -> Damage:
    return lambda raw: raw.change_output(number, **changes)


def sighash(value: int, size: int = 4) -> Damage:
    return put(0, b"\x03", value.to_bytes(size, "little"))


def change_at(index: int) -> Damage:
    return lambda raw: raw.move_change(1, index)


def both(*damages: Damage) -> Damage:
    def damage(raw: RawPsbt) -> None:
        for one in damages:
            one(raw)

    return damage


def unseen(raw: RawPsbt) -> None:
    """Money to our own next change address, without a word about its place."""
    raw.outputs[1] = {}


def spends(script: bytes) -> Damage:
    """The first input spends a coin with this script."""
    return lambda raw: raw.spend(previous_transaction((COIN_SATS, script), salt=9), script)


def amounts(first: int, second: int) -> bytes:
    """Output amounts that no builder would write."""
    raw = damaged(rich)
    data = raw.serialize()
    paid, change = (output.serialize() for output in raw.transaction.outputs)
    at = data.index(paid)
    parts = (struct.pack("<Q", first), paid[8:], struct.pack("<Q", second), change[8:])
    return data[:at] + b"".join(parts) + data[at + len(paid + change) :]


def impossible_previous() -> RawPsbt:
    amount = struct.pack("<Q", 21_000_001 * 100_000_000)
    made_up = PREVIOUS.replace(struct.pack("<Q", COIN_SATS), amount)
    raw = RawPsbt.good()
    raw.change_input(outpoint=Outpoint(double_sha256(made_up), 0))
    raw.inputs[0] |= {b"\x00": made_up, b"\x01": amount + b"\x22" + DESCRIPTOR.script(0, 0)}
    return raw


def witnessed_previous(raw: RawPsbt) -> None:
    """A previous transaction as wallets have it: with its witness, which is no part of its txid."""
    plain = Transaction.parse(PREVIOUS)
    raw.inputs[0][b"\x00"] = dataclasses.replace(
        plain, inputs=(dataclasses.replace(plain.inputs[0], witness=(b"\x01",)),)
    ).serialize()


def replace_own_key(raw: RawPsbt) -> None:
    """Our fingerprint and path stand beside a stranger's key."""
    raw.inputs[0].pop(b"\x06" + OWN_KEY)
    raw.inputs[0][b"\x06" + OTHER_QUORUM.public_keys(0, 0)[0]] = own_value()


def all_psbts() -> Iterator[Vector]:
    yield from _amounts()
    yield from _signatures()
    yield from _scripts()
    yield from _change()


def _amounts() -> Iterator[Vector]:
    lowered = put(0, b"\x01", TxOutput(COIN_SATS - 1, DESCRIPTOR.script(0, 0)).serialize())
    yield psbt(
        "001-amount-lowered-alone",
        "A lowered amount stands in for the whole previous transaction, so that the fee is a lie.",
        "previous-missing",
        both(lowered, remove(0, b"\x00")),
    )
    yield psbt(
        "001-amount-lowered-beside",
        "One of two inputs says less than its previous transaction does.",
        "utxo-mismatch",
        lowered,
        2,
    )
    yield known(
        "002-utxo-script-differs",
        "The spent output beside the previous transaction has another script.",
        "other script beside the previous transaction",
    )
    yield known(
        "003-previous-of-another-coin",
        "The previous transaction is not the one that the input names.",
        "previous transaction of another coin",
    )
    yield known("004-output-missing", "The input spends an output beyond the last one.", "output that does not exist")
    yield known(
        "005-previous-absent", "Our own input comes without its previous transaction.", "no previous transaction"
    )
    yield known(
        "006-previous-trailing-byte",
        "A byte follows the previous transaction, which its txid does not cover.",
        "previous transaction with a trailing byte",
    )
    yield known(
        "006-previous-second-encoding",
        "The previous transaction has the marker of a witness, and an empty one.",
        "previous transaction in a second encoding",
    )
    yield psbt(
        "006-previous-with-witness",
        "The previous transaction has a witness, as wallets write it; it is hashed without it, and is good.",
        "sign",
        witnessed_previous,
        outputs=["payee", "1/0"],
        leaves_sats=COIN_SATS - CHANGE_SATS,
    )
    yield known("007-more-out-than-in", "More goes out than comes in.", "more out than in")
    yield psbt(
        "008-output-above-21-million",
        "An output of more than there can ever be.",
        MALFORMED,
        amounts(1, 2_100_000_100_000_000),
    )
    yield psbt(
        "008-output-negative", "An amount with the highest bit set: negative to some.", MALFORMED, amounts(1, 1 << 63)
    )
    yield psbt(
        "008-outputs-overflow", "Two outputs that come to nothing in 64 bits.", MALFORMED, amounts(1 << 63, 1 << 63)
    )
    yield psbt(
        "008-inputs-above-21-million", "Two coins of all the money there can ever be.", "amount-range", rich_twice, 2
    )
    yield psbt(
        "008-previous-above-21-million",
        "A made-up previous transaction pays more than there can ever be.",
        "previous-malformed",
        impossible_previous(),
    )
    yield psbt(
        "009-all-outputs-zero",
        "Every output is zero: all is fee, and a share of nothing divides by zero.",
        "dust",
        both(out(0, amount_sats=0), out(1, amount_sats=0)),
    )
    yield known("010-dust", "An output just below what is relayed.", "dust")
    yield psbt("010-zero-value", "An output of nothing that is no OP_RETURN.", "dust", out(0, amount_sats=0))
    yield psbt(
        "013-foreign-input",
        "One input is somebody else's; its amount would be ours to believe.",
        "foreign-coin",
        both(spends(P2WPKH), lambda raw: [raw.inputs[0].pop(key) for key in list(raw.inputs[0]) if key[0] in (5, 6)]),
        2,
    )


def rich_twice(raw: RawPsbt) -> None:
    rich(raw)
    most = 2_100_000_000_000_000
    raw.inputs[1] = dict(raw.inputs[1])
    previous = previous_transaction((most, DESCRIPTOR.script(0, 1)), salt=10)
    second = dataclasses.replace(raw.transaction.inputs[1], outpoint=Outpoint(Transaction.parse(previous).txid, 0))
    raw.change_transaction(inputs=(raw.transaction.inputs[0], second))
    raw.inputs[1] |= {b"\x00": previous, b"\x01": TxOutput(most, DESCRIPTOR.script(0, 1)).serialize()}


def _signatures() -> Iterator[Vector]:
    for word, value in {
        "none": 2,
        "single": 3,
        "all-anyonecanpay": 0x81,
        "none-anyonecanpay": 0x82,
        "single-anyonecanpay": 0x83,
        "zero": 0,
        "41": 0x41,
        "21": 0x21,
        "above-a-byte": 0x101,
    }.items():
        attack = f"It asks for sighash {value:#x}, which leaves parts of the payment open, or means nothing."
        yield psbt(f"015-sighash-{word}", attack, SIGHASH, sighash(value))
    yield psbt(
        "016-single-without-output",
        "Sighash SINGLE at an input that has no output of its number: the digest is the number 1.",
        SIGHASH,
        put(2, b"\x03", b"\x03\x00\x00\x00"),
        3,
    )
    yield psbt(
        "017-sighash-differs-between-inputs",
        "The first input asks for ALL, the second for NONE.",
        SIGHASH,
        both(sighash(1), put(1, b"\x03", b"\x02\x00\x00\x00")),
        2,
    )
    yield known(
        "018-cosigner-signature-garbage",
        "Garbage stands where a cosigner's signature should.",
        "garbage as a cosigner's signature",
    )
    yield known(
        "018-cosigner-signed-otherwise",
        "A cosigner's signature is of another payment.",
        "cosigner's signature of something else",
    )
    own = ALICE.key(0, 0).public_key.format()
    yield psbt(
        "018-own-signature-there",
        "Our own good signature is there already; the same PSBT is signed again with the same bytes.",
        "sign",
        put(0, b"\x02" + own, signature_of(own)),
    )
    yield known(
        "019-signature-by-a-stranger",
        "A signature by a key that is not in the script.",
        "signature by a key that is not in the script",
    )
    yield known("020-final-script", "An input has its final script already.", "final script")
    yield known("020-final-witness", "An input has its final witness already.", "final witness")


def _scripts() -> Iterator[Vector]:
    yield known(
        "024-witness-script-of-another",
        "The witness script does not hash to the spent script.",
        "another witness script",
    )
    yield psbt(
        "025-nested-without-redeem",
        "The spent output is P2SH, and the redeem script is kept back.",
        "foreign-coin",
        spends(P2SH_NESTED),
    )
    yield known("025-redeem-script", "A redeem script where none belongs.", "redeem script")
    yield psbt(
        "026-own-path-on-a-stranger",
        "Our fingerprint and path stand beside a stranger's key.",
        "derivation",
        replace_own_key,
    )
    yield known("027-fingerprint-zero", "Our key stands beside a fingerprint of zeros.", "fingerprint of zeros")
    yield known("027-fingerprint-other", "Our key stands beside another fingerprint.", "strange fingerprint")
    yield known("028-path-too-deep", "The path of one cosigner has a step too many.", "path one step longer")
    yield known(
        "028-path-odd-bytes", "The path of one cosigner is cut off within a step.", "path cut in the middle of a step"
    )
    yield known("028-path-hardened", "The last step of all paths is hardened.", "hardened index")
    for threshold, name in ((1, "1-of-3"), (3, "3-of-3")):
        script = multisig_script(threshold, DESCRIPTOR.public_keys(0, 0))
        yield psbt(
            f"029-{name}",
            f"A coin of our keys, with {name} for a threshold.",
            "foreign-coin",
            both(spends(p2wsh_script(script)), put(0, b"\x05", script)),
        )
    four = multisig_script(2, (*DESCRIPTOR.public_keys(0, 0), OTHER_QUORUM.public_keys(0, 0)[0]))
    yield psbt(
        "029-2-of-4",
        "A coin of our keys and a fourth one.",
        "foreign-coin",
        both(spends(p2wsh_script(four)), put(0, b"\x05", four)),
    )
    yield known(
        "030-cosigner-replaced",
        "One cosigner is a stranger, and all else agrees with that.",
        "one cosigner replaced by a stranger",
    )
    yield known(
        "031-keys-not-sorted", "The keys of the script are not in the order of BIP 67.", "keys that are not sorted"
    )
    yield psbt(
        "038-nested-where-plain-is-registered",
        "The same keys in sh(wsh()) where wsh() is registered.",
        FIELD,
        both(spends(P2SH_NESTED), put(0, b"\x04", DESCRIPTOR.script(0, 0))),
    )
    yield psbt(
        "039-other-quorum", "All of one input is of another quorum.", "derivation", ATTACKS["another quorum"][0], 2
    )
    yield psbt(
        "039-single-sig-beside",
        "One input is of a single key beside the quorum's.",
        "foreign-coin",
        spends(P2WPKH),
        2,
    )
    yield known("041-xpub-of-a-stranger", "A global xpub is none of the registered ones.", "xpub of a stranger")
    yield known(
        "041-xpub-with-another-fingerprint",
        "A global xpub of ours with a stranger's fingerprint.",
        "xpub of ours with a stranger's fingerprint",
    )
    yield psbt(
        "041-no-xpubs",
        "No global xpubs at all; the registered ones are used, and it is good.",
        "sign",
        GOOD,
        outputs=["payee", "1/0"],
        leaves_sats=COIN_SATS - CHANGE_SATS,
    )


def _change() -> Iterator[Vector]:
    yield known(
        "042-change-to-a-stranger",
        "An output names our change path, and its script is a stranger's.",
        "change to a stranger",
    )
    yield known(
        "042-payee-dressed-as-change", "A payee has the derivations of our change.", "payee dressed up as change"
    )
    yield known(
        "043-change-with-one-key-of-ours",
        "The change goes to a quorum in which only our key is the same.",
        "change to a quorum with only our key the same",
    )
    yield psbt(
        "044-change-to-our-single-key",
        "The change goes to a single key, our own.",
        "change-fraud",
        out(1, script=b"\x00\x14" + b"\x66" * 20),
    )
    yield psbt("045-change-on-branch-2", "The change lies on a branch where no wallet looks.", "derivation", branch_two)
    yield psbt(
        "045-change-seven-steps-deep",
        "The path of the change has a step too many.",
        "derivation",
        lambda raw: raw.outputs[1].update({key: value + bytes(4) for key, value in derivations(2, 1, 0).items()}),
    )
    yield psbt(
        "045-own-receive-address",
        "What comes back lies on branch 0: it is ours, and is counted as if it left.",
        "sign",
        lambda raw: raw.move_change(0, 1),
        outputs=["payee", "0/1"],
        leaves_sats=COIN_SATS,
    )
    for index, name in (
        (0x7FFFFFFF, "last-index"),
        (1_000_001, "index-1000001"),
        (POLICY.change_gap + 1, "beyond-the-gap"),
    ):
        yield psbt(
            f"046-change-{name}",
            f"The change is ours, at index {index}, where its owners do not find it without a ransom.",
            "change-index",
            change_at(index),
        )
    yield known("046-coin-beyond-1000000", "A coin beyond the highest index of all.", "coin beyond the highest index")
    yield known(
        "047-index-per-cosigner",
        "One cosigner's derivation names another index than the others'.",
        "another index for one cosigner",
    )
    yield psbt(
        "047-change-index-per-cosigner",
        "One cosigner's derivation of the change names another index.",
        "derivation",
        put_out(1, b"\x02" + DESCRIPTOR.public_keys(1, 0)[0], own_value(path=(*DESCRIPTOR.cosigners[0].path, 1, 1))),
    )
    yield psbt("048-flood-of-change", "Change in nine pieces.", "change-count", with_change(9))
    yield psbt("048-tiny-change", "Change in pieces too small to be spent.", "dust", out(1, amount_sats=100))
    yield psbt(
        "050-own-output-without-path",
        "An output of ours whose place is kept back: it is paid like any other, and counted.",
        "sign",
        unseen,
        outputs=["payee", "payee"],
        leaves_sats=COIN_SATS,
    )


def branch_two(raw: RawPsbt) -> None:
    raw.outputs[1].update(retold(2, 2, 0))
