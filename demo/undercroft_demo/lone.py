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
from typing import Final

from undercroft_appliance.devtools.key_secrets import Signed
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
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
    TransactionRequest,
    grouped_code,
)
from undercroft_protocol.messages.policy_text import policy_from_toml
from undercroft_protocol.serial.link import SerialLink

from .cable import Cable
from .device import Device
from .owner import ScriptedOwner
from .played_host import PlayedHost, over
from .played_keys import NETWORK, RISK, account_of, master_of, owner_of, played_key, public, quorum_of, stated
from .stage import POLICY, READY, START_SECONDS

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


class _CoOwner:
    """Another owner, whose seed is one byte 32 times."""

    def __init__(self, name: str, site: str, region: str, byte: int) -> None:
        master = master_of(bytes([byte]) * 32)
        self.identity = played_key(byte)
        self.entry = Owner(name, site, region, master.my_fingerprint, account_of(master), public(self.identity))


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
    host: PlayedHost
    envelopes: list[Envelope] = field(default_factory=list)
    """The draft, then the one that is bound to the quorum."""
    quorum: Quorum | None = None
    policy: Policy | None = None
    _approvals: tuple[bytes, ...] = ()
    _request: ActivationRequest | None = None

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
            host = PlayedHost(over(link, timeout=_PATIENCE_SECONDS), told=lambda: owner.transcript[-2000:])
            yield cls(device, owner, link, host)

    # --- the way of a key, step by step --------------------------------------------------------------------------

    def create(self) -> None:
        """The owner makes a key and declares it; the quorum is then of it and the co-owners' keys."""
        self.host.meet()
        _, made = self.host.statement(Declaration, DeclareRequest(NETWORK.value))
        self.envelopes = [made.envelope]
        self.quorum = quorum_of((owner_of(made), *(peer.entry for peer in _CO_OWNERS)), int(time.time()))
        self.host.quorum_id = self.quorum.id

    def bind(self) -> None:
        """The owner accepts the quorum, and approves the policy with one of the co-owners."""
        quorum = self._formed()
        self.host.meet()
        self.owner.expected_quorum_code = quorum.code
        _, acceptance = self.host.statement(Acceptance, QuorumOffer(quorum, self.envelopes[0]))
        self.envelopes.append(acceptance.envelope)
        self.host.meet()
        policy = policy_from_toml(POLICY, quorum.id, NETWORK)
        self.owner.expected_policy_code = grouped_code(policy.hash)
        approval, approved = self.host.statement(PolicyApproval, PolicyOffer(policy))
        self.policy = policy
        self._approvals = (approval, stated(approved, _CO_OWNERS[0].identity))

    def unlock(self) -> None:
        """The owner opens the envelope."""
        if self.policy is None:
            raise RuntimeError("there is no policy yet")
        self.host.meet()
        request = ActivateRequest(
            self._formed(), self.envelopes[-1], self.policy, self._approvals, int(time.time()), log_seal=None
        )
        _, self._request = self.host.statement(ActivationRequest, request)

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
        self.host.ask(Done, ArmRequest(stated(grant, granter.identity)))

    def sign(self, transactions: int) -> tuple[Signed, ...]:
        """One batch of so many transactions of `INPUTS_EACH` inputs each. Raises RuntimeError if one is not signed."""
        if self.policy is None:
            raise RuntimeError("there is no policy yet")
        made = [_MadeUp(self._formed(), number) for number in range(transactions)]
        previous = tuple(one.previous.serialize() for one in made)
        requests = tuple(one.request() for one in made)
        batch = BatchRequest(b"\x0b" * 16, self.policy.hash, _HEIGHT, previous, requests)
        verdicts = self.host.ask(BatchReply, batch).verdicts
        if [verdict.verdict for verdict in verdicts] != [SIGNED] * transactions:
            raise RuntimeError(f"not signed: {[verdict.code for verdict in verdicts]}\n{self.owner.transcript[-2000:]}")
        return tuple(
            Signed(*place, digest, der)
            for one, verdict in zip(made, verdicts, strict=True)
            for place, digest, der in zip(one.places, one.digests(), verdict.signatures, strict=True)
        )

    def lock(self) -> None:
        """The host asks for a lock; returns when the appliance answers again, with a new activation id."""
        self.host.ask(Done, LockRequest())
        before = self.host.activation_id
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.host.meet().state != "empty" or self.host.activation_id == before:
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
        return TransactionRequest(coins, (Output(stated(cleared, RISK), None),), _SEQUENCE, _HEIGHT)

    def digests(self) -> list[bytes]:
        inputs = tuple(TxInput(Outpoint(self.previous.txid, at), _SEQUENCE) for at in range(INPUTS_EACH))
        sighash = SegwitV0Sighash(Transaction(2, inputs, (TxOutput(self.paid_sats, self.payee),), _HEIGHT))
        return [
            sighash.digest(at, self.descriptor.witness_script(*place), _COIN_SATS)
            for at, place in enumerate(self.places)
        ]


def _in_a_while() -> int:
    return int(time.time()) + _EXPIRES_SECONDS
