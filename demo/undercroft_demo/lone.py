"""One real appliance whose two co-owners and whose host are played here, with keys that are obviously a test's.

It goes the whole way from a new key to signatures over a thousand inputs without a node: the coins are made up, as an
appliance cannot tell.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from embit import bip32
from embit.networks import NETWORKS
from nacl.signing import SigningKey

from undercroft_appliance.devtools.key_secrets import Signed
from undercroft_protocol import cose
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor, account_path
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    SIGNED,
    Acceptance,
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    ArmRequest,
    BatchReply,
    BatchRequest,
    Clearance,
    Coin,
    Declaration,
    DeclareRequest,
    Done,
    Envelope,
    LockRequest,
    Output,
    Owner,
    Policy,
    PolicyApproval,
    PolicyOffer,
    Quorum,
    QuorumOffer,
    RequestHeader,
    StatementReply,
    StatusReport,
    StatusRequest,
    TransactionRequest,
    Value,
    grouped_code,
    open_reply,
    open_statement,
    policy_from_toml,
    seal_request,
    sign_statement,
)
from undercroft_protocol.serial import SerialLink

from .cable import Cable
from .device import Device
from .owner import ScriptedOwner
from .stage import POLICY, READY, START_SECONDS

NETWORK: Final = Network.REGTEST
INPUTS_EACH: Final = 100
"""Inputs of one transaction."""
_ON_CHANGE_BRANCH: Final = 10
"""So many inputs of each transaction are change; the others were received."""
_COIN_SATS: Final = 20_000
_FEE_SATS: Final = 15_000
_HEIGHT: Final = 900
_SEQUENCE: Final = 0xFFFFFFFD
_PATIENCE_SECONDS: Final = 120.0
_EXPIRES_SECONDS: Final = 600
_VAULT: Final = SigningKey(b"\x11" * 32)
_RISK: Final = SigningKey(b"\x22" * 32)

S = TypeVar("S", bound=Value)
B = TypeVar("B", bound=Value)


def _public(key: SigningKey) -> bytes:
    return bytes(key.verify_key)


def _stated(value: Value, key: SigningKey) -> bytes:
    return sign_statement(value, _public(key), lambda data: bytes(key.sign(data).signature))


class _CoOwner:
    """Another owner, whose seed is one byte 32 times."""

    def __init__(self, name: str, site: str, region: str, byte: int) -> None:
        root: Any = bip32.HDKey.from_seed(bytes([byte]) * 32, version=NETWORKS["regtest"]["xprv"])
        account = root.derive(list(account_path(NETWORK))).to_public()
        xpub = ExtendedPublicKey.parse(account.to_base58(), NETWORK).serialize()
        self.identity = SigningKey(bytes([byte]) * 32)
        self.entry = Owner(name, site, region, root.my_fingerprint, xpub, _public(self.identity))


_CO_OWNERS: Final = (
    _CoOwner("bob", "Singapore vault", "asia", 0xB2),
    _CoOwner("carol", "Denver vault", "america", 0xC3),
)


@dataclass(slots=True)
class LoneAppliance:
    """An appliance on its cable, its owner at its terminal, and what the host knows of it."""

    device: Device
    owner: ScriptedOwner
    link: SerialLink
    envelopes: list[Envelope] = field(default_factory=list)
    """The draft, then the one that is bound to the quorum."""
    quorum: Quorum | None = None
    policy: Policy | None = None
    _approvals: tuple[bytes, ...] = ()
    _request: ActivationRequest | None = None
    _activation_id: bytes = bytes(16)
    _sequence: int = 0

    @classmethod
    @contextlib.contextmanager
    def started(
        cls, directory: Path, passphrase: str, *, more: Sequence[str] = (), record: Path | None = None
    ) -> Iterator[LoneAppliance]:
        """An appliance, with ``more`` options, that is switched on and empty; its owner will type this passphrase.

        ``record``: where its cable keeps every byte, if anywhere.
        """
        with contextlib.ExitStack() as stack:
            cable = stack.enter_context(Cable.started(directory, "alice", record=record))
            device = stack.enter_context(Device.started(directory, "alice", cable=cable, more=more))
            owner = ScriptedOwner(device.master_fd, "alice", "Zurich vault", "europe", passphrase)
            stack.callback(owner.leave)
            link = stack.enter_context(SerialLink.open(cable.host_path, dead_after=_PATIENCE_SECONDS))
            owner.wait_for(READY, START_SECONDS)
            yield cls(device, owner, link)

    def ask(self, kind: type[B], body: Value) -> B:
        """Send a request and wait for a reply of this kind. Raises TypeError if another comes."""
        self._sequence += 1
        header = RequestHeader(self._quorum_id, self._activation_id, self._sequence, _in_a_while())
        return self._exchange(kind, header, body)

    def meet(self) -> StatusReport:
        """Learn the activation id, as a host does after every start or lock."""
        report, activation_id = self._status()
        if activation_id != self._activation_id:
            self._activation_id, self._sequence = activation_id, 0
        return report

    def _status(self) -> tuple[StatusReport, bytes]:
        header = RequestHeader(None, bytes(16), 0, _in_a_while())
        self.link.send(_sealed(header, StatusRequest()), timeout=_PATIENCE_SECONDS)
        reply = open_reply(self.link.receive(timeout=_PATIENCE_SECONDS), None)
        if not isinstance(reply.body, StatusReport):
            raise TypeError(f"no status: {reply.body}")
        return reply.body, reply.header.activation_id

    def _exchange(self, kind: type[B], header: RequestHeader, body: Value) -> B:
        self.link.send(_sealed(header, body), timeout=_PATIENCE_SECONDS)
        reply = open_reply(self.link.receive(timeout=_PATIENCE_SECONDS), None).body
        if not isinstance(reply, kind):
            raise TypeError(f"{type(body).__name__}: {reply}\n{self.owner.transcript[-2000:]}")
        return reply

    def _statement(self, kind: type[S], body: Value) -> tuple[bytes, S]:
        data = self.ask(StatementReply, body).statement
        return data, open_statement(kind, data, (cose.read(data).signer,))[0]

    @property
    def _quorum_id(self) -> bytes | None:
        return None if self.quorum is None else self.quorum.id

    # --- the way of a key, step by step --------------------------------------------------------------------------

    def create(self) -> None:
        """The owner makes a key and declares it; the quorum is then of it and the co-owners' keys."""
        self.meet()
        _, made = self._statement(Declaration, DeclareRequest(NETWORK.value))
        own = Owner(made.name, made.site, made.region, made.fingerprint, made.xpub, made.identity)
        owners = sorted((own, *(peer.entry for peer in _CO_OWNERS)), key=lambda owner: owner.xpub)
        self.envelopes = [made.envelope]
        self.quorum = Quorum(NETWORK.value, 2, tuple(owners), _public(_VAULT), _public(_RISK), int(time.time()))

    def bind(self) -> None:
        """The owner accepts the quorum, and approves the policy with one of the co-owners."""
        quorum = self._formed()
        self.meet()
        self.owner.expected_quorum_code = quorum.code
        _, acceptance = self._statement(Acceptance, QuorumOffer(quorum, self.envelopes[0]))
        self.envelopes.append(acceptance.envelope)
        self.meet()
        policy = policy_from_toml(POLICY, quorum.id, NETWORK)
        self.owner.expected_policy_code = grouped_code(policy.hash)
        approval, approved = self._statement(PolicyApproval, PolicyOffer(policy))
        self.policy = policy
        self._approvals = (approval, _stated(approved, _CO_OWNERS[0].identity))

    def unlock(self) -> None:
        """The owner opens the envelope."""
        if self.policy is None:
            raise RuntimeError("there is no policy yet")
        self.meet()
        request = ActivateRequest(
            self._formed(), self.envelopes[-1], self.policy, self._approvals, int(time.time()), log_seal=None
        )
        _, self._request = self._statement(ActivationRequest, request)

    def arm(self) -> None:
        """A co-owner grants the activation, and the owner takes it."""
        asked = self._request
        if asked is None:
            raise RuntimeError("there is no activation yet")
        own = next(one for one in self._formed().owners if one.name == self.owner.name)
        granter = _CO_OWNERS[0]
        grant = ActivationGrant(
            asked.quorum_id,
            asked.activation_id,
            own.identity,
            asked.policy_hash,
            asked.firmware_hash,
            granter.entry.site,
            asked.life_seconds,
            ledger=(),
        )
        self.ask(Done, ArmRequest(_stated(grant, granter.identity)))

    def sign(self, transactions: int) -> tuple[Signed, ...]:
        """One batch of so many transactions of `INPUTS_EACH` inputs each. Raises RuntimeError if one is not signed."""
        if self.policy is None:
            raise RuntimeError("there is no policy yet")
        made = [_MadeUp(self._formed(), number) for number in range(transactions)]
        previous = tuple(one.previous.serialize() for one in made)
        requests = tuple(one.request() for one in made)
        batch = BatchRequest(b"\x0b" * 16, self.policy.hash, _HEIGHT, previous, requests)
        verdicts = self.ask(BatchReply, batch).verdicts
        if [verdict.verdict for verdict in verdicts] != [SIGNED] * transactions:
            raise RuntimeError(f"not signed: {[verdict.code for verdict in verdicts]}\n{self.owner.transcript[-2000:]}")
        return tuple(
            Signed(*place, digest, der)
            for one, verdict in zip(made, verdicts, strict=True)
            for place, digest, der in zip(one.places, one.digests(), verdict.signatures, strict=True)
        )

    def lock(self) -> None:
        """The host asks for a lock; returns when the appliance answers again, with a new activation id."""
        self.ask(Done, LockRequest())
        before = self._activation_id
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.meet().state != "empty" or self._activation_id == before:
            if time.monotonic() > deadline:
                raise RuntimeError("the appliance does not lock")
            time.sleep(0.05)

    def _formed(self) -> Quorum:
        if self.quorum is None:
            raise RuntimeError("there is no quorum yet")
        return self.quorum


