"""Good requests made from obviously-test keys; a bad one is a good one with one mutation.

The seeds are 32 times the same byte. Nothing of value may ever be sent to them.
"""

from __future__ import annotations

import dataclasses
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import coincurve
from embit import bip32
from embit.networks import NETWORKS
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.signing import SigningKey

from undercroft_appliance.errors import ApplianceError, EnvelopeError, KeyringLockedError, OwnerEntropyError
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.secrets import InputRequest, NewKey, PublicParts
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    ActivationGrant,
    ActivationRequest,
    ApprovedPolicy,
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Envelope,
    ExactFacts,
    LogEntry,
    Output,
    Owner,
    Policy,
    PolicyApproval,
    Quorum,
    Spent,
    TransactionRequest,
    Value,
    Window,
    possession_digest,
    sign_statement,
)

UTC: Final = 1_790_000_000
HEIGHT: Final = 900
FIRMWARE: Final = b"\x0f" * 32
COIN_SATS: Final = 10_000_000
PAID_SATS: Final = 6_000_000
FEE_SATS: Final = 5_000
VAULT: Final = SigningKey(b"\x11" * 32)
RISK: Final = SigningKey(b"\x22" * 32)
STRANGER: Final = SigningKey(b"\x33" * 32)
P2WPKH: Final = b"\x00\x14" + b"\x44" * 20


def public(key: SigningKey) -> bytes:
    return bytes(key.verify_key)


def stated(value: Value, key: SigningKey) -> bytes:
    """A statement signed with a test key."""
    return sign_statement(value, public(key), lambda data: bytes(key.sign(data).signature))


class Person:
    """An owner with a test seed."""

    def __init__(self, number: int, name: str, site: str, region: str) -> None:
        self.identity = SigningKey(bytes([number]) * 32)
        self.root = root = bip32.HDKey.from_seed(bytes([number]) * 32, version=NETWORKS["regtest"]["xprv"])
        self.account = root.derive("m/48h/1h/0h/2h")
        self.xpub = ExtendedPublicKey.parse(self.account.to_public().to_base58(), Network.REGTEST)
        self.entry = Owner(name, site, region, bytes(root.my_fingerprint), self.xpub.serialize(), public(self.identity))
        self.log_key = hmac.digest(b"undercroft/1/log", bytes([number]) * 32, "sha512")[:32]

    def exact(self, entry: LogEntry) -> tuple[str, ...]:
        """What the sealed part of a log entry says; nothing where there is none."""
        if entry.sealed is None:
            return ()
        nonce, sealed = entry.sealed[:24], entry.sealed[24:]
        opened = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, entry.associated_data(), nonce, self.log_key)
        return ExactFacts.from_padded(opened).lines

    def envelope(self, quorum_id: bytes | None) -> Envelope:
        entry = self.entry
        return Envelope(
            version=1,
            opslimit=1,
            memory_kib=1024,
            salt=b"\x01" * 16,
            nonce=b"\x02" * 24,
            quorum_id=quorum_id,
            fingerprint=entry.fingerprint,
            xpub=entry.xpub,
            identity=entry.identity,
            ciphertext=b"\x03" * 48,
        )

    def key(self, branch: int, index: int) -> coincurve.PrivateKey:
        return coincurve.PrivateKey(self.account.derive([branch, index]).key.secret)


ALICE: Final = Person(0xA1, "alice", "Zurich vault", "europe")
BOB: Final = Person(0xB2, "bob", "Singapore vault", "asia")
CAROL: Final = Person(0xC3, "carol", "Denver vault", "america")


def good_quorum() -> Quorum:
    owners = sorted((person.entry for person in (ALICE, BOB, CAROL)), key=lambda entry: entry.xpub)
    return Quorum("regtest", 2, tuple(owners), public(VAULT), public(RISK), UTC - 86_400)


QUORUM: Final = good_quorum()
DESCRIPTOR: Final = QUORUM.descriptor()
BOOK: Final = AddressBook(DESCRIPTOR, ALICE.xpub)
"""As alice's appliance has it."""


