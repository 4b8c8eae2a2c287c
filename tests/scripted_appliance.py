"""An appliance for the desk's tests: it answers as a keeper would, until a test has it tell one lie.

It rebuilds each transaction from the batch alone, with embit's keys, so that it is a second opinion on the desk.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from embit import bip32
from embit.networks import NETWORKS
from nacl.signing import SigningKey

import message_examples as examples
from exchange import NOW, OUTSIDER, Ticking, endow, register
from undercroft_host.custody.appliances import add_appliance
from undercroft_host.desk.batches import build_batch, payments_by_id
from undercroft_host.desk.send import PaymentAnswer, send_batch
from undercroft_host.desk.talk import ApplianceSession
from undercroft_host.keys import FileSigner
from undercroft_host.risk.ruleset import DEFAULT_RULES, RuleSet, rules_from_toml
from undercroft_host.risk.withdrawals import judge_withdrawals
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Appliance, PolicyRecord
from undercroft_host.vault.payments import build_payment
from undercroft_host.vault.withdrawals import request_withdrawal
from undercroft_protocol import cose
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.errors import LinkTimeoutError
from undercroft_protocol.link import Progress
from undercroft_protocol.messages import (
    ARMED,
    SIGNED,
    BatchReply,
    BatchRequest,
    Clearance,
    Done,
    FreezeOrder,
    FreezeRequest,
    LockRequest,
    LogEntry,
    LogReply,
    LogRequest,
    LogSeal,
    Policy,
    Quorum,
    RefusalReply,
    ReplyHeader,
    StatusReport,
    StatusRequest,
    TransactionRequest,
    Value,
    Verdict,
    open_request,
    open_statement,
    seal_reply,
    sign_statement,
)

QUORUM: Final[Quorum] = examples.quorum()
POLICY: Final[Policy] = examples.policy(QUORUM.id)
RULES: Final[RuleSet] = rules_from_toml(DEFAULT_RULES)
VAULT: Final = FileSigner(examples.VAULT)
RISK: Final = FileSigner(examples.RISK)
NAMES: Final = ("alice", "bob", "carol")
IDENTITY: Final = dict(zip(NAMES, examples.OWNERS, strict=True))
STRANGER: Final = examples.test_key(0x77)

Lie = Callable[[ReplyHeader, Value], tuple[ReplyHeader, Value]]


def account_key(name: str) -> Any:
    """An owner's account key (embit) at m/48h/1h/0h/2h."""
    seed = bytes([(0xA1, 0xB2, 0xC3)[NAMES.index(name)]]) * 32
    return bip32.HDKey.from_seed(seed, version=NETWORKS["regtest"]["xprv"]).derive("m/48h/1h/0h/2h")


def public(key: SigningKey) -> bytes:
    return bytes(key.verify_key)


def stated(value: Value, key: SigningKey) -> bytes:
    """A statement signed by a test key."""
    return sign_statement(value, public(key), examples.signer(key))


def rebuilt(batch: BatchRequest, request: TransactionRequest) -> tuple[Transaction, list[tuple[bytes, int]]]:
    """The transaction that a batch asks for, and script and amount (sats) of each input, from the batch alone."""
    descriptor = QUORUM.descriptor()
    previous = [Transaction.parse(raw, allow_witness=False) for raw in batch.previous]
    outputs = []
    for output in request.outputs:
        if output.change is not None:
            outputs.append(TxOutput(output.change.amount_sats, descriptor.script(1, output.change.index)))
        else:
            clearance, _ = open_statement(Clearance, output.clearance or b"", (QUORUM.risk_key,))
            outputs.append(TxOutput(clearance.amount_sats, clearance.script))
    inputs = tuple(TxInput(Outpoint(previous[c.previous].txid, c.vout), request.sequence) for c in request.inputs)
    scripts = [descriptor.witness_script(coin.branch, coin.index) for coin in request.inputs]
    amounts = [previous[coin.previous].outputs[coin.vout].amount_sats for coin in request.inputs]
    transaction = Transaction(2, inputs, tuple(outputs), request.locktime)
    return transaction, list(zip(scripts, amounts, strict=True))


