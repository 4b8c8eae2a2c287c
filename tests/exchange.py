"""A small exchange for the host's tests: three owners' keys, a database, a clock, and the steps of a working day."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embit import bip32, ec
from nacl.signing import SigningKey
from sqlalchemy.orm import Session

from undercroft_demo.node import Node
from undercroft_host.gateway.follower import SyncReport, sync
from undercroft_host.gateway.watch import ensure_watching
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import (
    Block,
    ChainTransaction,
    Coin,
    Deposit,
    Payment,
    QuorumRecord,
    Signature,
    Withdrawal,
)
from undercroft_host.treasury.deposits import credit_deposits
from undercroft_host.vault.addresses import issue_address, open_account
from undercroft_host.vault.finalise import finalise_payment, input_digests
from undercroft_host.vault.payment_records import load_payment
from undercroft_host.vault.payments import build_payment
from undercroft_host.vault.withdrawals import request_withdrawal
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import Owner, Quorum

NOW = 1_790_000_000
OWNERS = ("ada", "ben", "cleo")
OUTSIDER = "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk"
"""The regtest address of a key hash that is nobody's."""


@dataclass
class Ticking:
    """A clock that says what it is told."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


def account_key(owner: str, salt: str = "") -> Any:
    """An owner's private account key (embit), at m/48h/1h/0h/2h."""
    root = bip32.HDKey.from_seed(hashlib.sha512(f"{owner}{salt}".encode()).digest())
    return root, root.derive("m/48h/1h/0h/2h")


def make_quorum(salt: str = "", network: Network = Network.REGTEST) -> Quorum:
    """Three owners with keys that `sign_with` knows."""
    owners = []
    for position, name in enumerate(OWNERS):
        root, account = account_key(name, salt)
        xpub = account.to_public()
        xpub.version = network.xpub_version
        owners.append(
            Owner(
                name=name,
                site=f"site-{position}",
                region=f"region-{position}",
                fingerprint=root.my_fingerprint,
                xpub=ExtendedPublicKey.parse(xpub.to_base58(), network).serialize(),
                identity=hashlib.sha256(f"identity {name}{salt}".encode()).digest(),
            )
        )
    return Quorum(
        network=network.value,
        threshold=2,
        owners=tuple(sorted(owners, key=lambda owner: owner.xpub)),
        vault_key=bytes(SigningKey(b"v" * 32).verify_key),
        risk_key=bytes(SigningKey(b"r" * 32).verify_key),
        formed=NOW,
    )


def sign_with(session: Session, payment_id: int, quorum: Quorum, owner: str, salt: str = "") -> None:
    """Store an owner's signature for every input, as the desk does when an appliance has answered."""
    _, account = account_key(owner, salt)
    identity = next(one.identity for one in quorum.owners if one.name == owner)
    records = load_payment(session, payment_id)
    for spent, digest in zip(records.inputs, input_digests(session, records, quorum), strict=True):
        key: ec.PrivateKey = account.derive([spent.branch, spent.index]).key
        session.add(
            Signature(
                payment=payment_id,
                position=spent.position,
                public_key=key.get_public_key().sec(),
                identity=identity,
                der=key.sign(digest, grind=True).serialize(),
            )
        )
    session.flush()


