"""Ways to damage a good PSBT in one place, by name, each with the code that it is refused with."""

from __future__ import annotations

import struct

from appliance.builders import ALICE, BOB, COIN_SATS, DESCRIPTOR, P2WPKH, previous_transaction
from appliance.keeper.psbt_support import CHANGE_SATS, GAP, Damage, RawPsbt, derivations
from bitcoin_examples import example_quorum
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.prove_rules import HIGHEST_INDEX
from undercroft_appliance.keeper.refusals import RefusalCode
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS
from undercroft_protocol.bitcoin.script import multisig_script, p2wsh_script
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.transaction import Outpoint, TxOutput

OWN_KEY = DESCRIPTOR.public_keys(0, 0)[0]
OTHER_QUORUM = example_quorum(5).descriptor
GOOD = RawPsbt.good()
PREVIOUS = GOOD.inputs[0][b"\x00"]


def damaged(damage: Damage, coins: int = 1) -> RawPsbt:
    raw = RawPsbt.good(coins)
    damage(raw)
    return raw


def put(number: int, key: bytes, value: bytes) -> Damage:
    return lambda raw: raw.inputs[number].__setitem__(key, value)


def put_out(number: int, key: bytes, value: bytes) -> Damage:
    return lambda raw: raw.outputs[number].__setitem__(key, value)


def put_global(key: bytes, value: bytes) -> Damage:
    return lambda raw: raw.globals.__setitem__(key, value)


def own_value(*, fingerprint: bytes | None = None, path: tuple[int, ...] | None = None) -> bytes:
    cosigner = DESCRIPTOR.cosigners[0]
    steps = (*cosigner.path, 0, 0) if path is None else path
    return (fingerprint or cosigner.fingerprint) + struct.pack(f"<{len(steps)}I", *steps)


def retold(kind: int, branch: int, index: int) -> dict[bytes, bytes]:
    """The derivations of 0/0 (inputs) or 1/0 (outputs), which all name another place."""
    tail = struct.pack("<II", branch, index)
    return {key: value[:-8] + tail for key, value in derivations(kind, 0 if kind == 6 else 1, 0).items()}


def rederived(branch: int, index: int) -> Damage:
    """The first input's derivations name another place for all cosigners, each with the key that is there."""

    def damage(raw: RawPsbt) -> None:
        kept = {key: value for key, value in raw.inputs[0].items() if key[0] != 6}
        raw.inputs[0] = kept | derivations(6, branch, index)

    return damage


def replaced_cosigner(raw: RawPsbt) -> None:
    """One cosigner is a stranger, and all else is consistent with that."""
    own = DESCRIPTOR.public_keys(0, 0)
    stranger = OTHER_QUORUM.public_keys(0, 0)[2]
    script = multisig_script(2, (own[0], own[1], stranger))
    raw.spend(previous_transaction((COIN_SATS, p2wsh_script(script)), salt=9), p2wsh_script(script))
    derived = derivations(6, 0, 0)
    origin = OTHER_QUORUM.cosigners[2]
    value = origin.fingerprint + struct.pack("<6I", *origin.path, 0, 0)
    raw.inputs[0] = {key: known for key, known in raw.inputs[0].items() if key[0] != 6}
    raw.inputs[0] |= {b"\x05": script, b"\x06" + stranger: value}
    raw.inputs[0] |= {b"\x06" + key: derived[b"\x06" + key] for key in own[:2]}


def whole_other_quorum(raw: RawPsbt) -> None:
    script = OTHER_QUORUM.script(0, 0)
    raw.spend(previous_transaction((COIN_SATS, script), salt=9), script)
    raw.inputs[0] = {key: known for key, known in raw.inputs[0].items() if key[0] != 6}
    raw.inputs[0] |= {b"\x05": OTHER_QUORUM.witness_script(0, 0), **derivations(6, 0, 0, OTHER_QUORUM)}


def looser_threshold(raw: RawPsbt) -> None:
    script = multisig_script(1, DESCRIPTOR.public_keys(0, 0))
    raw.spend(previous_transaction((COIN_SATS, p2wsh_script(script)), salt=9), p2wsh_script(script))
    raw.inputs[0][b"\x05"] = script


def unsorted_keys(raw: RawPsbt) -> None:
    keys = DESCRIPTOR.witness_script(0, 0)[1:-2]
    script = b"\x52" + keys[34:] + keys[:34] + b"\x53\xae"
    raw.spend(previous_transaction((COIN_SATS, p2wsh_script(script)), salt=9), p2wsh_script(script))
    raw.inputs[0][b"\x05"] = script


