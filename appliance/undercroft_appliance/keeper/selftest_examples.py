"""A good request of each kind, for the self-test at boot: everybody knows these keys, so nothing of value may use them.

The three accounts belong to the seeds 32 times 0xA1, 0xB2, 0xC3; a key for signing statements is 32 times one byte.
"""

from __future__ import annotations

from typing import Any, Final

from nacl.signing import SigningKey

from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    ActivationGrant,
    ApprovedPolicy,
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Output,
    Owner,
    Policy,
    PolicyApproval,
    Quorum,
    RequestHeader,
    TransactionRequest,
    Value,
    Window,
    seal_request,
    sign_statement,
)

UTC: Final = 1_790_000_000
HEIGHT: Final = 900
COIN_SATS: Final = 10_000_000
PAID_SATS: Final = 6_000_000
FEE_SATS: Final = 5_000
FIRMWARE: Final = b"\x0f" * 32
ACTIVATION: Final = b"\x0a" * 16
COIN_SCRIPT: Final = bytes.fromhex("00201299ae484eb6b4a6bb58d6663fd626187f5e162ef004758e1463b142641beb6f")
"""Of the address 0/0 of this quorum."""
P2WPKH: Final = b"\x00\x14" + b"\x44" * 20
VAULT: Final = SigningKey(b"\x11" * 32)
RISK: Final = SigningKey(b"\x22" * 32)
STRANGER: Final = SigningKey(b"\x33" * 32)
ALICE: Final = SigningKey(b"\xa1" * 32)
BOB: Final = SigningKey(b"\xb2" * 32)
CAROL: Final = SigningKey(b"\xc3" * 32)
_ACCOUNTS: Final = {
    "alice": (
        ALICE,
        "58be68cb",
        "043587cf043454991d800000023db6985d49ebace09548798003dc7823efbdd6f255c368471ed1785ed1d44b01"
        "02ce7a8647bcd1b7e9496ff02f116a47564dcd30e469dca76ed1f89eee39a02124",
    ),
    "bob": (
        BOB,
        "d3bdb229",
        "043587cf04eb5180a88000000284a8d897743b3e9d03a326a8cda7f36d5d9b5ec718917eb560a1c09a5ae58df0"
        "029cc25c09d3a79190187a8ffefa91d3e92f15815ae035032dc9b51f597a3c6de6",
    ),
    "carol": (
        CAROL,
        "866199b7",
        "043587cf04025065ba80000002a786d242d04ff4e957c6428d8fa12cd9e85d12b18db14a932b023e0361ba630e"
        "02cf26dac68044f9c23fa972879c7e154110e514cad746ed9c1f6170d3faa716b4",
    ),
}


def public(key: SigningKey) -> bytes:
    """The Ed25519 public key, 32 bytes."""
    return bytes(key.verify_key)


def stated(value: Value, key: SigningKey) -> bytes:
    """A statement, signed."""
    return sign_statement(value, public(key), lambda data: bytes(key.sign(data).signature))


def _quorum() -> Quorum:
    owners = [
        Owner(
            name, f"site of {name}", f"region of {name}", bytes.fromhex(fingerprint), bytes.fromhex(xpub), public(key)
        )
        for name, (key, fingerprint, xpub) in _ACCOUNTS.items()
    ]
    in_order = tuple(sorted(owners, key=lambda owner: owner.xpub))
    return Quorum("regtest", 2, in_order, public(VAULT), public(RISK), UTC - 86_400)


QUORUM: Final = _quorum()
"""Alice, Bob and Carol."""


def owner(name: str) -> Owner:
    """The owner with this name."""
    return next(one for one in QUORUM.owners if one.name == name)


POLICY: Final = Policy(
    quorum_id=QUORUM.id,
    version=1,
    name="self-test",
    hold_above_sats=20_000_000,
    refuse_above_sats=30_000_000,
    windows=(Window(3600, 40_000_000, 50_000_000),),
    most_fee_sats=50_000,
    most_fee_ppm=20_000,
    most_feerate_sat_per_kvb=100_000,
    most_inputs=5,
    most_payees=5,
    most_transactions=2,
    payee_types=("p2wpkh",),
    change_gap=20,
    activation_seconds=3600,
    idle_seconds=600,
)