class _MadeUp:
    """A transaction of coins that never were: one earlier transaction pays all of them to the quorum."""

    def __init__(self, quorum: Quorum, number: int) -> None:
        self.descriptor: QuorumDescriptor = quorum.descriptor()
        rng = random.Random(number)
        received = INPUTS_EACH - _ON_CHANGE_BRANCH
        self.places = [(0, number * received + at) for at in range(received)]
        self.places += [(1, number * _ON_CHANGE_BRANCH + at) for at in range(_ON_CHANGE_BRANCH)]
        outputs = tuple(TxOutput(_COIN_SATS, self.descriptor.script(*place)) for place in self.places)
        self.previous = Transaction(2, (TxInput(Outpoint(rng.randbytes(32), 0), _SEQUENCE),), outputs, 0)
        self.payee = b"\x00\x14" + rng.randbytes(20)
        self.paid_sats = INPUTS_EACH * _COIN_SATS - _FEE_SATS
        self.number = number
        self.quorum_id = quorum.id

    def request(self) -> TransactionRequest:
        cleared = Clearance(
            self.quorum_id, f"w-{self.number}", self.payee, self.paid_sats, _in_a_while(), ruleset_hash=bytes(32)
        )
        coins = tuple(Coin(self.number, output, branch, index) for output, (branch, index) in enumerate(self.places))
        return TransactionRequest(coins, (Output(_stated(cleared, _RISK), None),), _SEQUENCE, _HEIGHT)

    def digests(self) -> list[bytes]:
        inputs = tuple(TxInput(Outpoint(self.previous.txid, at), _SEQUENCE) for at in range(INPUTS_EACH))
        sighash = SegwitV0Sighash(Transaction(2, inputs, (TxOutput(self.paid_sats, self.payee),), _HEIGHT))
        return [
            sighash.digest(at, self.descriptor.witness_script(*place), _COIN_SATS)
            for at, place in enumerate(self.places)
        ]


def _sealed(header: RequestHeader, body: Value) -> bytes:
    return seal_request(header, body, _public(_VAULT), lambda data: bytes(_VAULT.sign(data).signature))


def _in_a_while() -> int:
    return int(time.time()) + _EXPIRES_SECONDS
