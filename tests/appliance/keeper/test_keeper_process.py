"""The real thing: a keeper process with a real keyring, its passphrase typed on a pseudo-terminal."""

from __future__ import annotations

import dataclasses
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from appliance.builders import (
    COIN_SATS,
    FEE_SATS,
    FIRMWARE,
    HEIGHT,
    PAID_SATS,
    POLICY,
    UTC,
    clearance,
    previous_transaction,
)
from appliance.keeper.keeper_support import PATIENCE_SECONDS, WILLING
from undercroft_appliance.channel import Channel
from undercroft_appliance.endings import HANDED_OVER, OTHER_GONE
from undercroft_appliance.errors import ChannelError
from undercroft_appliance.internal import Answer, Inbound, Notice, Outbound, PassphraseTurn, Question, Yielded
from undercroft_appliance.keeper import __main__ as keeper_main
from undercroft_appliance.keeper import birth
from undercroft_appliance.keeper.owner import TURN_TITLE
from undercroft_demo.played_host import PlayedHost
from undercroft_demo.played_keys import owner_of, quorum_of
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    Acceptance,
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    ArmRequest,
    BatchReply,
    BatchRequest,
    Change,
    Coin,
    Declaration,
    DeclareRequest,
    Done,
    GrantRequest,
    LockRequest,
    Output,
    Policy,
    PolicyApproval,
    PolicyOffer,
    Quorum,
    QuorumOffer,
    TransactionRequest,
    open_statement,
)

PASSPHRASE = b"correct horse battery staple\n"
DICE = b"1352 4616 3254 1123 6554 2413 3615 2442 5136 1653 4251 3246 1561 2\n"
PLACES = (("alice", "Zurich vault", "europe"), ("bob", "Singapore vault", "asia"), ("carol", "Denver vault", "america"))


class Device:
    """One keeper process, its owner at the panel and at the terminal, and the host's end of its port."""

    def __init__(self, name: str, site: str, region: str) -> None:
        self.answers = {**WILLING, "Your name": name, "Your site": site, "Your region": region}
        self.answers["At which site are you?"] = site
        self.host = PlayedHost(self._carry, now=lambda: UTC)
        master, terminal = pty.openpty()
        port, keeper_port = socket.socketpair()
        panel, keeper_panel = socket.socketpair()
        # As the supervisor does, so that one keeper can follow another.
        self._inherited = (keeper_port, keeper_panel)
        self._descriptors = (keeper_port.fileno(), keeper_panel.fileno(), terminal, os.memfd_create("handover"))
        self._master = master
        self.process = self._started()
        self._port = Channel(port)
        self._panel = Channel(panel)
        self._owner = threading.Thread(target=self._live, daemon=True)
        self._owner.start()

    def _started(self) -> subprocess.Popen[bytes]:
        port, panel, terminal, handover = map(str, self._descriptors)
        return subprocess.Popen(
            [sys.executable, "-m", "undercroft_appliance.keeper", "--network", "regtest", "--kdf", "demo",
             "--firmware-hash", FIRMWARE.hex(), "--port-fd", port, "--panel-fd", panel, "--tty-fd", terminal,
             "--handover-fd", handover],
            pass_fds=self._descriptors, stderr=subprocess.PIPE,
        )  # fmt: skip

    def follow(self) -> None:
        """Wait until the keeper has handed over, then start the next one and learn its activation id."""
        assert self.process.wait(PATIENCE_SECONDS) == HANDED_OVER
        self._close_stderr()
        self.process = self._started()
        self.host.meet()

    def _live(self) -> None:
        while True:
            try:
                message = self._panel.receive(None)
            except (ChannelError, OSError):
                return
            if isinstance(message, Question):
                answer = self.answers[message.prompt]
                assert isinstance(answer, str)
                self._panel.send(Answer(message.number, answer))
            elif isinstance(message, PassphraseTurn):
                self._panel.send(Yielded(message.number))
            elif isinstance(message, Notice) and message.title == TURN_TITLE and ":" in message.lines[0]:
                os.write(self._master, PASSPHRASE)
            elif isinstance(message, Notice) and message.title == birth.TITLE_DICE and "taken:" in message.lines[0]:
                os.write(self._master, DICE)

    def _carry(self, request: bytes) -> bytes:
        self._port.send(Inbound(request))
        answer = self._port.receive(PATIENCE_SECONDS)
        assert isinstance(answer, Outbound)
        return answer.data

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_SECONDS)
        self._panel.close()
        self._port.close()
        for end in self._inherited:
            end.close()
        self._close_stderr()
        for descriptor in (self._master, *self._descriptors[2:]):
            os.close(descriptor)
        return code

    def _close_stderr(self) -> None:
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture
def devices() -> Iterator[tuple[Device, ...]]:
    found = tuple(Device(*place) for place in PLACES)
    yield found
    for device in found:
        if device.process.poll() is None:
            device.end()