def with_change(count: int) -> Damage:
    def damage(raw: RawPsbt) -> None:
        payee = raw.transaction.outputs[0]
        changes = tuple(TxOutput(CHANGE_SATS // count, DESCRIPTOR.script(1, at)) for at in range(count))
        raw.change_transaction(outputs=(payee, *changes))
        raw.outputs = [
            {},
            *({b"\x01": DESCRIPTOR.witness_script(1, at), **derivations(2, 1, at)} for at in range(count)),
        ]

    return damage


def signature_of(person_key: bytes, *, sighash: int = 1, digest_flip: int = 0) -> bytes:
    digest = SegwitV0Sighash(GOOD.transaction).digest(0, DESCRIPTOR.witness_script(0, 0), COIN_SATS)
    digest = bytes([digest[0] ^ digest_flip]) + digest[1:]
    person = next(one for one in (ALICE, BOB) if one.key(0, 0).public_key.format() == person_key)
    return bytes(person.key(0, 0).sign(digest, hasher=None)) + bytes([sighash])


def cosigner_signs(**how: int) -> Damage:
    key = BOB.key(0, 0).public_key.format()
    return put(0, b"\x02" + key, signature_of(key, **how))


def remove(number: int, key: bytes) -> Damage:
    return lambda raw: raw.inputs[number].pop(key)


def far_coin(raw: RawPsbt) -> None:
    script = DESCRIPTOR.script(0, HIGHEST_INDEX + 1)
    raw.spend(previous_transaction((COIN_SATS, script), salt=9), script)
    rederived(0, HIGHEST_INDEX + 1)(raw)
    raw.inputs[0][b"\x05"] = DESCRIPTOR.witness_script(0, HIGHEST_INDEX + 1)


def rich(raw: RawPsbt) -> None:
    raw.spend(previous_transaction((MAX_MONEY_SATS, DESCRIPTOR.script(0, 0)), salt=9), amount_sats=MAX_MONEY_SATS)


def padded_previous(raw: RawPsbt) -> None:
    """A witness that is part of no txid, and comes to nothing: a second encoding of the same transaction."""
    raw.inputs[0][b"\x00"] = PREVIOUS[:4] + b"\x00\x01" + PREVIOUS[4:-4] + b"\x00" + PREVIOUS[-4:]


GLOBAL: dict[str, tuple[Damage, RefusalCode]] = {
    "trailing byte": (lambda raw: setattr(raw, "tail", b"\x00"), refusals.PSBT_MALFORMED),
    "one map too few": (lambda raw: raw.outputs.pop(), refusals.PSBT_MALFORMED),
    "one map too many": (lambda raw: raw.outputs.append({}), refusals.PSBT_MALFORMED),
    "version 2": (put_global(b"\xfb", b"\x02\x00\x00\x00"), refusals.PSBT_VERSION),
    "version of one byte": (put_global(b"\xfb", b"\x00"), refusals.PSBT_MALFORMED),
    "global field of version 2": (put_global(b"\x02", b"\x02\x00\x00\x00"), refusals.PSBT_VERSION),
    "input field of version 2": (put(0, b"\x0e", bytes(32)), refusals.PSBT_VERSION),
    "output field of version 2": (put_out(0, b"\x03", bytes(8)), refusals.PSBT_VERSION),
    "global proprietary field": (put_global(b"\xfc\x04test", b"x"), refusals.PSBT_FIELD),
    "global unknown field": (put_global(b"\x77", b"x"), refusals.PSBT_FIELD),
    "xpub of a wrong length": (put_global(b"\x01" + bytes(77), own_value()[:20]), refusals.PSBT_FIELD),
    "xpub of a stranger": (
        put_global(b"\x01" + OTHER_QUORUM.cosigners[0].xpub.serialize(), own_value()[:20]),
        refusals.PSBT_XPUB,
    ),
    "xpub of ours with a stranger's fingerprint": (
        put_global(b"\x01" + DESCRIPTOR.cosigners[0].xpub.serialize(), b"evil" + own_value()[4:20]),
        refusals.PSBT_XPUB,
    ),
}

TRANSACTION: dict[str, tuple[Damage, RefusalCode]] = {
    "version 1": (lambda raw: raw.change_transaction(version=1), refusals.TRANSACTION_VERSION),
    "version 3": (lambda raw: raw.change_transaction(version=3), refusals.TRANSACTION_VERSION),
    "version -1": (lambda raw: raw.change_transaction(version=0xFFFFFFFF), refusals.TRANSACTION_VERSION),
    "script in an input": (lambda raw: raw.change_input(script_sig=b"\x51"), refusals.PSBT_MALFORMED),
    "witness in an input": (lambda raw: raw.change_input(witness=(b"\x01",)), refusals.PSBT_MALFORMED),
    "relative lock": (lambda raw: raw.change_input(sequence=1), refusals.SEQUENCE_NUMBER),
    "final sequence": (lambda raw: raw.change_input(sequence=0xFFFFFFFF), refusals.SEQUENCE_NUMBER),
    "locktime two blocks ahead": (lambda raw: raw.change_transaction(locktime=902), refusals.LOCKTIME),
    "locktime as a time": (lambda raw: raw.change_transaction(locktime=1_600_000_000), refusals.LOCKTIME),
    "more out than in": (lambda raw: raw.change_output(0, amount_sats=COIN_SATS), refusals.OUTPUTS_EXCEED_INPUTS),
    "dust": (lambda raw: raw.change_output(0, amount_sats=293), refusals.DUST),
    "OP_RETURN": (lambda raw: raw.change_output(0, script=b"\x6a\x01x", amount_sats=0), refusals.OUTPUT_TYPE),
    "bare multisig": (
        lambda raw: raw.change_output(0, script=DESCRIPTOR.witness_script(0, 0)),
        refusals.OUTPUT_TYPE,
    ),
    "unknown witness version": (
        lambda raw: raw.change_output(0, script=b"\x52\x20" + bytes(32)),
        refusals.OUTPUT_TYPE,
    ),
}

INPUT: dict[str, tuple[Damage, RefusalCode]] = {
    "no previous transaction": (remove(0, b"\x00"), refusals.PREVIOUS_MISSING),
    "previous transaction of another coin": (
        put(0, b"\x00", previous_transaction((COIN_SATS, DESCRIPTOR.script(0, 0)), salt=77)),
        refusals.PREVIOUS_MISMATCH,
    ),
    "previous transaction with a higher amount": (
        put(0, b"\x00", previous_transaction((COIN_SATS + 1, DESCRIPTOR.script(0, 0)), salt=1)),
        refusals.PREVIOUS_MISMATCH,
    ),
    "previous transaction cut off": (put(0, b"\x00", PREVIOUS[:-1]), refusals.PREVIOUS_MALFORMED),
    "previous transaction with a trailing byte": (put(0, b"\x00", PREVIOUS + b"\x00"), refusals.PREVIOUS_MALFORMED),
    "previous transaction in a second encoding": (padded_previous, refusals.PREVIOUS_MALFORMED),
    "previous transaction that is none": (put(0, b"\x00", b""), refusals.PREVIOUS_MALFORMED),
    "output that does not exist": (
        lambda raw: raw.change_input(outpoint=Outpoint(raw.transaction.inputs[0].outpoint.txid, 1)),
        refusals.OUTPUT_MISSING,
    ),
    "lower amount beside the previous transaction": (
        put(0, b"\x01", TxOutput(COIN_SATS - 1, DESCRIPTOR.script(0, 0)).serialize()),
        refusals.UTXO_MISMATCH,
    ),
    "other script beside the previous transaction": (
        put(0, b"\x01", TxOutput(COIN_SATS, P2WPKH).serialize()),
        refusals.UTXO_MISMATCH,
    ),
    "no derivations": (
        lambda raw: raw.inputs.__setitem__(0, {k: v for k, v in raw.inputs[0].items() if k[0] != 6}),
        refusals.FOREIGN_COIN,
    ),
    "one cosigner's derivation missing": (remove(0, b"\x06" + OWN_KEY), refusals.DERIVATION),
    "a fourth derivation": (put(0, b"\x06" + OTHER_QUORUM.public_keys(0, 0)[0], own_value()), refusals.DERIVATION),
    "strange fingerprint": (put(0, b"\x06" + OWN_KEY, own_value(fingerprint=b"evil")), refusals.DERIVATION),
    "fingerprint of zeros": (put(0, b"\x06" + OWN_KEY, own_value(fingerprint=bytes(4))), refusals.DERIVATION),
    "another index for one cosigner": (
        put(0, b"\x06" + OWN_KEY, own_value(path=(*DESCRIPTOR.cosigners[0].path, 0, 1))),
        refusals.DERIVATION,
    ),
    "path one step longer": (
        put(0, b"\x06" + OWN_KEY, own_value(path=(*DESCRIPTOR.cosigners[0].path, 0, 0, 0))),
        refusals.DERIVATION,
    ),
    "path cut in the middle of a step": (put(0, b"\x06" + OWN_KEY, own_value()[:-1]), refusals.DERIVATION),
    "empty derivation": (put(0, b"\x06" + OWN_KEY, b""), refusals.DERIVATION),
    "all derivations too short for a place": (
        lambda raw: raw.inputs[0].update({key: value[-7:] for key, value in derivations(6, 0, 0).items()}),
        refusals.DERIVATION,
    ),
    "all derivations without their origin": (
        lambda raw: raw.inputs[0].update({key: value[-8:] for key, value in derivations(6, 0, 0).items()}),
        refusals.DERIVATION,
    ),
    "branch 2": (lambda raw: raw.inputs[0].update(retold(6, 2, 0)), refusals.DERIVATION),
    "hardened index": (lambda raw: raw.inputs[0].update(retold(6, 0, 0x80000000)), refusals.DERIVATION),
    "keys of another place": (
        lambda raw: raw.inputs[0].update(
            zip(derivations(6, 0, 0), reversed(derivations(6, 0, 0).values()), strict=True)
        ),
        refusals.DERIVATION,
    ),
    "another place of ours": (rederived(0, 1), refusals.FOREIGN_COIN),
    "one cosigner replaced by a stranger": (replaced_cosigner, refusals.DERIVATION),
    "another quorum": (whole_other_quorum, refusals.DERIVATION),
    "lower threshold": (looser_threshold, refusals.FOREIGN_COIN),
    "keys that are not sorted": (unsorted_keys, refusals.FOREIGN_COIN),
    "another witness script": (put(0, b"\x05", DESCRIPTOR.witness_script(0, 1)), refusals.SCRIPT_MISMATCH),
    "no witness script": (remove(0, b"\x05"), refusals.SCRIPT_MISMATCH),
    "coin beyond the highest index": (far_coin, refusals.COIN_INDEX),
    "redeem script": (put(0, b"\x04", b"\x51"), refusals.PSBT_FIELD),
    "final script": (put(0, b"\x07", b"\x51"), refusals.PSBT_FINAL),
    "final witness": (put(0, b"\x08", b"\x00"), refusals.PSBT_FINAL),
    "proof of reserves": (put(0, b"\x09", b"x"), refusals.PSBT_FIELD),
    "hash preimage": (put(0, b"\x0b" + bytes(32), b"x"), refusals.PSBT_FIELD),
    "taproot signature": (put(0, b"\x13", bytes(64)), refusals.PSBT_FIELD),
    "taproot derivation": (put(0, b"\x16" + bytes(32), bytes(5)), refusals.PSBT_FIELD),
    "musig field": (put(0, b"\x1a" + OWN_KEY, bytes(33)), refusals.PSBT_FIELD),
    "proprietary field": (put(0, b"\xfc\x02ae\x00", bytes(32)), refusals.PSBT_FIELD),
    "unknown field": (put(0, b"\x77", b"x"), refusals.PSBT_FIELD),
    "previous transaction with a longer key": (put(0, b"\x00\x00", PREVIOUS), refusals.PSBT_FIELD),
    "derivation of an uncompressed key": (put(0, b"\x06\x04" + bytes(64), own_value()), refusals.PSBT_FIELD),
    "signature without a key": (put(0, b"\x02", b"x"), refusals.PSBT_FIELD),
    "sighash NONE": (put(0, b"\x03", b"\x02\x00\x00\x00"), refusals.PSBT_SIGHASH),
    "sighash SINGLE": (put(0, b"\x03", b"\x03\x00\x00\x00"), refusals.PSBT_SIGHASH),
    "sighash ALL|ANYONECANPAY": (put(0, b"\x03", b"\x81\x00\x00\x00"), refusals.PSBT_SIGHASH),
    "sighash 0": (put(0, b"\x03", bytes(4)), refusals.PSBT_SIGHASH),
    "sighash above a byte": (put(0, b"\x03", b"\x01\x01\x00\x00"), refusals.PSBT_SIGHASH),
    "sighash of one byte": (put(0, b"\x03", b"\x01"), refusals.PSBT_SIGHASH),
    "garbage as a cosigner's signature": (
        put(0, b"\x02" + BOB.key(0, 0).public_key.format(), b"garbage\x01"),
        refusals.PSBT_SIGNATURE,
    ),
    "cosigner's signature of something else": (cosigner_signs(digest_flip=1), refusals.PSBT_SIGNATURE),
    "cosigner's signature with sighash NONE": (cosigner_signs(sighash=2), refusals.PSBT_SIGNATURE),
    "garbage as our own signature": (
        put(0, b"\x02" + ALICE.key(0, 0).public_key.format(), b"garbage\x01"),
        refusals.PSBT_SIGNATURE,
    ),
    "signature by a key that is not in the script": (
        put(0, b"\x02" + ALICE.key(0, 1).public_key.format(), b"garbage\x01"),
        refusals.PSBT_SIGNATURE,
    ),
}

OUTPUT: dict[str, tuple[Damage, RefusalCode]] = {
    "change to a stranger": (
        lambda raw: raw.change_output(1, script=b"\x00\x20" + bytes(32)),
        refusals.CHANGE_FRAUD,
    ),
    "change to single-sig": (lambda raw: raw.change_output(1, script=P2WPKH), refusals.CHANGE_FRAUD),
    "change to a quorum with only our key the same": (
        lambda raw: raw.change_output(
            1,
            script=p2wsh_script(
                multisig_script(2, (*OTHER_QUORUM.public_keys(1, 0)[:2], DESCRIPTOR.public_keys(1, 0)[0]))
            ),
        ),
        refusals.CHANGE_FRAUD,
    ),
    "payee dressed up as change": (
        lambda raw: raw.outputs.__setitem__(0, derivations(2, 1, 3)),
        refusals.CHANGE_FRAUD,
    ),
    "change that names another place of ours": (
        lambda raw: raw.outputs.__setitem__(1, derivations(2, 1, 1)),
        refusals.CHANGE_FRAUD,
    ),
    "change with the keys exchanged": (
        lambda raw: raw.outputs[1].update(
            zip(derivations(2, 1, 0), reversed(derivations(2, 1, 0).values()), strict=True)
        ),
        refusals.CHANGE_FRAUD,
    ),
    "change with another witness script": (
        put_out(1, b"\x01", DESCRIPTOR.witness_script(1, 1)),
        refusals.CHANGE_FRAUD,
    ),
    "change with one derivation missing": (
        lambda raw: raw.outputs[1].pop(b"\x02" + DESCRIPTOR.public_keys(1, 0)[2]),
        refusals.DERIVATION,
    ),
    "change with a strange fingerprint": (
        put_out(1, b"\x02" + DESCRIPTOR.public_keys(1, 0)[0], own_value(fingerprint=b"evil")),
        refusals.DERIVATION,
    ),
    "witness script without derivations": (
        lambda raw: raw.outputs.__setitem__(1, {b"\x01": DESCRIPTOR.witness_script(1, 0)}),
        refusals.DERIVATION,
    ),
    "derivations of another quorum": (
        lambda raw: raw.outputs.__setitem__(0, derivations(2, 0, 0, OTHER_QUORUM)),
        refusals.DERIVATION,
    ),
    "change at a hardened index": (
        lambda raw: raw.outputs[1].update(retold(2, 1, 0x80000000)),
        refusals.DERIVATION,
    ),
    "change on branch 7": (lambda raw: raw.outputs[1].update(retold(2, 7, 0)), refusals.DERIVATION),
    "change beyond the gap": (lambda raw: raw.move_change(1, GAP + 1), refusals.CHANGE_INDEX),
    "receive output beyond the gap": (lambda raw: raw.move_change(0, GAP + 1), refusals.CHANGE_INDEX),
    "change at the last index of all": (lambda raw: raw.move_change(1, 0x7FFFFFFF), refusals.CHANGE_INDEX),
    "three change outputs": (with_change(3), refusals.CHANGE_COUNT),
    "redeem script of an output": (put_out(1, b"\x00", b"\x51"), refusals.PSBT_FIELD),
    "taproot tree": (put_out(1, b"\x06", b"x"), refusals.PSBT_FIELD),
    "proprietary field of an output": (put_out(1, b"\xfc\x02ae\x00", b"x"), refusals.PSBT_FIELD),
    "unknown field of an output": (put_out(0, b"\x77", b"x"), refusals.PSBT_FIELD),
}

ATTACKS = GLOBAL | TRANSACTION | INPUT | OUTPUT