def approved(*people: SigningKey, policy: Policy = POLICY) -> ApprovedPolicy:
    """The policy, approved by these."""
    approval = PolicyApproval(QUORUM.id, policy.hash, policy.version, UTC)
    return ApprovedPolicy(policy, tuple(stated(approval, person) for person in people))


def grant(by: SigningKey = BOB, **changes: Any) -> bytes:
    """Bob's grant for alice's appliance, with some fields changed."""
    fields: dict[str, Any] = {
        "quorum_id": QUORUM.id,
        "activation_id": ACTIVATION,
        "grantee": public(ALICE),
        "policy_hash": POLICY.hash,
        "firmware_hash": FIRMWARE,
        "site": owner("bob").site,
        "life_seconds": POLICY.activation_seconds,
        "ledger": (),
    }
    return stated(ActivationGrant(**(fields | changes)), by)


def request(body: Value, by: SigningKey = VAULT, **changes: Any) -> bytes:
    """A sealed request of the vault, with some fields of its header changed."""
    fields: dict[str, Any] = {
        "quorum_id": QUORUM.id,
        "activation_id": ACTIVATION,
        "sequence": 7,
        "expires": UTC + 600,
    }
    header = RequestHeader(**(fields | changes))
    return seal_request(header, body, public(by), lambda data: bytes(by.sign(data).signature))


def previous(script: bytes, amount_sats: int = COIN_SATS, number: int = 0) -> bytes:
    """A transaction that pays this script; ``number`` gives it another txid."""
    spent = TxInput(Outpoint(number.to_bytes(32, "big"), 7), 0xFFFFFFFD)
    return Transaction(2, (spent,), (TxOutput(amount_sats, script),), 0).serialize()


def payee(name: str = "w-1", amount_sats: int = PAID_SATS, by: SigningKey = RISK, **changes: Any) -> Output:
    """A withdrawal that the risk service cleared, with some fields changed."""
    fields: dict[str, Any] = {
        "quorum_id": QUORUM.id,
        "withdrawal_id": name,
        "script": P2WPKH,
        "amount_sats": amount_sats,
        "expires": UTC + 3600,
        "ruleset_hash": b"\x55" * 32,
    }
    return Output(stated(Clearance(**(fields | changes)), by), None)


def change(index: int = 0, amount_sats: int = COIN_SATS - PAID_SATS - FEE_SATS) -> Output:
    """Change at 1/``index``."""
    return Output(None, Change(index, amount_sats))


def batch(*outputs: Output, inputs: int = 1, coin_sats: int = COIN_SATS, **changes: Any) -> BatchRequest:
    """One transaction over the coin at 0/0 (``inputs`` times); no ``outputs`` means a payee and change, all right."""
    coins = (Coin(0, 0, 0, 0),) * inputs
    one = TransactionRequest(coins, outputs or (payee(), change()), 0xFFFFFFFD, HEIGHT)
    fields: dict[str, Any] = {
        "batch_id": b"\x0b" * 16,
        "policy_hash": POLICY.hash,
        "height": HEIGHT,
        "previous": (previous(COIN_SCRIPT, coin_sats),),
        "transactions": (one,),
    }
    return BatchRequest(**(fields | changes))


def psbt(*, payee_script: bytes = P2WPKH, change_index: int = 0, inputs: int = 1) -> bytes:
    """What a coordinator makes of the same payment."""
    descriptor = QUORUM.descriptor()
    spent = Transaction.parse(previous(COIN_SCRIPT), allow_witness=False)
    own = TxOutput(COIN_SATS - PAID_SATS - FEE_SATS, descriptor.script(1, change_index))
    paying = Transaction(
        2, (TxInput(Outpoint(spent.txid, 0), 0xFFFFFFFD),) * inputs, (TxOutput(PAID_SATS, payee_script), own), HEIGHT
    )
    coin = PsbtInput(spent, descriptor.witness_script(0, 0), key_derivations(descriptor, 0, 0))
    ours = PsbtOutput(descriptor.witness_script(1, change_index), key_derivations(descriptor, 1, change_index))
    return Psbt(paying, (coin,) * inputs, (PsbtOutput(), ours)).serialize()