def good_policy() -> Policy:
    return Policy(
        quorum_id=QUORUM.id,
        version=1,
        name="daily payouts",
        hold_above_sats=50_000_000,
        refuse_above_sats=100_000_000,
        windows=(Window(3600, 100_000_000, 150_000_000), Window(86_400, 150_000_000, 200_000_000)),
        most_fee_sats=100_000,
        most_fee_ppm=20_000,
        most_feerate_sat_per_kvb=100_000,
        most_inputs=20,
        most_payees=10,
        most_transactions=5,
        payee_types=("p2tr", "p2wpkh", "p2wsh"),
        change_gap=20,
        activation_seconds=28_800,
        idle_seconds=3600,
    )


POLICY: Final = good_policy()
WIDE_POLICY: Final = dataclasses.replace(
    POLICY,
    hold_above_sats=10**12,
    refuse_above_sats=10**12,
    windows=(Window(3600, 10**12, 10**12),),
    most_fee_sats=10**9,
    most_fee_ppm=1_000_000,
    most_feerate_sat_per_kvb=10_000_000,
)
"""Its amounts are in no payment's way."""


def approvals(policy: Policy, *people: Person, time: int = UTC) -> tuple[bytes, ...]:
    approval = PolicyApproval(policy.quorum_id, policy.hash, policy.version, time)
    return tuple(stated(approval, person.identity) for person in people)


def approved(policy: Policy, *people: Person, time: int = UTC) -> ApprovedPolicy:
    """A policy with these owners' approvals."""
    return ApprovedPolicy(policy, approvals(policy, *people, time=time))


def successor(policy: Policy = POLICY, **rules: Any) -> Policy:
    """The next version of a policy, with other rules."""
    return dataclasses.replace(policy, version=policy.version + 1, replaces=policy.hash, **rules)


def previous_transaction(*outputs: tuple[int, bytes], salt: int = 0) -> bytes:
    """A transaction without witness that pays these scripts; ``salt`` gives it another txid."""
    coinbase_like = TxInput(Outpoint(salt.to_bytes(32, "big"), 7), 0xFFFFFFFD)
    return Transaction(2, (coinbase_like,), tuple(TxOutput(*output) for output in outputs), 0).serialize()


def clearance(
    withdrawal_id: str = "w-1",
    amount_sats: int = PAID_SATS,
    script: bytes = P2WPKH,
    expires: int = UTC + 3600,
    *,
    quorum_id: bytes = QUORUM.id,
    key: SigningKey = RISK,
) -> Output:
    value = Clearance(quorum_id, withdrawal_id, script, amount_sats, expires, b"\x55" * 32)
    return Output(stated(value, key), None)


def change(index: int = 0, amount_sats: int = COIN_SATS - PAID_SATS - FEE_SATS) -> Output:
    return Output(None, Change(index, amount_sats))


def good_transaction(number: int = 0, *, paid_sats: int = PAID_SATS, coin_sats: int = COIN_SATS) -> TransactionRequest:
    """One coin (previous transaction ``number``, at 0/``number``), one payee, change."""
    return TransactionRequest(
        inputs=(Coin(number, 0, 0, number),),
        outputs=(clearance(f"w-{number}", paid_sats), change(number, coin_sats - paid_sats - FEE_SATS)),
        sequence=0xFFFFFFFD,
        locktime=HEIGHT,
    )


def good_batch(
    transactions: int = 1,
    *,
    paid_sats: int = PAID_SATS,
    coin_sats: int = COIN_SATS,
    first: int = 0,
    policy_hash: bytes = POLICY.hash,
    batch_id: bytes = b"\x0b" * 16,
) -> BatchRequest:
    """A batch of good transactions; ``first`` makes withdrawals and coins differ from those of another batch."""
    built = []
    for at in range(transactions):
        one = good_transaction(first + at, paid_sats=paid_sats, coin_sats=coin_sats)
        coin = dataclasses.replace(one.inputs[0], previous=at)
        built.append(dataclasses.replace(one, inputs=(coin,)))
    previous = tuple(
        previous_transaction((coin_sats, DESCRIPTOR.script(0, first + at)), salt=first + at + 1)
        for at in range(transactions)
    )
    return BatchRequest(batch_id, policy_hash, HEIGHT, previous, tuple(built))