def test_three_keepers_make_a_quorum_two_are_armed_and_sign(devices: tuple[Device, ...]) -> None:
    declared = []
    for device in devices:
        device.host.meet()
        declared.append(device.host.statement(Declaration, DeclareRequest("regtest"))[1])
        device.follow()
    quorum = quorum_of((owner_of(one) for one in declared), UTC)
    envelopes = []
    for device, one in zip(devices, declared, strict=True):
        device.host.quorum_id = quorum.id
        statement, accepted = device.host.statement(Acceptance, QuorumOffer(quorum, one.envelope))
        open_statement(Acceptance, statement, (one.identity,))
        envelopes.append(accepted.envelope)
    policy = _policy(quorum.id)
    approvals = tuple(device.host.statement(PolicyApproval, PolicyOffer(policy))[0] for device in devices[:2])
    for data in approvals:
        assert open_statement(PolicyApproval, data, quorum.identities)[0].policy_hash == policy.hash
    first, second = devices[:2]
    asked = []
    for device, envelope in zip((first, second), envelopes, strict=False):
        assert device.host.ask(Done, LockRequest()) == Done("empty")
        device.follow()
        activate = ActivateRequest(quorum, envelope, policy, approvals, UTC, None)
        asked.append(device.host.statement(ActivationRequest, activate)[0])
        open_statement(ActivationRequest, asked[-1], quorum.identities)
    for granter, grantee, request in ((first, second, asked[1]), (second, first, asked[0])):
        granted, _ = granter.host.statement(ActivationGrant, GrantRequest(request))
        open_statement(ActivationGrant, granted, quorum.identities)
        assert grantee.host.ask(Done, ArmRequest(granted)) == Done("armed")
    batch, digest = _batch(quorum, policy.hash)
    for device, one in zip((first, second), declared, strict=False):
        (verdict,) = device.host.ask(BatchReply, batch).verdicts
        key = next(c.xpub for c in quorum.descriptor().cosigners if c.xpub.serialize() == one.xpub)
        verify_ecdsa(key.child(0).child_public_key(3), digest, verdict.signatures[0])
        assert device.host.meet().state == "armed"
    assert [device.end() for device in devices] == [0, 0, 0]


def test_a_keeper_ends_with_a_line_without_data_when_its_port_is_gone() -> None:
    device = Device(*PLACES[0])
    device.host.meet()
    device._port.close()
    device._inherited[0].close()
    assert device.process.wait(PATIENCE_SECONDS) == OTHER_GONE
    assert device.process.stderr is not None
    told = device.process.stderr.read()
    assert told.endswith(b": the other process is gone\n")
    assert told.count(b"\n") == 1
    device.end()


def test_attack_a_port_that_reads_nothing_does_not_hold_the_keeper_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_main, "STALL_SECONDS", 0.05)
    keeper_end, port_end = socket.socketpair()
    channel = keeper_main.open_channel(keeper_end.detach())
    with pytest.raises(ChannelError):
        channel.send(Outbound(bytes(4_000_000)))
    channel.close()
    port_end.close()


def _policy(quorum_id: bytes) -> Policy:
    return dataclasses.replace(POLICY, quorum_id=quorum_id)


def _batch(quorum: Quorum, policy_hash: bytes) -> tuple[BatchRequest, bytes]:
    """A batch that spends one coin at 0/3, and the digest that its input's signature covers, made by hand."""
    descriptor = quorum.descriptor()
    raw = previous_transaction((COIN_SATS, descriptor.script(0, 3)))
    change_sats = COIN_SATS - PAID_SATS - FEE_SATS
    request = TransactionRequest(
        (Coin(0, 0, 0, 3),),
        (clearance(quorum_id=quorum.id), Output(None, Change(0, change_sats))),
        0xFFFFFFFD,
        HEIGHT,
    )
    by_hand = Transaction(
        2,
        (TxInput(Outpoint(Transaction.parse(raw).txid, 0), 0xFFFFFFFD),),
        (TxOutput(PAID_SATS, b"\x00\x14" + b"\x44" * 20), TxOutput(change_sats, descriptor.script(1, 0))),
        HEIGHT,
    )
    digest = SegwitV0Sighash(by_hand).digest(0, descriptor.witness_script(0, 3), COIN_SATS)
    return BatchRequest(b"\x0b" * 16, policy_hash, HEIGHT, (raw,), (request,)), digest