class ScriptedAppliance:
    """``lie`` changes what it answers to all but a status; ``speaker`` is the key that it answers with; so many
    ``lost`` answers are swallowed by the line; ``decides`` says for each transaction what becomes of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = IDENTITY[name]
        self.speaker = self.identity
        self.state = ARMED
        self.activation_id = sha256(name.encode())[:16]
        self.quorum_id: bytes | None = QUORUM.id
        self.policy_hash: bytes | None = POLICY.hash
        self.lie: Lie = lambda header, body: (header, body)
        self.answers: dict[type[Value], Callable[[Any], Value]] = {FreezeRequest: self._freeze}
        self.decides: Callable[[Transaction], tuple[str, str | None]] = lambda _: (SIGNED, None)
        self.lost = 0
        self.freeze_order: bytes | None = None
        self.heard: list[bytes] = []
        self.log: list[LogEntry] = []
        self._waiting: deque[bytes] = deque()

    # The link's two ends: the desk calls these.

    def send(self, message: bytes, *, timeout: float) -> None:
        self.heard.append(message)
        reply = self.reply(message)
        if self.lost and request_of(message) is not StatusRequest:
            self.lost -= 1
        else:
            self._waiting.append(reply)

    def receive(self, *, timeout: float) -> bytes:
        if not self._waiting:
            raise LinkTimeoutError(f"no message came within {timeout:g} s")
        return self._waiting.popleft()

    def cancel(self) -> None:
        """Nothing is ever under way."""

    def progress(self) -> Progress:
        return Progress(0, 0, 0, 0)

    def close(self) -> None:
        """Nothing to let go."""

    def post(self, data: bytes) -> None:
        """Put something on the line that nobody asked for."""
        self._waiting.append(data)

    def note(self, event: str) -> None:
        """Add an entry to its log."""
        sealed = os.urandom(24 + 512 + 16)
        self.log.append(LogEntry(len(self.log), self.log_head, NOW, event, (f"a {event}",), sealed))

    @property
    def log_head(self) -> bytes:
        return sha256(self.log[-1].to_bytes()) if self.log else bytes(32)

    def reply(self, message: bytes) -> bytes:
        request = open_request(message, cose.read(message), (QUORUM.vault_key,))
        body = self._body(request.body)
        header = ReplyHeader(
            self.quorum_id,
            self.activation_id,
            request.header.sequence,
            sha256(message),
            self.policy_hash,
            self.log_head,
        )
        if not isinstance(request.body, StatusRequest):
            header, body = self.lie(header, body)
        return seal_reply(header, body, public(self.speaker), examples.signer(self.speaker))

    def _body(self, request: Value) -> Value:
        if type(request) in self.answers:
            return self.answers[type(request)](request)
        if isinstance(request, StatusRequest):
            return StatusReport(
                self.state, self.name, f"site of {self.name}", bytes(32), 3600, 0, "mlock", self.freeze_order
            )
        if isinstance(request, BatchRequest):
            return BatchReply(request.batch_id, tuple(self._verdict(request, one) for one in request.transactions))
        if isinstance(request, LogRequest):
            seal = stated(LogSeal(QUORUM.id, len(self.log), self.log_head), self.identity)
            return LogReply(tuple(self.log[request.start :]), seal)
        if isinstance(request, LockRequest):
            return Done("empty")
        return RefusalReply("state", "the reason stands on the owner's screen")

    def _freeze(self, request: FreezeRequest) -> Value:
        open_statement(FreezeOrder, request.order, (*QUORUM.identities, QUORUM.vault_key))
        self.state, self.freeze_order = "empty", request.order
        return Done(self.state)

    def _verdict(self, batch: BatchRequest, request: TransactionRequest) -> Verdict:
        transaction, spends = rebuilt(batch, request)
        verdict, code = self.decides(transaction)
        signatures = tuple(self.signatures(transaction, request, spends)) if verdict == SIGNED else ()
        return Verdict(transaction.txid, verdict, code, signatures)

    def signatures(
        self, transaction: Transaction, request: TransactionRequest, spends: list[tuple[bytes, int]]
    ) -> Iterator[bytes]:
        sighash = SegwitV0Sighash(transaction)
        for at, (coin, (script, amount_sats)) in enumerate(zip(request.inputs, spends, strict=True)):
            key = account_key(self.name).derive([coin.branch, coin.index]).key
            yield key.sign(sighash.digest(at, script, amount_sats), grind=True).serialize()


def request_of(message: bytes) -> type[Value]:
    """Which request these bytes are."""
    return type(open_request(message, cose.read(message), (QUORUM.vault_key,)).body)


def found(store: Store) -> None:
    """A quorum with its policy in force, and its three appliances."""
    clock = Ticking()
    register(store, QUORUM)
    with store.begin("test") as session:
        session.add(
            PolicyRecord(
                hash=POLICY.hash,
                quorum_id=QUORUM.id,
                version=POLICY.version,
                cbor=POLICY.to_bytes(),
                text="",
                proposed=NOW,
                usable=NOW,
            )
        )
        for name in NAMES:
            add_appliance(session, name, f"serial:/dev/{name}", clock=clock)
            session.get_one(Appliance, name).identity = public(IDENTITY[name])


def cleared_payment(store: Store, clock: Ticking, *, coins: int = 2, payees: int = 2, prefix: str = "w") -> int:
    """A payment of ``payees`` cleared withdrawals that spends ``coins`` coins of 100,000 sats each; its id."""
    paid_sats = (coins * 100_000 - 30_000) // payees
    endow(store, QUORUM, f"shop-{prefix}", *([100_000] * coins))
    with store.begin("test") as session:
        for at in range(payees):
            request_withdrawal(
                session,
                quorum=QUORUM,
                id=f"{prefix}{at}",
                account=f"shop-{prefix}",
                address=OUTSIDER,
                amount_sats=paid_sats - at,
                clock=clock,
            )
        judge_withdrawals(session, RULES, RISK, Network.REGTEST, clock=clock)
        payment = build_payment(
            session,
            quorum=QUORUM,
            withdrawals=[f"{prefix}{at}" for at in range(payees)],
            feerate_sat_per_kvb=2000,
            height=100,
            clock=clock,
        )
        return payment.id


def batch_of(store: Store, clock: Ticking, *payment_ids: int) -> BatchRequest:
    """The stored batch of these payments."""
    with store.begin("test") as session:
        payments = payments_by_id(session, payment_ids)
        return build_batch(session, payments, QUORUM, POLICY.hash, clock=clock, entropy=os.urandom)


@contextmanager
def talking(store: Store, clock: Ticking, appliance: ScriptedAppliance) -> Iterator[ApplianceSession]:
    """An open session with a scripted appliance."""
    with ApplianceSession(
        store, "test", appliance.name, VAULT, clock, quorum_id=QUORUM.id, opener=lambda _: appliance
    ) as talk:
        yield talk


def sent(store: Store, clock: Ticking, appliance: ScriptedAppliance, batch_id: bytes) -> list[PaymentAnswer]:
    """What ``send_batch`` says after it sent a batch to a scripted appliance."""
    with talking(store, clock, appliance) as talk:
        return send_batch(store, "test", talk, batch_id, QUORUM, clock=clock, timeout=5)


def altered(body: Value, **changes: Any) -> Any:
    """A copy of a message with other fields."""
    return dataclasses.replace(body, **changes)  # type: ignore[type-var]