def only(batch: BatchRequest, **changes: object) -> BatchRequest:
    """The batch with its first transaction changed in the named fields."""
    first = dataclasses.replace(batch.transactions[0], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(batch, transactions=(first, *batch.transactions[1:]))


def good_request_of(person: Person, activation_id: bytes) -> ActivationRequest:
    return ActivationRequest(
        QUORUM.id, activation_id, POLICY.hash, FIRMWARE, person.entry.site, POLICY.activation_seconds, UTC
    )


def good_grant(
    granter: Person, grantee: Person, activation_id: bytes, ledger: tuple[Spent, ...] | None = ()
) -> ActivationGrant:
    return ActivationGrant(
        QUORUM.id,
        activation_id,
        grantee.entry.identity,
        POLICY.hash,
        FIRMWARE,
        granter.entry.site,
        POLICY.activation_seconds,
        ledger,
    )


@dataclass
class FakeClock:
    """Monotonic seconds that only a test moves."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


class PlainKeys:
    """A keyring for tests: the same calls, plain test keys, no passphrase and no guarded memory."""

    memory_kind = "memfd_secret"

    def __init__(self, person: Person, troubles: Sequence[ApplianceError] = ()) -> None:
        self._person = person
        self._troubles = list(troubles)
        self._open = False
        self._mixed = False
        self.touched = False
        self.draws = 0
        self.dice_troubles: list[ApplianceError] = []
        self.wipes = 0
        self.damage: Callable[[bytes], bytes] = lambda signature: signature

    def read_new_passphrase(self, tty_fd: int, announce: Callable[[str], None]) -> None:
        self.read_passphrase(tty_fd, announce)

    def read_passphrase(self, tty_fd: int, announce: Callable[[str], None] | None = None) -> None:
        self.touched = True
        if self._troubles:
            raise self._troubles.pop(0)

    def draw_entropy(self) -> bytes:
        self._mixed = False
        self.touched = True
        self.draws += 1
        return bytes([self.draws]) * 32

    def read_entropy(self, tty_fd: int, announce: Callable[[str], None]) -> int:
        if self.dice_troubles:
            raise self.dice_troubles.pop(0)
        return 50

    def mix_entropy(self) -> PublicParts:
        self._mixed = True
        entry = self._person.entry
        return PublicParts(entry.fingerprint, self._person.xpub, entry.identity)

    def reveal_entropy(self) -> bytes:
        self._mixed = False
        return bytes([self.draws]) * 32

    def create_key(self) -> NewKey:
        if not self._mixed:
            raise OwnerEntropyError("no key was mixed")
        self._open = True
        digest = possession_digest(self.identity_public_key, self.xpub.serialize())
        account = coincurve.PrivateKey(self._person.account.key.secret)
        return NewKey(self._person.envelope(None), bytes(account.sign(digest, hasher=None)))

    def rebind(self, envelope: Envelope, quorum_id: bytes) -> Envelope:
        self._open = True
        return dataclasses.replace(envelope, quorum_id=quorum_id)

    def unlock(self, envelope: Envelope, quorum_id: bytes) -> None:
        if envelope.quorum_id != quorum_id:
            raise EnvelopeError("it belongs to another quorum")
        self._open = True

    def sign_identity(self, data: bytes) -> bytes:
        self._need_open()
        return bytes(self._person.identity.sign(data).signature)

    def seal_log(self, data: bytes, associated: bytes) -> bytes:
        self._need_open()
        nonce = os.urandom(24)
        sealed: bytes = crypto_aead_xchacha20poly1305_ietf_encrypt(data, associated, nonce, self._person.log_key)
        return nonce + sealed

    def sign_inputs(self, requests: Sequence[InputRequest]) -> tuple[bytes, ...]:
        self._need_open()
        return tuple(
            self.damage(bytes(self._person.key(one.branch, one.index).sign(one.digest, hasher=None)))
            for one in requests
        )

    @property
    def identity_public_key(self) -> bytes:
        self._need_open()
        return self._person.entry.identity

    @property
    def xpub(self) -> ExtendedPublicKey:
        self._need_open()
        return self._person.xpub

    @property
    def fingerprint(self) -> bytes:
        self._need_open()
        return self._person.entry.fingerprint

    @property
    def is_open(self) -> bool:
        return self._open

    def wipe(self) -> None:
        self._open = False
        self.wipes += 1

    def _need_open(self) -> None:
        if not self._open:
            raise KeyringLockedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()