@dataclass
class Exchange:
    """A store with a quorum in it, the node, and what the parts of the host would do in between."""

    store: Store
    node: Node
    quorum: Quorum
    salt: str
    clock: Ticking = field(default_factory=Ticking)

    @classmethod
    def founded(cls, folder: Path, node: Node, salt: str = "") -> Exchange:
        store = open_store(folder)
        quorum = make_quorum(salt)
        register(store, quorum)
        exchange = cls(store, node, quorum, salt)
        ensure_watching(node.client, quorum.descriptor(), exchange.wallet)
        exchange.sync()
        return exchange

    @property
    def wallet(self) -> str:
        return f"watch-{self.quorum.id.hex()[:12]}"

    def sync(self) -> SyncReport:
        self.node.settle()
        return sync(self.store, self.node.client, Network.REGTEST, clock=self.clock, wallet=self.wallet)

    def address(self, account: str) -> str:
        with self.store.begin("test") as session:
            open_account(session, account, clock=self.clock)
            return issue_address(session, self.quorum, account, clock=self.clock).text

    def confirm_deposits(self) -> None:
        """What risk does."""
        with self.store.begin("risk") as session:
            for deposit in session.query(Deposit).where(Deposit.state == "seen"):
                deposit.state = "confirmed"

    def credit(self) -> int:
        self.confirm_deposits()
        with self.store.begin("treasury") as session:
            return len(credit_deposits(session, clock=self.clock))

    def fund(self, account: str, *amounts_sats: int) -> None:
        """Deposits that are paid, confirmed and credited."""
        self.node.pay_many({self.address(account): amount for amount in amounts_sats})
        self.node.mine(1)
        self.sync()
        self.credit()

    def request(self, id: str, amount_sats: int, *, account: str = "alice", address: str = OUTSIDER) -> None:
        with self.store.begin("test") as session:
            request_withdrawal(
                session,
                quorum=self.quorum,
                id=id,
                account=account,
                address=address,
                amount_sats=amount_sats,
                clock=self.clock,
            )

    def clear(self, *ids: str) -> None:
        """What risk does."""
        with self.store.begin("risk") as session:
            for id in ids:
                session.get_one(Withdrawal, id).state = "cleared"

    def build(self, ids: Sequence[str] | None = None, *, feerate: int = 2000) -> int:
        with self.store.begin("vault") as session:
            return build_payment(
                session,
                quorum=self.quorum,
                withdrawals=ids,
                feerate_sat_per_kvb=feerate,
                height=self.node.rpc("getblockcount"),
                clock=self.clock,
            ).id

    def sign(self, payment_id: int, *owners: str) -> None:
        with self.store.begin("desk") as session:
            for owner in owners or OWNERS[:2]:
                sign_with(session, payment_id, self.quorum, owner, self.salt)
            finalise_payment(session, payment_id, self.quorum, clock=self.clock)

    def payment(self, payment_id: int) -> Payment:
        with self.store.read() as session:
            return session.get_one(Payment, payment_id)

    def withdrawal_state(self, id: str) -> str:
        with self.store.read() as session:
            return session.get_one(Withdrawal, id).state


def open_store(folder: Path) -> Store:
    """A fresh database with all tables."""
    path = folder / "books.sqlite"
    path.write_bytes(_migrated())
    return Store.open(f"sqlite:///{path}")


@functools.cache
def _migrated() -> bytes:
    """The file that a migration makes; it is made once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.sqlite"
        store = Store.open(f"sqlite:///{path}")
        store.migrate()
        store.close()
        return path.read_bytes()


def register(store: Store, quorum: Quorum) -> None:
    """The quorum's row, as custody writes it."""
    with store.begin("custody") as session:
        session.add(QuorumRecord(id=quorum.id, cbor=quorum.to_bytes(), state="active", formed=quorum.formed))


def endow(store: Store, quorum: Quorum, account: str, *amounts_sats: int, height: int = 100) -> None:
    """Deposits that are confirmed and credited, written without a node: for tests that need coins and no chain."""
    clock = Ticking()
    with store.begin("test") as session:
        open_account(session, account, clock=clock)
        if session.get(Block, height) is None:
            session.add(Block(height=height, hash=hashlib.sha256(b"block").digest(), time=NOW))
        for amount_sats in amounts_sats:
            address = issue_address(session, quorum, account, clock=clock)
            source = Outpoint(hashlib.sha256(address.script).digest(), 0)
            parent = Transaction(2, (TxInput(source, 0),), (TxOutput(amount_sats, address.script),), 0)
            row = ChainTransaction(txid=parent.txid, raw=parent.serialize(), height=height, first_seen=NOW)
            session.add(row)
            session.flush()
            session.add(Coin(txid=parent.txid, vout=0, script=address.script, amount_sats=amount_sats))
            deposit = Deposit(txid=parent.txid, vout=0, account=account, amount_sats=amount_sats, seen=NOW)
            deposit.state = "confirmed"
            session.add(deposit)
        session.flush()
        credit_deposits(session, clock=clock)
